"""Where it all goes: tensors to strings at their keys, models to the store; pointers to them come last."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

from cli.errors import WrongUsage
from cli.importing.databases import Databases, database_of
from cli.importing.errors import NotMixed
from cli.importing.inventory import Found
from cli.importing.replay import now_ms
from cli.importing.values import RaiModel
from models.bundle import Bundle
from models.errors import InsituError, RedisRefused
from models.manifest import Manifest
from models.model_pointers import ModelPointer, name_of
from models.redis_failures import connected
from models.store import ModelStore
from server.resp.commands.model_storing import Place, prune, versions_here
from server.resp.refusals import Refused

AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Packed:
    """A key and the string that it shall hold."""

    found: Found
    value: bytes


class Destination:
    """One Redis under our layout; `overwrite` says that keys which hold something else are replaced."""

    def __init__(self, store: ModelStore, url: str, *, overwrite: bool) -> None:
        self.store = store
        self._databases = Databases(url, store.redis)
        self._overwrite = overwrite

    @property
    def home(self) -> int:
        """The database with the models."""
        return database_of(self.store.redis)

    async def close(self) -> None:
        """Close what was opened here."""
        await self._databases.close()

    async def there(self, found: Sequence[Found]) -> list[tuple[Found, int]]:
        """Return the keys that hold something already, with the bytes of the string there; -1 where it is none.

        Raises: WrongUsage, RedisUnavailable, RedisRefused.
        """
        taken: list[tuple[Found, int]] = []
        for db in sorted({one.db for one in found}):
            keys = [one for one in found if one.db == db]
            for at in range(0, len(keys), AT_ONCE):
                taken += await self._lengths(keys[at : at + AT_ONCE])
        return taken

    async def _lengths(self, found: Sequence[Found]) -> list[tuple[Found, int]]:
        """Return what `there` returns, of a few keys of one database.

        Raises: WrongUsage, RedisUnavailable, RedisRefused.
        """
        try:
            replies = await self._sent(found[0].db, [("TYPE", one.key) for one in found])
        except RedisRefused as error:
            if "DB index" not in str(error):
                raise
            raise no_such_database(found[0].db) from error
        there = [(one, kind) for one, kind in zip(found, replies, strict=True) if kind != b"none"]
        strings = [one for one, kind in there if kind == b"string"]
        sizes = await self._sent(found[0].db, [("STRLEN", one.key) for one in strings]) if strings else []
        known = dict(zip(strings, sizes, strict=True))
        return [(one, known.get(one, -1)) for one, _ in there]

    async def same(self, strings: Sequence[Packed]) -> list[bool]:
        """Whether keys of one database, which are known to hold strings, hold exactly these.

        Raises: RedisUnavailable, RedisRefused.
        """
        replies = await self._sent(strings[0].found.db, [("GET", one.found.key) for one in strings])
        return [reply == one.value for one, reply in zip(strings, replies, strict=True)]

    async def holds(self, found: Found, model: RaiModel) -> bool:
        """Whether a key points to exactly this model already.

        Raises: RedisUnavailable, RedisRefused.
        """
        there = await self._read(found)
        pointer = ModelPointer.parse(there) if there is not None else None
        if pointer is None:
            return False
        try:
            manifest = await self.store.manifest(pointer.name, pointer.version)
        except InsituError:
            return False
        return manifest.digest == sha256(model.file).hexdigest() and manifest.execution == model.execution

    async def _read(self, found: Found) -> bytes | None:
        """Return the string at a key, None where there is something else or nothing."""
        (kind,) = await self._sent(found.db, [("TYPE", found.key)])
        if kind != b"string":
            return None
        (value,) = await self._sent(found.db, [("GET", found.key)])
        return value if isinstance(value, bytes) else None

    async def put(self, strings: Sequence[Packed]) -> list[Found]:
        """Write strings of one database; return the keys that were taken meanwhile and are left as they are.

        Raises: RedisUnavailable, RedisRefused.
        """
        words = [self._set(one) for one in strings]
        replies = await self._sent(strings[0].found.db, words) if strings else []
        return [one.found for one, reply in zip(strings, replies, strict=True) if not reply]

    def _set(self, one: Packed) -> tuple[Any, ...]:
        expires = one.found.expires_at_ms
        left = () if expires is None else ("PX", max(1, expires - now_ms()))
        return ("SET", one.found.key, one.value, *left, *(() if self._overwrite else ("NX",)))

    async def earlier(self, found: Found) -> list[int]:
        """Return the versions that were stored at the key of a model before.

        Raises: NotMixed, its name belongs to models of other doors or of another key; RedisUnavailable, RedisRefused.
        """
        try:
            return await versions_here(self._place(found))
        except Refused as error:
            raise NotMixed(str(error).removeprefix("ERR ")) from error

    def _place(self, found: Found) -> Place:
        return Place(self.store, found.key, found.db, name_of(found.key))

    async def publish(self, found: Found, bundle: Bundle) -> Manifest | None:
        """Store a model, then let its key point to it; None when the key was taken meanwhile, and it was taken back.

        As AI.MODELSTORE does it: the version that the key pointed to before is kept, older ones are deleted.

        Raises: NotMixed, RedisUnavailable, RedisRefused.
        """
        before = await self.earlier(found)
        there = await self._read(found)
        manifest = await self.store.publish(bundle, None)
        name, version = manifest.name, manifest.version
        if await self.put([Packed(found, ModelPointer(name, version).pack())]):
            await self.store.delete(name, version)
            return None
        await self.store.promote(name, version)
        replaced = ModelPointer.parse(there) if there else None
        await prune(partial(self._asked, found.db), self._place(found), before, replaced)
        return manifest

    async def _sent(self, db: int, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Send commands to a database, in one write.

        Raises: RedisUnavailable, RedisRefused.
        """
        return await self._asked(db, commands, raising=True)

    async def _asked(self, db: int, commands: Sequence[Sequence[Any]], raising: bool = False) -> list[Any]:
        """Send commands to a database, in one write; what Redis refuses is an error in its place, or raised.

        Raises: RedisUnavailable; RedisRefused.
        """
        client: Any = self._databases.of(db)
        pipeline = client.pipeline(transaction=False)
        for words in commands:
            pipeline.execute_command(*words)
        async with connected(client):
            return list(await pipeline.execute(raise_on_error=raising))


def no_such_database(db: int) -> WrongUsage:
    """Return the error of a destination that has fewer databases than the source."""
    return WrongUsage(
        f"keys of database {db} are to be written, and the destination has no database of that number; raise "
        "`databases` in its configuration, or add --db with the databases that it has"
    )
