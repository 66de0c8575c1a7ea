"""POST and GET .../predict."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastapi import APIRouter, Request

from models import errors as domain
from models.errors import InsituError
from server.access import Access
from server.inference.asking import Answer, Ask, Row
from server.inference.engine import Engine
from server.inference.tensors import packed
from server.rest import asks
from server.rest.errors import facts
from server.rest.examples import BODY, POSTED, QUERIED, QUERY
from server.rest.guarding import needs
from server.rest.hearing import heard
from server.rest.parameters import ModelName, Version
from server.rest.schemas import PredictAnswer
from server.rest.wire import LARGE_BYTES, Json, beside, check_kind, decode

MODEL = "/v1/models/{name}/predict"
VERSION = "/v1/models/{name}/versions/{version}/predict"
Options = dict[str, Any]


def create_router(engine: Engine, access: Access) -> APIRouter:
    """Return the predict routes."""
    router = APIRouter(tags=["predict"], dependencies=[needs(access, "predict")])
    post: Options = {"response_model": PredictAnswer, "openapi_extra": BODY, "responses": POSTED}
    get: Options = {"response_model": PredictAnswer, "openapi_extra": QUERY, "responses": QUERIED}

    @router.post(MODEL, summary="Predict", **post)
    async def predict(request: Request, name: ModelName) -> Json:
        """Predict by the version that the alias `production` means."""
        return await predicted(engine, request, name, None)

    @router.post(VERSION, summary="Predict by one version", **post)
    async def predict_by_version(request: Request, name: ModelName, version: Version) -> Json:
        """Predict by one version: a number, or an alias."""
        return await predicted(engine, request, name, version)

    @router.get(MODEL, summary="Predict keys", **get)
    async def predict_keys(request: Request, name: ModelName) -> Json:
        """Predict by keys from a terminal: `?key=customer:1&key=customer:2`."""
        with counted(engine, name):
            ask = queried(request, name, None)
        return await answer(engine, request, ask)

    @router.get(VERSION, summary="Predict keys by one version", **get)
    async def predict_keys_by_version(request: Request, name: ModelName, version: Version) -> Json:
        """Predict by keys and one version: a number, or an alias."""
        with counted(engine, name):
            ask = queried(request, name, version)
        return await answer(engine, request, ask)

    return router


async def predicted(engine: Engine, request: Request, name: str, version: str | None) -> Json:
    """Return the answer to a POST.

    Raises: InsituError, what concerns the request or its only row.
    """
    with counted(engine, name):
        ask = await posted(request, name, version)
    return await answer(engine, request, ask)


@contextmanager
def counted(engine: Engine, model: str) -> Iterator[None]:
    """Count a request that the core never gets to see."""
    try:
        yield
    except InsituError as error:
        engine.refused(model, error)
        raise


async def posted(request: Request, name: str, version: str | None) -> Ask:
    """Return what a POST asks.

    Raises: MediaTypeRefused, MalformedJson, TooManyNodes, TooManyNames, BadRequest, BadName.
    """
    if request.query_params:
        raise domain.BadRequest("a POST takes no query parameters here; put them into the body")
    check_kind(request.headers)
    timeout_ms = request.headers.get(asks.TIMEOUT_HEADER)
    version_asked = asks.reference(version)
    return await beside(await request.body(), lambda body: of_bytes(name, version_asked, body, timeout_ms))


def of_bytes(model: str, reference: asks.Reference, body: bytes, timeout_ms: str | None) -> Ask:
    """Return what the body of a POST asks; `timeout_ms` is what its header says.

    Raises: MalformedJson, TooManyNodes, TooManyNames, BadRequest.
    """
    ask = asks.of_body(model, reference, decode(body, asks.FIELDS), timeout_ms)
    if ask.inputs is not None and len(body) > LARGE_BYTES:
        ask.inputs = {name: packed(value) for name, value in ask.inputs.items()}
    return ask


def queried(request: Request, name: str, version: str | None) -> Ask:
    """Return what a GET asks.

    Raises: BadRequest, BadName.
    """
    query, timeout_ms = request.query_params.multi_items(), request.headers.get(asks.TIMEOUT_HEADER)
    return asks.of_query(name, asks.reference(version), query, timeout_ms)


async def answer(engine: Engine, request: Request, ask: Ask) -> Json:
    """Return the answer.

    Raises: InsituError, what concerns the request or its only row; ClientDisconnect.
    """
    return Json(worded(whole(await heard(request, engine.predictor.predict(ask)))))


def whole(given: Answer) -> Answer:
    """Return an answer; the error of a request's only row is the error of the request.

    Raises: InsituError.
    """
    if len(given.rows) == 1 and given.rows[0].error is not None:
        raise given.rows[0].error
    return given


def worded(given: Answer) -> dict[str, Any]:
    """Return the body of an answer."""
    return {"model": given.model, "version": given.version, "predictions": [*map(entry, given.rows)]}


def entry(row: Row) -> Mapping[str, Any]:
    """Return one row of an answer."""
    if row.error is None and row.version is None and not row.filled:  # nearly every one
        return row.body if row.key is None else {"key": row.key, **row.body}
    found: dict[str, Any] = {} if row.key is None else {"key": row.key}
    if row.version is not None:
        found["version"] = row.version
    if row.error is not None:
        found["error"] = facts(row.error)
        return found
    found.update(row.body)
    if row.filled:
        found["filled"] = row.filled
    return found
