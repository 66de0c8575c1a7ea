"""Standing: which keys of a destination hold something else, and which hold what is to be imported already."""

from collections.abc import Callable, Sequence

from cli.importing.destination import Destination, Packed
from cli.importing.errors import ValueGone, ValueUnreadable
from cli.importing.inventory import Found
from cli.importing.source import Source
from cli.importing.values import ONNX, RaiModel
from models.tensor_strings import StoredTensor
from models.tensor_strings import pack as packed

BATCH_BYTES = 8 << 20  # of strings that are compared together
BATCH_KEYS = 500
WATCH_KEYS = 64


class Standing:
    """What lies at the keys of an import before it begins; `same` are those that need no import any more."""

    def __init__(self, source: Source, destination: Destination) -> None:
        self._source = source
        self._destination = destination
        self._batch: list[Packed] = []
        self._batch_bytes = 0
        self.same: set[Found] = set()
        self.others: list[Found] = []

    async def look(self, found: Sequence[Found], watch: Callable[[int, int], None]) -> None:
        """Compare what is at the keys with what is to come; `watch` is told how many of how many are compared.

        Raises: WrongUsage, RedisUnavailable, RedisRefused; what reading the source raises.
        """
        there = await self._destination.there([one for one in found if one.kind != "script"])
        for done, (one, size) in enumerate(there):
            if done % WATCH_KEYS == 0:
                watch(done, len(there))
            try:
                value = await self._source.read(one)
            except (ValueGone, ValueUnreadable):
                continue  # told when it is its turn
            if isinstance(value, StoredTensor):
                await self._tensor(Packed(one, packed(value)), size)
            elif isinstance(value, RaiModel) and value.backend == ONNX:
                self._take(one, same=await self._destination.holds(one, value))
        await self._flush()

    def _take(self, found: Found, *, same: bool) -> None:
        if same:
            self.same.add(found)
        else:
            self.others.append(found)

    async def _tensor(self, wanted: Packed, size: int) -> None:
        """Compare a tensor, soon, with the string of so many bytes at its key."""
        if size != len(wanted.value):
            self._take(wanted.found, same=False)
            return
        if self._batch and self._batch[0].found.db != wanted.found.db:
            await self._flush()
        self._batch.append(wanted)
        self._batch_bytes += size
        if len(self._batch) >= BATCH_KEYS or self._batch_bytes >= BATCH_BYTES:
            await self._flush()

    async def _flush(self) -> None:
        """Compare what waits for it."""
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        for one, same in zip(batch, await self._destination.same(batch) if batch else [], strict=True):
            self._take(one.found, same=same)
