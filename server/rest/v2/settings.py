"""Trace and log settings, for clients that look: they are read here, and changed where the server is started."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request

from models.errors import BadRequest
from server.access import Access
from server.inference.engine import Engine
from server.open_inference.settings import LOG_CURE, NO_TRACE, TRACE_CURE, check_same, logged
from server.open_inference.signatures import signature_of
from server.rest.asks import kind
from server.rest.documenting import protocol_failures
from server.rest.guarding import needs
from server.rest.parameters import ModelName
from server.rest.refusals import MalformedJson
from server.rest.v2.examples import ABSENT
from server.rest.wire import Json, decode

TRACE = "/v2/trace/setting"
MODEL_TRACE = "/v2/models/{name}/trace/setting"
LOGGING = "/v2/logging"
TOLD: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The settings.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}
GIVEN = {
    "requestBody": {
        "content": {
            "application/json": {"schema": {"type": "object"}, "examples": {"nothing": {"value": {}}}}
        }
    }
}
CHANGED = {**TOLD, **protocol_failures(BadRequest, MalformedJson)}
CHANGED_OF_MODEL = {**TOLD, **protocol_failures(BadRequest, MalformedJson, *ABSENT)}


def create_readers(engine: Engine, access: Access) -> APIRouter:
    """Return the routes that look."""
    router = APIRouter(tags=["open inference"], dependencies=[needs(access, "predict")])
    plain: dict[str, Any] = {"response_model": None, "responses": {**TOLD, **protocol_failures()}}
    of_model: dict[str, Any] = {"response_model": None, "responses": {**TOLD, **protocol_failures(*ABSENT)}}

    @router.get(TRACE, summary="Trace settings", **plain)
    async def trace_settings() -> Json:
        """Tell the settings of traces: none are made."""
        return Json(NO_TRACE)

    @router.get(MODEL_TRACE, summary="Trace settings of a model", **of_model)
    async def trace_settings_of_model(name: ModelName) -> Json:
        """Tell the settings of traces of a model: none are made."""
        await signature_of(engine, name, None)
        return Json(NO_TRACE)

    @router.get(LOGGING, summary="Log settings", **plain)
    async def log_settings() -> Json:
        """Tell which lines the server logs."""
        return Json(logged())

    return router


def create_writers(engine: Engine, access: Access) -> APIRouter:
    """Return the routes that would change settings: they take what changes nothing."""
    router = APIRouter(tags=["open inference"], dependencies=[needs(access, "admin")])
    said: dict[str, Any] = {"response_model": None, "openapi_extra": GIVEN, "responses": CHANGED}
    of_model = {**said, "responses": CHANGED_OF_MODEL}

    @router.post(TRACE, summary="Set trace settings", **said)
    async def set_trace_settings(request: Request) -> Json:
        """Tell the settings of traces; 400 where the body would change one."""
        return unchanged(NO_TRACE, await request.body(), TRACE_CURE)

    @router.post(MODEL_TRACE, summary="Set trace settings of a model", **of_model)
    async def set_trace_settings_of_model(request: Request, name: ModelName) -> Json:
        """Tell the settings of traces of a model; 400 where the body would change one."""
        await signature_of(engine, name, None)
        return unchanged(NO_TRACE, await request.body(), TRACE_CURE)

    @router.post(LOGGING, summary="Set log settings", **said)
    async def set_log_settings(request: Request) -> Json:
        """Tell which lines the server logs; 400 where the body would change that."""
        return unchanged(logged(), await request.body(), LOG_CURE)

    return router


def unchanged(settings: Mapping[str, Any], body: bytes, cure: str) -> Json:
    """Return the settings, where a body changes none; null clears one, which changes nothing either.

    Raises: MalformedJson; BadRequest, it would change one.
    """
    given = decode(body) if body else {}
    if not isinstance(given, dict):
        raise BadRequest(f"the body is {kind(given)}; send an object of settings")
    check_same(settings, {name: value for name, value in given.items() if value is not None}, cure)
    return Json(settings)
