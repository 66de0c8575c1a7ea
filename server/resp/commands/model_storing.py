"""A model comes to a key and leaves it: published like any other, then pointed to.

The file is tried in a process of its own before anything is stored, so a bad one never reaches the
server, and storing holds nobody up. The pointer is written last, and alone decides what the key means.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

from redis.exceptions import ResponseError

from models.composing import Wording
from models.errors import (
    AliasNotFound,
    ModelNotFound,
    ModelTooLarge,
    RedisUnavailable,
    VersionInUse,
    VersionNotFound,
)
from models.execution import Execution
from models.manifest import Manifest
from models.model_pointers import START, ModelPointer, name_of
from models.store import PRODUCTION, ModelStore
from server.inference.sessions import CPU
from server.resp.caller import Caller, Redis, Script
from server.resp.commands.model_keys import pointers
from server.resp.commands.model_parsing import Wanted
from server.resp.commands.stored_models import EMPTY, loaded, pointer_of, said
from server.resp.refusals import WRONG_TYPE, Refused, refused

log = logging.getLogger(__name__)

LOOKED_AT = 32  # of the newest versions of a name: at a key there are two at a time
PART_BYTES = 1 << 20
STORING_MOST = timedelta(minutes=5)  # from when a version is published until its key points to it
WRONG = -1
# KEYS: the key.  ARGV: how a pointer begins.  Returns what was there: a pointer, nothing, or -1 for another value.
THERE = """
local there = redis.pcall('GET', KEYS[1])
if type(there) == 'table' then return there end
if there and string.sub(there, 1, #ARGV[1]) ~= ARGV[1] then return -1 end
"""
# ARGV further: the pointer.
POINT = Script(THERE + "redis.call('SET', KEYS[1], ARGV[2])\nreturn there")
UNPOINT = Script(THERE + "if there then redis.call('DEL', KEYS[1]) end\nreturn there")


@dataclass(frozen=True, slots=True)
class Place:
    """A key of one database, and the name that the models stored at it have."""

    store: ModelStore
    key: bytes
    db: int
    name: str

    @classmethod
    def of(cls, caller: Caller, key: bytes) -> "Place":
        """Return a key of the database that a caller has selected."""
        return cls(caller.engine.store, key, caller.db, name_of(key))

    def holds(self, manifest: Manifest) -> bool:
        """Whether a version was stored here."""
        execution = manifest.execution
        return execution is not None and execution.place == self.key and execution.db == self.db


async def put(caller: Caller, wanted: Wanted) -> None:
    """Store a model at a key, in place of one that is there; that one is kept, older ones are deleted.

    Raises: Refused, BadModelFile, ModelTooLarge, Overloaded, ModelNotLoadable, RedisUnavailable, RedisRefused.
    """
    engine, place = caller.engine, Place.of(caller, wanted.key)
    (there,) = await caller.redis([("GET", wanted.key)])
    pointer_of(there)
    check_device(wanted.execution, engine.catalogue.options.provider)
    size = sum(map(len, wanted.chunks))
    if size > engine.limits.model_bytes:
        raise ModelTooLarge(size, engine.limits.model_bytes)
    async with engine.publisher.turn(place.name):
        before = await versions_here(place)
        version = await publish(caller, place.name, wanted)
        replaced = await pointed(caller, place, wanted.execution, version)
        await engine.store.promote(place.name, version)
        await prune(caller.redis, place, before, replaced)


async def publish(caller: Caller, name: str, wanted: Wanted) -> int:
    """Publish the file that came in chunks, and return the number of its version, which no alias means yet.

    Raises: BadModelFile, ModelTooLarge, Overloaded, ModelNotLoadable, RedisUnavailable, RedisRefused.
    """
    onnx = await asyncio.to_thread(joined, wanted.chunks)
    return await caller.engine.publisher.publish(name, onnx, Wording(execution=wanted.execution), None)


def joined(chunks: list[bytes]) -> bytes:
    """Return the file that chunks are, copied in parts with room for other threads between; the list is empty then.

    What holds the chunks until the file is loaded again from Redis would hold it in memory once more.
    """
    if len(chunks) == 1:
        return chunks.pop()
    file = BytesIO()  # it hands out what it holds without copying it
    chunks.reverse()
    while chunks:
        view = memoryview(chunks.pop())
        for at in range(0, len(view), PART_BYTES):
            file.write(view[at : at + PART_BYTES])
    return file.getvalue()


def check_device(execution: Execution, provider: str) -> None:
    """Refuse a model for a GPU where another provider is the one that runs it.

    Raises: Refused.
    """
    if provider == CPU and execution.device.upper().startswith("GPU"):
        raise refused("GPU requested but ONNX couldn't find CUDA")


async def versions_here(place: Place) -> list[int]:
    """Return the versions that were stored at a key, ascending; not those that another server is about to point to.

    Raises: Refused, their name belongs to models of other doors or of another key; RedisUnavailable, RedisRefused.
    """
    versions = await newest(place)
    manifests = await place.store.manifests([(place.name, version) for version in versions])
    known = dict(zip(versions, manifests, strict=True))
    if None in manifests:  # one was deleted meanwhile, or cannot be read
        there = await newest(place)
        known = {version: one for version, one in known.items() if one is not None or version in there}
    for version, manifest in known.items():
        check_own(place, version, manifest)
    here = [one for one in known.values() if one is not None and place.holds(one)]
    meant = await place.store.meant(place.name) if here else set()
    return [one.version for one in here if one.version in meant or is_left_over(one)]


async def newest(place: Place) -> list[int]:
    """Return the newest versions of the name that models at a key have, ascending.

    Raises: RedisUnavailable, RedisRefused.
    """
    try:
        return (await place.store.versions(place.name))[-LOOKED_AT:]
    except ModelNotFound:
        return []


def is_left_over(manifest: Manifest) -> bool:
    """Whether whoever stored a version that production never meant must have died before it could."""
    return manifest.created is None or datetime.now(UTC) - manifest.created > STORING_MOST


def check_own(place: Place, version: int, manifest: Manifest | None) -> None:
    """Refuse to mix models that were stored at a key with others.

    Raises: Refused.
    """
    execution = manifest.execution if manifest is not None else None
    if execution is None:
        raise refused(
            f"version {version} of model '{place.name}' was published by another door, and the two are not "
            f"mixed; store at another key, or first `insitu delete {place.name} {version} --with-aliases`"
        )
    if execution.place != place.key:
        raise refused(
            f"version {version} of model '{place.name}' was stored at the key '{execution.key}', whose models have "
            "the same name; store at another key, or delete that one first"
        )


async def pointed(caller: Caller, place: Place, execution: Execution, version: int) -> ModelPointer | None:
    """Load a version that was just published, let the key point to it, and return where it pointed.

    Where that cannot be, or the client leaves before, the version is deleted again: no key would mean it. Where it is
    not known, because Redis went away, it stays.

    Raises: Refused, ModelNotLoadable, RedisUnavailable, RedisRefused.
    """
    pointing = False
    try:
        serving = await loaded(caller.engine, place.name, version)
        check_device(execution, serving.provider)
        pointer, pointing = ModelPointer(place.name, version), True
        return was_there(await caller.script(POINT, [place.key], [START, pointer.pack()]))
    except RedisUnavailable:
        raise
    except (Exception, asyncio.CancelledError) as error:
        if pointing and isinstance(error, asyncio.CancelledError):
            raise
        with suppress(VersionNotFound, ModelNotFound):
            await place.store.delete(place.name, version)
        raise


def was_there(reply: object) -> ModelPointer | None:
    """Return the pointer that a script found.

    Raises: Refused, it found something else, or Redis said no.
    """
    if isinstance(reply, ResponseError):
        raise Refused(said(reply))
    if reply == WRONG:
        raise Refused(WRONG_TYPE)
    return ModelPointer.parse(reply) if isinstance(reply, bytes) else None


async def prune(redis: Redis, place: Place, before: list[int], replaced: ModelPointer | None) -> None:
    """Delete what was stored at a key earlier, but for the one that was replaced, or else the newest.

    What another key points to stays, as far as the database is looked through.
    """
    kept = (
        replaced.version if replaced is not None and replaced.name == place.name else max(before, default=0)
    )
    old = [version for version in before if version != kept]
    pointing = await pointers(redis) if old else None
    for version in old:
        if ModelPointer(place.name, version) not in (pointing or {}).values():
            await delete(place.store, place.name, version)


async def take(caller: Caller, key: bytes) -> None:
    """Take the pointer at a key away, and delete the version where no other key is known to point to it.

    Raises: Refused, RedisUnavailable, RedisRefused.
    """
    await let_go(caller, key, await caller.script(UNPOINT, [key], [START]))


async def let_go(caller: Caller, key: bytes, reply: Any) -> None:
    """Delete the version whose pointer was taken from a key, where no other key is known to point to it.

    Raises: Refused, nothing was there, or no pointer; RedisUnavailable, RedisRefused.
    """
    pointer = was_there(reply)
    if reply is None:
        raise refused(EMPTY)
    if pointer is None:
        return
    store = caller.engine.store
    (manifest,) = await store.manifests([(pointer.name, pointer.version)])
    if manifest is not None and manifest.execution is not None and not await elsewhere(caller, key, manifest):
        await delete(store, pointer.name, pointer.version)


async def elsewhere(caller: Caller, key: bytes, manifest: Manifest) -> bool:
    """Whether another key may still point to a version, after one did.

    Of keys that the caller may not read, and in a database that is not looked through, that is the key it was
    stored at, no other is known. Of another database than that nothing is known.

    Raises: RedisUnavailable.
    """
    execution = manifest.execution
    if execution is None or execution.db != caller.db or caller.strays():
        return True
    pointing = await pointers(caller.redis)
    pointer = ModelPointer(manifest.name, manifest.version)
    if pointing is not None and pointer in pointing.values():
        return True
    if execution.place == key:
        return False
    (there,) = await caller.redis([("GET", execution.place)])  # a key that the caller may not read counts
    return isinstance(there, ResponseError) or bool(there == pointer.pack())


async def delete(store: ModelStore, name: str, version: int) -> None:
    """Delete a version, also what production means; what has another alias or a share of traffic stays.

    Raises: RedisUnavailable, RedisRefused.
    """
    try:
        aliases = await store.aliases(name)
        if [alias for alias, meant in aliases.items() if meant == version] == [PRODUCTION]:
            await store.remove_alias(name, PRODUCTION)
        await store.delete(name, version)
    except VersionInUse as error:
        log.info("%s v%d is at no key any more and stays: %s", name, version, error)
    except (AliasNotFound, ModelNotFound, VersionNotFound):
        log.debug("%s v%d was deleted meanwhile", name, version)
