"""Whether the server lives and may be sent requests, as clients of the Open Inference Protocol ask; and what it is."""

from typing import Any

from fastapi import APIRouter

from server.inference.engine import Engine
from server.open_inference.describing import server_metadata
from server.rest.documenting import protocol_failures
from server.rest.health import program_version
from server.rest.refusals import NotReady
from server.rest.v2.schemas import Live, ServerMetadata, ServerReady
from server.rest.wire import Json

Responses = dict[int | str, dict[str, Any]]


def create_router(engine: Engine) -> APIRouter:
    """Return the routes; they are open to everybody and say nothing about models."""
    router = APIRouter(tags=["open inference"])
    facts = server_metadata(program_version())
    not_ready: Responses = {503: protocol_failures(NotReady)[503]}

    @router.get("/v2/health/live", summary="Server live", response_model=Live)
    async def server_live() -> Json:
        """Tell that the process answers."""
        return Json({"live": True})

    @router.get("/v2/health/ready", summary="Server ready", response_model=ServerReady, responses=not_ready)
    async def server_ready() -> Json:
        """Tell whether requests may be sent: 503 with the reason until they may."""
        good, reason = engine.ready()
        if not good:
            raise NotReady(reason, redis=engine.redis_ok)
        return Json({"live": True, "ready": True})

    @router.get("/v2", summary="Server metadata", response_model=ServerMetadata)
    async def describe_server() -> Json:
        """Tell the server's name, version and the extensions of the protocol that it has."""
        return Json(facts)

    return router
