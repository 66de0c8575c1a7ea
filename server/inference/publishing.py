"""Publishing: an ONNX file is checked, tried in a process of its own, and stored as the next version; one at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from models.bundle import Bundle
from models.carrying import Predecessor, composed_as_before, version_before
from models.composing import Wording, compose_bundle
from models.graph import inspect_graph
from models.signing_errors import UnsignedUpload
from models.store import PRODUCTION, ModelStore
from models.succession import inherited
from server.inference.errors import Overloaded
from server.inference.trials import Trials

SLOT_SECONDS = 30.0
OTHER_VIEW = "`features`, or `features=none` to read no keys"
OTHER_LABELS = "`labels`, or `task=tensor` to word none"


@asynccontextmanager
async def taken(slot: asyncio.Lock, name: str) -> AsyncIterator[None]:
    """Hold a slot of those who bring files for a model.

    Raises: Overloaded, when another keeps it too long.
    """
    try:
        async with asyncio.timeout(SLOT_SECONDS):
            await slot.acquire()
    except TimeoutError:
        raise Overloaded(name, 0, SLOT_SECONDS) from None
    try:
        yield
    finally:
        slot.release()


class Publisher:
    """Publishes files for every door."""

    def __init__(self, store: ModelStore, trial: Trials, limit_bytes: int) -> None:
        """Take a store, what tries files, and how large one may be."""
        self._store = store
        self._trial = trial
        self._limit_bytes = limit_bytes
        self._slot = asyncio.Lock()  # each upload holds a whole model in memory

    def turn(self, name: str) -> AbstractAsyncContextManager[None]:
        """Hold the slot of uploads, from before the file is received until it is stored.

        Raises: UnsignedUpload, nothing that is uploaded would be loaded; Overloaded, when another upload keeps it too
                long.
        """
        if self._store.signing.trust is not None:
            raise UnsignedUpload(name)
        return taken(self._slot, name)

    async def publish(self, name: str, onnx: bytes, wording: Wording, alias: str | None = PRODUCTION) -> int:
        """Check, try and store a model file, and return its version.

        Raises: BadName, BadModelFile, BadFeatureView, ModelTooLarge, RedisUnavailable, RedisRefused.
        """
        bundle = await asyncio.to_thread(compose_bundle, onnx, name, wording, self._limit_bytes)
        return await self._tried(bundle, alias)

    async def follow(
        self, name: str, onnx: bytes, wording: Wording, alias: str | None, *, viewless: bool
    ) -> int:
        """Publish a file as `publish` does, with the view and the labels of the version before where none are said.

        That is the one that the alias points to, else the newest. `viewless`: the file shall read no keys.

        Raises: as `publish`; BadFeatureView, BadModelFile, what is as before does not fit the file.
        """
        before = await version_before(self._store, name, alias)
        if before is None:
            return await self.publish(name, onnx, wording, alias)
        predecessor = Predecessor(before, OTHER_VIEW, OTHER_LABELS, viewless)
        bundle, _ = await asyncio.to_thread(composed_as_before, onnx, wording, predecessor, self._limit_bytes)
        return await self._tried(bundle, alias)

    async def succeed(self, name: str, onnx: bytes) -> int:
        """Publish a file of which nothing is said: it goes on as the version that serves, where it fits.

        Raises: as `publish`.
        """
        previous = await version_before(self._store, name, PRODUCTION)
        if previous is None:
            return await self.publish(name, onnx, Wording())
        graph = await asyncio.to_thread(inspect_graph, onnx, self._limit_bytes)
        return await self.publish(name, onnx, inherited(previous, graph))

    async def _tried(self, bundle: Bundle, alias: str | None) -> int:
        await self._trial.admit(bundle)
        return (await self._store.publish(bundle, alias)).version
