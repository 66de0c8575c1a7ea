"""The model repository of the Open Inference Protocol: what there is; load, with or without a file; unload."""

from typing import Any

from fastapi import APIRouter, Request

from models import errors as domain
from models.errors import BadRequest
from models.signing_errors import NotTrusted, UnsignedUpload
from server.access import Access
from server.inference import errors as core
from server.inference.engine import Engine
from server.open_inference.repository import index, load, unload
from server.rest import refusals
from server.rest.documenting import body_of, protocol_failures
from server.rest.guarding import needs
from server.rest.parameters import ModelName
from server.rest.v2.bodies import truth
from server.rest.v2.files import Files, parameters_in, read
from server.rest.v2.schemas import IndexRequest, LoadedModel, LoadRequest, ModelVersionState, UnloadRequest
from server.rest.wire import Json, check_plain

INDEX = "/v2/repository/index"
LOAD = "/v2/repository/models/{name}/load"
UNLOAD = "/v2/repository/models/{name}/unload"
Said = dict[str, Any]
INDEX_SAID: Said = body_of(IndexRequest, {"all": {}, "loaded": {"ready": True}})
LOAD_SAID: Said = body_of(
    LoadRequest,
    {
        "what is stored": {},
        "a file": {"parameters": {"config": '{"name": "churn"}', "file:1/model.onnx": "CAgSBGdyYXBo"}},
    },
)
UNLOAD_SAID: Said = body_of(UnloadRequest, {"it": {}})
for said in (INDEX_SAID, LOAD_SAID, UNLOAD_SAID):
    said["requestBody"]["required"] = False
ABSENT = (domain.BadName, BadRequest, refusals.MalformedJson, domain.RedisUnavailable, domain.RedisRefused)


def create_index(engine: Engine, access: Access) -> APIRouter:
    """Return the route that looks."""
    router = APIRouter(tags=["open inference"], dependencies=[needs(access, "predict")])

    @router.post(
        INDEX,
        summary="Repository index",
        response_model=list[ModelVersionState],
        openapi_extra=INDEX_SAID,
        responses=protocol_failures(BadRequest, refusals.MalformedJson, domain.RedisUnavailable),
    )
    async def list_repository(request: Request) -> Json:
        """List every stored version, and whether this server has it in memory."""
        data = read(await request.body())
        return Json(await index(engine, truth(data, "ready") is True))

    return router


def create_writers(engine: Engine, access: Access) -> APIRouter:
    """Return the routes that change what is in memory."""
    router = APIRouter(tags=["open inference"], dependencies=[needs(access, "admin")])
    files = Files()

    @router.post(
        LOAD,
        summary="Load a model",
        response_model=LoadedModel,
        openapi_extra=LOAD_SAID,
        responses=protocol_failures(
            *ABSENT,
            domain.ModelNotFound,
            domain.BadModelFile,
            NotTrusted,
            UnsignedUpload,
            domain.ModelTooLarge,
            core.Overloaded,
            refusals.BodyTooLarge,
        ),
    )
    async def load_model(request: Request, name: ModelName) -> Json:
        """Load what production means; a file that comes along is published first, as the next version."""
        check_plain(request.headers)
        async with files.turn(request, name):
            version = await load(engine, name, await files.received(request))
        return Json({"name": name, "version": str(version)})

    @router.post(
        UNLOAD,
        summary="Unload a model",
        response_model=None,
        openapi_extra=UNLOAD_SAID,
        responses=protocol_failures(*ABSENT),
    )
    async def unload_model(request: Request, name: ModelName) -> Json:
        """Let every version of a model leave the memory, not Redis: the next request loads it again."""
        parameters_in(read(await request.body()))
        await unload(engine, name)
        return Json({})

    return router
