"""The HTTP door as one ASGI application: routes, access, errors and bounds put together."""

from collections.abc import Iterable
from functools import partial

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from server.access import Access
from server.inference.engine import Engine
from server.rest import catalogue, errors, explain, health, jobs, pages, predict, publish
from server.rest.bodies import BodyLimits, BoundedBodies, Net
from server.rest.bodiless import Bodiless
from server.rest.connection import Ending
from server.rest.direct import DirectPredictions
from server.rest.documenting import describe
from server.rest.heads import Heads
from server.rest.job_asks import Fits
from server.rest.protocol import PredictProtocol
from server.rest.turns import Turns
from server.rest.v2 import routes
from server.rest.v2.turns import InferTurns

TAGS = (
    {
        "name": "predict",
        "description": "Predictions for rows named by Redis keys, by instances or by tensors.",
    },
    {"name": "explain", "description": "What each feature of a row adds to its prediction."},
    {"name": "models", "description": "Models, their versions and aliases."},
    {"name": "jobs", "description": "Scoring jobs: many rows, their answers written into Redis."},
    {
        "name": "open inference",
        "description": "The same models by the Open Inference Protocol (KServe V2, Triton).",
    },
    {"name": "health", "description": "For orchestrators and Prometheus."},
)
DESCRIPTION = (
    "Insitu runs ONNX models where the Redis data lives: a request names a key, the server reads the "
    "features.\n\n"
    'Every error is `{"error": {"code", "message", ...}}`: `code` is for programs, `message` names the thing, '
    "the value and the cure, and the facts stand beside them. "
    'Under /v2 it is `{"error": "..."}`, as the Open Inference Protocol has it.'
)


def create_api(engine: Engine, access: Access, fits: Fits) -> FastAPI:
    """Build the HTTP API over a running engine; `fits` sees whether a scoring job fits a version."""
    api = FastAPI(
        title="Insitu",
        summary="Neural-network inference where your Redis data lives",
        description=DESCRIPTION,
        version=health.program_version(),
        license_info={"name": "MIT", "identifier": "MIT"},
        openapi_url=None,  # served by pages.py, made outside the event loop
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    documented = routers(engine, access, fits)
    for router in documented:
        api.include_router(router)
    describe(api, TAGS)
    api.include_router(pages.create_router(api.openapi))
    errors.install(api, routes_of(documented))
    limits = BodyLimits(engine.limits.body_bytes, engine.limits.model_bytes)
    api.state.ending = Ending()
    heads, turns, inferred = Heads(access, limits.body_bytes), Turns(engine), InferTurns(engine)
    api.state.protocol = partial(PredictProtocol, heads, turns, inferred, api.state.ending)
    api.add_middleware(Bodiless)
    api.add_middleware(DirectPredictions, engine=engine, access=access)
    api.add_middleware(Net)
    api.add_middleware(BoundedBodies, limits=limits)  # the last added is the outermost
    return api


def routers(engine: Engine, access: Access, fits: Fits) -> tuple[APIRouter, ...]:
    """Return every route, in the order in which OpenAPI shows them."""
    return (
        predict.create_router(engine, access),
        explain.create_router(engine, access),
        catalogue.create_readers(engine, access),
        publish.create_router(engine, access),
        catalogue.create_writers(engine, access),
        jobs.create_readers(engine, access),
        jobs.create_writers(engine, access, fits),
        *routes.create_routers(engine, access),
        health.create_router(engine),
        health.create_metrics(engine, access),
    )


def routes_of(routers: Iterable[APIRouter]) -> list[APIRoute]:
    """Return the routes of routers."""
    return [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
