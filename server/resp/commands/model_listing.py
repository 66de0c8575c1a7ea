"""Which keys mean a model: those that point to one, and names of other doors' models."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from models.manifest import Manifest
from models.model_pointers import ModelPointer
from models.store import PRODUCTION, ModelStore
from server.resp.caller import Caller
from server.resp.commands.model_keys import Pointers, pointers

MODELS_AT_ONCE = 64  # manifests that are read together; each may have a model card in it

Listed = list[tuple[bytes, Manifest]]
Places = dict[bytes, tuple[str, int]]
One = TypeVar("One")


async def listed(caller: Caller) -> Listed:
    """Return the keys that mean a model in the database of a caller, with what each one means.

    Of a database that is not looked through only the keys are known that models were stored at, not those that they
    were renamed or copied to.

    Raises: RedisUnavailable, RedisRefused.
    """
    store = caller.engine.store
    pointing = await pointers(caller.redis)
    places: Places = {key: (one.name, one.version) for key, one in (pointing or {}).items()}
    newest = [(name, known[-1]) for name, known in (await store.stored()).items()]
    for part in parts(newest):
        manifests = [one for one in await store.manifests(part) if one is not None]
        places |= await meant(caller, manifests, pointing)
    found: Listed = []
    for some in parts(places.items()):
        known = await store.manifests([place for _, place in some])
        found += [(key, one) for (key, _), one in zip(some, known, strict=True) if one is not None]
    return found


def parts(every: Iterable[One]) -> Iterator[list[One]]:
    """Return things in parts of as many as are read together."""
    whole = [*every]
    for at in range(0, len(whole), MODELS_AT_ONCE):
        yield whole[at : at + MODELS_AT_ONCE]


async def meant(caller: Caller, newest: Sequence[Manifest], pointing: Pointers | None) -> Places:
    """Return the keys at which models were stored, or that their names are, and what each one means now.

    Raises: RedisUnavailable, RedisRefused.
    """
    asked = [one for one in newest if pointing is None or one.execution is None]
    keys = [one.execution.place if one.execution else one.name.encode() for one in asked]
    replies = await caller.redis([("GET", key) for key in keys]) if keys else []
    found: Places = {}
    for key, one, reply in zip(keys, asked, replies, strict=True):
        place = await place_of(caller.engine.store, one, reply)
        if place is not None:
            found[key] = place
    return found


async def place_of(store: ModelStore, newest: Manifest, reply: object) -> tuple[str, int] | None:
    """Return the version that a key means, of which Redis has said what is there; None where it means none.

    Raises: RedisUnavailable, RedisRefused.
    """
    pointer = ModelPointer.parse(reply) if isinstance(reply, bytes) else None
    if pointer is not None:
        return pointer.name, pointer.version
    if reply is not None or newest.execution is not None:
        return None
    version = (await store.aliases(newest.name)).get(PRODUCTION)
    return None if version is None else (newest.name, version)
