"""Which keys mean a model: those it was stored at, as far as they are still there, and names of other doors' models."""

from collections.abc import Sequence

from models.manifest import Manifest
from models.model_pointers import ModelPointer
from models.store import PRODUCTION, ModelStore
from server.resp.caller import Caller

MODELS_AT_ONCE = 64  # manifests that are read together; each may have a model card in it

Listed = list[tuple[bytes, Manifest]]


async def listed(caller: Caller) -> Listed:
    """Return the keys that mean a model in the database of a caller, with what each one means.

    A model whose key was renamed is not found: only the key that it was stored at is known.

    Raises: RedisUnavailable, RedisRefused.
    """
    found: Listed = []
    versions = await caller.engine.store.stored()
    places = [(name, known[-1]) for name, known in versions.items()]
    for at in range(0, len(places), MODELS_AT_ONCE):
        newest = await caller.engine.store.manifests(places[at : at + MODELS_AT_ONCE])
        found += await meant(caller, [one for one in newest if one is not None])
    return found


async def meant(caller: Caller, newest: Sequence[Manifest]) -> Listed:
    """Return the keys at which models were stored, or that their names are, and what each one means now.

    Raises: RedisUnavailable, RedisRefused.
    """
    keys = [one.execution.place if one.execution else one.name.encode() for one in newest]
    replies = await caller.redis([("GET", key) for key in keys]) if keys else []
    places = [
        await place_of(caller.engine.store, one, reply) for one, reply in zip(newest, replies, strict=True)
    ]
    there = [place for place in places if place is not None]
    manifests = iter(await caller.engine.store.manifests(there))
    pairs = [(key, next(manifests)) for key, place in zip(keys, places, strict=True) if place is not None]
    return [(key, manifest) for key, manifest in pairs if manifest is not None]


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
