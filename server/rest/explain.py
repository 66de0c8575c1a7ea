"""POST and GET .../explain."""

from typing import Any

from fastapi import APIRouter, Request

from models.errors import BadRequest
from server.access import Access
from server.inference.asking import Ask
from server.inference.engine import Engine
from server.inference.explaining.asking import Wish
from server.rest import asks, predict
from server.rest.examples import EXPLAIN_BODY, EXPLAIN_POSTED, EXPLAIN_QUERIED, EXPLAIN_QUERY
from server.rest.explanations import ExplainAnswer
from server.rest.guarding import needs
from server.rest.hearing import heard
from server.rest.parameters import ModelName, Version
from server.rest.wire import Json, read_json

MODEL = "/v1/models/{name}/explain"
VERSION = "/v1/models/{name}/versions/{version}/explain"
OWN = ("label", "output", "element", "reference", "samples", "seed")
FIELDS = (*(name for name in asks.FIELDS if name != "raw"), *OWN)
IN_QUERY = ("label", "output", "element", "samples", "seed")
QUERY = ("key", "missing", "timeout_ms", *IN_QUERY)
Options = dict[str, Any]


def create_router(engine: Engine, access: Access) -> APIRouter:
    """Return the explain routes."""
    router = APIRouter(tags=["explain"], dependencies=[needs(access, "predict")])
    post: Options = {
        "response_model": ExplainAnswer,
        "openapi_extra": EXPLAIN_BODY,
        "responses": EXPLAIN_POSTED,
    }
    get: Options = {
        "response_model": ExplainAnswer,
        "openapi_extra": EXPLAIN_QUERY,
        "responses": EXPLAIN_QUERIED,
    }

    @router.post(MODEL, summary="Explain", **post)
    async def explain(request: Request, name: ModelName) -> Json:
        """Explain predictions of the version that the alias `production` means."""
        return await posted(engine, request, name, None)

    @router.post(VERSION, summary="Explain by one version", **post)
    async def explain_by_version(request: Request, name: ModelName, version: Version) -> Json:
        """Explain predictions of one version: a number, or an alias."""
        return await posted(engine, request, name, version)

    @router.get(MODEL, summary="Explain keys", **get)
    async def explain_keys(request: Request, name: ModelName) -> Json:
        """Explain predictions of keys from a terminal: `?key=customer:1`."""
        return await queried(engine, request, name, None)

    @router.get(VERSION, summary="Explain keys by one version", **get)
    async def explain_keys_by_version(request: Request, name: ModelName, version: Version) -> Json:
        """Explain predictions of keys by one version: a number, or an alias."""
        return await queried(engine, request, name, version)

    return router


async def posted(engine: Engine, request: Request, name: str, version: str | None) -> Json:
    """Return the answer to a POST.

    Raises: InsituError, what concerns the request or its only row.
    """
    with predict.counted(engine, name):
        if request.query_params:
            raise BadRequest("a POST takes no query parameters here; put them into the body")
        data = await read_json(request, FIELDS)
        ask, wish = of_body(name, asks.reference(version), data, request.headers.get(asks.TIMEOUT_HEADER))
    return await answer(engine, request, ask, wish)


async def queried(engine: Engine, request: Request, name: str, version: str | None) -> Json:
    """Return the answer to a GET.

    Raises: InsituError, what concerns the request or its only row.
    """
    with predict.counted(engine, name):
        query, timeout_ms = request.query_params.multi_items(), request.headers.get(asks.TIMEOUT_HEADER)
        ask, wish = of_query(name, asks.reference(version), query, timeout_ms)
    return await answer(engine, request, ask, wish)


async def answer(engine: Engine, request: Request, ask: Ask, wish: Wish) -> Json:
    """Return the explanations, or the error of the only row.

    Raises: InsituError; ClientDisconnect.
    """
    given = predict.whole(await heard(request, engine.explainer.explain(ask, wish)))
    rows = [predict.entry(row) for row in given.rows]
    return Json({"model": given.model, "version": given.version, "explanations": rows})


def of_body(model: str, reference: asks.Reference, data: Any, timeout_ms: str | None) -> tuple[Ask, Wish]:
    """Return what a JSON body asks.

    Raises: BadRequest, naming the field, its value and the cure.
    """
    if isinstance(data, dict):
        asks.check_names(data, FIELDS, "field")
        own = {name: data[name] for name in OWN if data.get(name) is not None}
        data = {name: value for name, value in data.items() if name not in OWN}
    else:
        own = {}
    return asks.of_body(model, reference, data, timeout_ms), the_wish(own)


def of_query(
    model: str, reference: asks.Reference, query: list[tuple[str, str]], timeout_ms: str | None
) -> tuple[Ask, Wish]:
    """Return what a query string asks: `key` once a row, the rest at most once.

    Raises: BadRequest, naming the parameter, its value and the cure.
    """
    names = [name for name, _ in query]
    asks.check_names(names, QUERY, "parameter")
    twice = next((name for name in IN_QUERY if names.count(name) > 1), None)
    if twice is not None:
        raise BadRequest(
            f"parameter {twice!r} is given {names.count(twice)} times; give it once", field=twice
        )
    own: dict[str, Any] = {name: value for name, value in query if name in IN_QUERY}
    for name in ("element", "samples", "seed"):
        if name in own:
            own[name] = asks.of_text(name, own[name])
    rest = [(name, value) for name, value in query if name not in IN_QUERY]
    return asks.of_query(model, reference, rest, timeout_ms), the_wish(own)


def the_wish(own: dict[str, Any]) -> Wish:
    """Return how rows shall be explained.

    Raises: BadRequest.
    """
    for name in ("label", "output"):
        if name in own and not isinstance(own[name], str):
            raise wrong(name, own[name], "a text")
    for name in ("element", "samples", "seed"):
        if name in own and type(own[name]) is not int:
            raise wrong(name, own[name], "a whole number")
    if "reference" in own and not isinstance(own["reference"], dict):
        raise wrong("reference", own["reference"], 'an object of tensors such as {"x": [[0, 0]]}')
    return Wish(**own)


def wrong(name: str, value: Any, wanted: str) -> BadRequest:
    """Return the error of a field of another kind."""
    return BadRequest(f"{name} is {asks.kind(value)}; send {wanted}", field=name)
