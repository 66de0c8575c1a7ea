"""The model that a key means to the commands: by its pointer, or by its name where another door published it."""

from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from models.errors import AliasNotFound, BadName, BundleCorrupt, ModelNotFound, VersionNotFound
from models.manifest import Manifest
from models.model_pointers import ModelPointer, name_of
from models.store import PRODUCTION
from server.inference.engine import Engine
from server.inference.loading import Serving
from server.resp.caller import Caller
from server.resp.refusals import WRONG_TYPE, Refused, refused

EMPTY = "model key is empty"
ABSENT = (AliasNotFound, BadName, ModelNotFound, VersionNotFound)


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of a model, loaded, and the key that means it."""

    key: bytes
    name: str
    version: int
    manifest: Manifest
    serving: Serving


async def model_at(caller: Caller, key: bytes) -> Stored:
    """Return the model at a key.

    Raises: Refused, there is none; what a version raises that does not load; RedisUnavailable.
    """
    (reply,) = await caller.redis([("GET", key)])
    return await model_of(caller, key, reply)


async def model_of(caller: Caller, key: bytes, reply: Any) -> Stored:
    """Return the model at a key, of which Redis has said what is there: the reply to GET.

    Where that version was deleted since, because others were stored in its place, the newest one is meant.

    Raises: as `model_at`.
    """
    pointer = pointer_of(reply)
    if pointer is None:
        return await published_as(caller.engine, key)
    try:
        serving = await loaded(caller.engine, pointer.name, pointer.version)
    except (*ABSENT, BundleCorrupt) as error:  # half of it may be there when it is read while it is deleted
        (now,) = await caller.redis([("GET", key)])
        if now != reply:
            return await model_of(caller, key, now)
        if isinstance(error, BundleCorrupt):
            raise
        raise refused(EMPTY) from None  # it was deleted by its name
    return stored(key, serving)


async def manifest_at(caller: Caller, key: bytes) -> Manifest:
    """Return the manifest of the model at a key, which need not be loaded.

    Raises: Refused, there is none; BundleCorrupt, ManifestUnreadable, RedisUnavailable, RedisRefused.
    """
    (reply,) = await caller.redis([("GET", key)])
    return await manifest_of(caller, key, reply)


async def manifest_of(caller: Caller, key: bytes, reply: Any) -> Manifest:
    """Return the manifest of the model at a key, of which Redis has said what is there: the reply to GET.

    Raises: as `manifest_at`.
    """
    pointer, engine = pointer_of(reply), caller.engine
    name = name_of(key) if pointer is None else pointer.name
    version = pointer.version if pointer else (await engine.store.aliases(name)).get(PRODUCTION)
    if version is None:
        raise refused(EMPTY)
    try:
        manifest = await engine.manifest(name, version)
    except ABSENT:
        raise refused(EMPTY) from None
    if pointer is None and manifest.execution is not None:
        raise refused(EMPTY)
    return manifest


def pointer_of(reply: Any) -> ModelPointer | None:
    """Return the pointer that Redis has at a key, None where the key is absent.

    Raises: Refused, something else is there, or Redis said no.
    """
    if reply is None:
        return None
    if isinstance(reply, ResponseError):
        raise Refused(said(reply))
    pointer = ModelPointer.parse(reply)
    if pointer is None:
        raise Refused(WRONG_TYPE)
    return pointer


def said(reply: ResponseError) -> str:
    """Return an error of Redis as it was on the wire: the client takes code words off that it knows."""
    code = getattr(reply, "status_code", None)
    return f"{code} {reply}" if code else str(reply)


async def published_as(engine: Engine, key: bytes) -> Stored:
    """Return what production means of the model that another door published under the name of a key.

    Raises: Refused, there is none.
    """
    try:
        serving = await loaded(engine, name_of(key), None)
    except ABSENT:
        raise refused(EMPTY) from None
    if serving.manifest.execution is not None:  # it was stored at a key, which is gone
        raise refused(EMPTY)
    return stored(key, serving)


async def loaded(engine: Engine, name: str, version: int | None) -> Serving:
    """Return a version, loaded; what production means where none is named.

    Raises: as `Catalogue.get`.
    """
    route = engine.catalogue.route(name, version) or await engine.catalogue.routed(name, version)
    return route.serving


def stored(key: bytes, serving: Serving) -> Stored:
    """Return a loaded version as the commands take it."""
    manifest = serving.manifest
    return Stored(key, manifest.name, manifest.version, manifest, serving)
