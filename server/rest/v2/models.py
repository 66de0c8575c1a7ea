"""What clients of the Open Inference Protocol ask of a model: metadata, configuration, statistics, readiness."""

from typing import Any

from fastapi import APIRouter

from models.errors import BadRequest
from server.access import Access
from server.inference.engine import Engine
from server.open_inference.describing import config, model_metadata
from server.open_inference.model_statistics import model_statistics
from server.open_inference.repository import ready
from server.open_inference.signatures import Signature, signature_of, versions_of
from server.rest import asks
from server.rest.documenting import protocol_failures
from server.rest.guarding import needs
from server.rest.parameters import ModelName, Version
from server.rest.v2.examples import ABSENT
from server.rest.v2.schemas import ModelMetadata, ModelReady
from server.rest.wire import Json

MODEL = "/v2/models/{name}"
VERSION = "/v2/models/{name}/versions/{version}"
Responses = dict[int | str, dict[str, Any]]
CONFIGURED: Responses = {
    200: {
        "description": "The configuration, as Triton has one.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    },
    **protocol_failures(*ABSENT),
}
COUNTED: Responses = {
    200: {
        "description": "`model_stats`, one entry a version, as Triton has them.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    },
    **protocol_failures(*ABSENT),
}


def create_router(engine: Engine, access: Access) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["open inference"], dependencies=[needs(access, "predict")])
    add_statistics(router, engine)
    add_metadata(router, engine)
    add_configuration(router, engine)
    add_readiness(router, engine)
    return router


async def signed(engine: Engine, name: str, version: str | None) -> Signature:
    """Return the signature of a version of a path.

    Raises: as signature_of.
    """
    return await signature_of(engine, name, asks.reference(version))


def add_metadata(router: APIRouter, engine: Engine) -> None:
    """Add the routes of metadata."""
    said: dict[str, Any] = {"response_model": ModelMetadata, "responses": protocol_failures(*ABSENT)}

    @router.get(MODEL, summary="Model metadata", **said)
    async def describe_model(name: ModelName) -> Json:
        """Tell the inputs and outputs of the version that the alias `production` means."""
        return await described(engine, await signed(engine, name, None))

    @router.get(VERSION, summary="Version metadata", **said)
    async def describe_version(name: ModelName, version: Version) -> Json:
        """Tell the inputs and outputs of a version: a number, or an alias."""
        return await described(engine, await signed(engine, name, version))


async def described(engine: Engine, signature: Signature) -> Json:
    """Return metadata.

    Raises: as versions_of.
    """
    versions = await versions_of(engine, signature.manifest.name)
    return Json(model_metadata(signature.manifest, versions, signature.plan))


def add_configuration(router: APIRouter, engine: Engine) -> None:
    """Add the routes of configurations."""
    rows, batch = engine.limits.rows, engine.limits.batch

    @router.get(f"{MODEL}/config", summary="Model configuration", response_model=None, responses=CONFIGURED)
    async def configure_model(name: ModelName) -> Json:
        """Tell how the version is served that the alias `production` means; dimensions are those of one row."""
        signature = await signed(engine, name, None)
        return Json(config(signature.manifest, signature.plan, rows, batch))

    @router.get(
        f"{VERSION}/config", summary="Version configuration", response_model=None, responses=CONFIGURED
    )
    async def configure_version(name: ModelName, version: Version) -> Json:
        """Tell how a version is served: a number, or an alias; dimensions are those of one row."""
        signature = await signed(engine, name, version)
        return Json(config(signature.manifest, signature.plan, rows, batch))


def add_readiness(router: APIRouter, engine: Engine) -> None:
    """Add the routes of readiness."""
    failing = protocol_failures(*ABSENT, BadRequest)
    said: dict[str, Any] = {"response_model": ModelReady, "responses": failing}

    @router.get(f"{MODEL}/ready", summary="Model ready", **said)
    async def model_ready(name: ModelName) -> Json:
        """Tell whether the version is loaded, or loads now, that the alias `production` means."""
        return Json(await readiness(engine, name, None))

    @router.get(f"{VERSION}/ready", summary="Version ready", **said)
    async def version_ready(name: ModelName, version: Version) -> Json:
        """Tell whether a version is loaded, or loads now: a number, or an alias."""
        return Json(await readiness(engine, name, version))


async def readiness(engine: Engine, name: str, version: str | None) -> dict[str, Any]:
    """Return that a version may be sent requests.

    Raises: BadRequest, it was unloaded or does not load, 400 as in Triton; as signature_of.
    """
    reference = asks.reference(version)
    number = (await signature_of(engine, name, reference)).manifest.version
    if await ready(engine, name, reference):
        return {"name": name, "ready": True}
    why = engine.catalogue.failures(name).get(number, "it was unloaded; a request or a load brings it back")
    raise BadRequest(f"version {number} of model {name!r} is not ready: {why}", model=name, version=number)


def add_statistics(router: APIRouter, engine: Engine) -> None:
    """Add the routes of statistics; that of all models comes before a model called `stats`, as in Triton."""
    said: dict[str, Any] = {"response_model": None, "responses": COUNTED}

    @router.get("/v2/models/stats", summary="Statistics", **said)
    async def count_models() -> Json:
        """Tell what was counted of every model, by all workers together."""
        return Json(await model_statistics(engine))

    @router.get(f"{MODEL}/stats", summary="Statistics of a model", **said)
    async def count_model(name: ModelName) -> Json:
        """Tell what was counted of every version of a model, by all workers together."""
        return Json(await model_statistics(engine, name))

    @router.get(f"{VERSION}/stats", summary="Statistics of a version", **said)
    async def count_version(name: ModelName, version: Version) -> Json:
        """Tell what was counted of a version, by all workers together: a number, or an alias."""
        return Json(await model_statistics(engine, name, asks.reference(version)))
