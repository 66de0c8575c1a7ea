"""Whether the process lives, whether it may be sent requests, and its metrics."""

import asyncio
import os
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from server.access import Access
from server.inference.engine import Engine
from server.rest import refusals
from server.rest.documenting import failures
from server.rest.guarding import needs
from server.rest.refusals import NotReady
from server.rest.schemas import Alive, Ready
from server.rest.wire import Json

Responses = dict[int | str, dict[str, Any]]
METRICS: Responses = {
    200: {
        "description": "Prometheus text format 1.0.0",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


def program_version() -> str:
    """Return the version of this program; a checkout that was never installed has none."""
    try:
        return installed("insitu")
    except PackageNotFoundError:
        return "0+source"


def create_router(engine: Engine) -> APIRouter:
    """Return the health routes: open to everybody, they say nothing about models."""
    router = APIRouter(tags=["health"])
    program = program_version()

    @router.get("/health/live", summary="Alive", response_model=Alive)
    async def live() -> Json:
        """Tell that the process answers: restart it when it does not."""
        return Json({"status": "alive", "version": program, "pid": os.getpid()})

    not_ready: Responses = {503: failures(refusals.NotReady)[503]}

    @router.get("/health/ready", summary="Ready", response_model=Ready, responses=not_ready)
    async def ready() -> Json:
        """Tell whether predictions may be asked for: 503 with the reason until they may."""
        good, reason = engine.ready()
        if not good:
            raise NotReady(reason, redis=engine.redis_ok)
        return Json({"status": "ready", "redis": engine.redis_ok, "reason": reason})

    return router


def create_metrics(engine: Engine, access: Access) -> APIRouter:
    """Return the route of metrics: they name models, so it takes a token where predictions do."""
    router = APIRouter(tags=["health"], dependencies=[needs(access, "predict")])
    telling: asyncio.Task[bytes] | None = None

    @router.get("/metrics", summary="Metrics", response_class=Response, responses=METRICS)
    async def metrics() -> Response:
        """Report counters, gauges and histograms in the Prometheus text format."""
        nonlocal telling
        if telling is None or telling.done():  # whoever asks meanwhile gets the same: it costs processor time
            telling = asyncio.create_task(asyncio.to_thread(engine.metrics.exposition))
        return Response(await asyncio.shield(telling), media_type=CONTENT_TYPE_LATEST)

    return router
