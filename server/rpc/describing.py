"""Calls that tell how the server and its models are; the first three are open to everybody, as over HTTP."""

from typing import Any

from google.protobuf.json_format import ParseDict

from models.errors import AliasNotFound, BadName, BadRequest, ModelNotFound, VersionNotFound
from server.inference.engine import Engine
from server.open_inference.describing import config, model_metadata, server_metadata
from server.open_inference.model_statistics import model_statistics
from server.open_inference.repository import ready
from server.open_inference.signatures import signature_of, versions_of
from server.rpc.messages import message
from server.rpc.methods import Methods
from server.rpc.requests import reference_of

ABSENT = (ModelNotFound, VersionNotFound, AliasNotFound, BadName)


def server_methods(engine: Engine, version: str) -> Methods:
    """Return the calls about the server by name."""

    async def server_live(_request: Any) -> Any:
        return message("ServerLiveResponse")(live=True)

    async def server_ready(_request: Any) -> Any:
        return message("ServerReadyResponse")(ready=engine.ready()[0])

    async def metadata_of_server(_request: Any) -> Any:
        return message("ServerMetadataResponse")(**server_metadata(version))

    return {
        "ServerLive": (None, server_live),
        "ServerReady": (None, server_ready),
        "ServerMetadata": (None, metadata_of_server),
    }


def model_methods(engine: Engine) -> Methods:
    """Return the calls about a model by name."""

    async def model_ready(request: Any) -> Any:
        there = await ready(engine, request.name, reference_of(request.version))
        return message("ModelReadyResponse")(ready=there)

    async def metadata_of_model(request: Any) -> Any:
        found = await signature_of(engine, request.name, reference_of(request.version))
        versions = await versions_of(engine, request.name)
        facts = model_metadata(found.manifest, versions, found.plan)
        return message("ModelMetadataResponse")(**facts)

    async def model_config(request: Any) -> Any:
        found = await signature_of(engine, request.name, reference_of(request.version))
        limits = engine.limits
        facts = config(found.manifest, found.plan, limits.rows, limits.batch)
        return ParseDict({"config": facts}, message("ModelConfigResponse")())

    async def statistics(request: Any) -> Any:
        try:
            facts = await model_statistics(engine, request.name, reference_of(request.version))
        except ABSENT as error:  # Triton says INVALID_ARGUMENT here, not NOT_FOUND
            raise BadRequest(str(error), **error.details) from error
        return ParseDict(facts, message("ModelStatisticsResponse")())

    return {
        "ModelReady": ("predict", model_ready),
        "ModelMetadata": ("predict", metadata_of_model),
        "ModelConfig": ("predict", model_config),
        "ModelStatistics": ("predict", statistics),
    }
