"""The model repository as Triton's extension words it: what is stored, and what this server holds in memory.

What is stored is Redis' own; a load and an unload change what is held in memory here, and every other server
beside the same Redis, workers included, is asked to do the same. One that is away then does not hear of it.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from models.errors import BadRequest, InsituError, ModelNotFound, listed, shown
from models.events import LOAD, UNLOAD
from models.keys import check_name
from models.nodes_away import Walk
from models.redis_failures import in_time
from models.shards import lie_apart
from server.inference.catalogue import Reference
from server.inference.engine import Engine
from server.inference.meanings import LOOK_UP_SECONDS
from server.open_inference.given_config import check_config

READY, LOADING, UNAVAILABLE = "READY", "LOADING", "UNAVAILABLE"
NOT_YET = "not loaded yet: the first request loads it"
AWAY = "its node of the Redis Cluster is away: what else is stored of it is not known"
UNLOADED = "unloaded: the next request, or a load, loads it again"
CONFIG, FILE = "config", "file:"

Entry = dict[str, str]
Place = tuple[str, int]


async def index(engine: Engine, ready_only: bool = False) -> list[Entry]:
    """Return every stored version with its state here, by name and number; with `ready_only` what is loaded.

    Raises: RedisUnavailable, where no Redis, or of a cluster not the node that has the names, answers; RedisRefused;
            none with `ready_only`, which needs no Redis.
    """
    if ready_only:
        return [*held(engine)]
    if lie_apart(engine.store.redis):
        return await index_of_nodes(engine)
    async with in_time(LOOK_UP_SECONDS):
        stored = await engine.store.stored()
    return await states(
        engine, [(name, version) for name, versions in stored.items() for version in versions]
    )


async def index_of_nodes(engine: Engine) -> list[Entry]:
    """Return the index of a cluster, model by model; one whose node is away has an entry that says so, of no version.

    Raises: RedisUnavailable, RedisRefused.
    """
    found: list[Entry] = []
    walk = Walk(engine.store)
    for name in await engine.catalogue.stored():
        entries = await walk.at(name, partial(entries_of, engine))
        if entries is None:
            loaded = [one for one in held(engine) if one["name"] == name]
            entries = [*loaded, entry((name, ""), UNAVAILABLE, AWAY)]
        found += entries
    return found


async def entries_of(engine: Engine, name: str) -> list[Entry]:
    """Return the entries of one model, none where it is deleted.

    Raises: RedisUnavailable, RedisRefused.
    """
    try:
        async with in_time(LOOK_UP_SECONDS):
            versions = await engine.store.versions(name)
    except ModelNotFound:
        return []
    return await states(engine, [(name, version) for version in versions])


def held(engine: Engine) -> Iterator[Entry]:
    """Return what is loaded."""
    for one in engine.catalogue.loaded():
        yield entry((one.manifest.name, one.manifest.version), READY)


async def states(engine: Engine, places: Sequence[Place]) -> list[Entry]:
    """Return stored versions, each with its state here.

    Raises: RedisUnavailable, RedisRefused.
    """
    told = await problems(engine, [place for place in places if engine.catalogue.find(*place) is None])
    return [stated(engine, place, told.get(place, "")) for place in places]


async def problems(engine: Engine, places: Sequence[Place]) -> dict[Place, str]:
    """Return why versions are not loaded: as this server found when it last tried, or as another one kept it."""
    async with in_time(LOOK_UP_SECONDS):
        kept = await engine.store.refusals.among(places)
    found = {place: str(refusal) for place, refusal in kept.items()}
    for name in dict.fromkeys(name for name, _ in places):
        found |= {(name, version): why for version, why in engine.catalogue.failures(name).items()}
    return found


def stated(engine: Engine, place: Place, problem: str) -> Entry:
    """Return a stored version with its state."""
    name, version = place
    if engine.catalogue.find(name, version) is not None:
        return entry(place, READY)
    if version in engine.catalogue.loading(name):
        return entry(place, LOADING)
    return entry(place, UNAVAILABLE, problem or (UNLOADED if engine.catalogue.unloaded(name) else NOT_YET))


def entry(place: tuple[str, int | str], state: str, reason: str = "") -> Entry:
    """Return one line of the index."""
    return {"name": place[0], "version": str(place[1]), "state": state, "reason": reason}


async def load(engine: Engine, name: str, parameters: Mapping[str, Any]) -> int:
    """Load a model and return the version that answers; a file is published first, as its next version.

    `parameters` may hold `config`, a Triton configuration as a text of JSON, which is checked and otherwise
    passed over, and `file:N/model.onnx`, the bytes of an ONNX file: whatever N is, the file becomes the next
    version, is pointed to by production, and keeps feature view and wording of the one before where they fit.

    Raises: BadName, BadRequest, ModelTooLarge, BadModelFile, Overloaded; ModelNotFound, and what keeps a
            stored version from being loaded; RedisUnavailable, RedisRefused.
    """
    check_name(name)
    onnx = file_in(parameters)
    if CONFIG in parameters:
        check_config(name, parameters[CONFIG])
    if onnx is None:
        version = (await engine.catalogue.load(name)).manifest.version
    else:
        async with engine.publisher.turn(name):
            version = await engine.publisher.succeed(name, onnx)
        del onnx, parameters  # while it is loaded it would be in memory once more
        await engine.catalogue.load(name)  # production moves here when the new version is loaded
        await engine.catalogue.get(name, version)
    await tell_others(engine, LOAD, name)
    return version


def file_in(parameters: Mapping[str, Any]) -> bytes | None:
    """Return the ONNX file among the parameters of a load.

    Raises: BadRequest, a parameter that is not known, several files, one that is no ONNX file or no bytes.
    """
    unknown = [one for one in parameters if one != CONFIG and not one.startswith(FILE)]
    if unknown:
        raise BadRequest(
            f"parameters of a load are `{CONFIG}` and `{FILE}1/model.onnx`, not {listed(unknown)}"
        )
    files = [one for one in parameters if one.startswith(FILE)]
    if not files:
        return None
    if len(files) > 1 or not files[0].endswith(".onnx"):
        raise BadRequest(f"a load takes one ONNX file, as `{FILE}1/model.onnx`; it brings {listed(files)}")
    data = parameters[files[0]]
    if not isinstance(data, bytes):
        raise BadRequest(f"{shown(files[0])} holds {type(data).__name__}; send the bytes of the file")
    return data


async def unload(engine: Engine, name: str) -> None:
    """Let every version of a model leave the memory, not Redis; a model that is not there is unloaded already.

    Requests that run on one end on it. Until a request or a load brings the model back it is not ready.

    Raises: BadName; RedisUnavailable and RedisRefused, where nothing is known here of the model, or the
            other servers cannot be told.
    """
    check_name(name)
    catalogue = engine.catalogue
    if not catalogue.knows(name) and not any(one.manifest.name == name for one in catalogue.loaded()):
        try:
            async with in_time(LOOK_UP_SECONDS):
                await engine.store.versions(name)
        except ModelNotFound:
            return
    catalogue.unload(name)
    await tell_others(engine, UNLOAD, name)


async def tell_others(engine: Engine, event: str, name: str) -> None:
    """Ask every other server to do with a model what was done here.

    Raises: RedisUnavailable, RedisRefused.
    """
    async with in_time(LOOK_UP_SECONDS):
        await engine.store.ask(event, name, engine.process)


async def ready(engine: Engine, name: str, reference: Reference = None) -> bool:
    """Whether requests of a model are answered: it is loaded, or loads now, and was not unloaded.

    What is loaded stays ready while Redis is away; what takes longer to load than a request may take
    is not ready yet.
    """
    if engine.catalogue.unloaded(name):
        return False
    if engine.catalogue.route(name, reference) is not None:
        return True
    try:
        async with asyncio.timeout(engine.limits.timeout_seconds):
            await engine.catalogue.get(name, reference)
    except (InsituError, TimeoutError):
        return False
    return True
