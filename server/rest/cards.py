"""The model card of a version: the page that the trainer made of it, or its data."""

from typing import Any

from fastapi import APIRouter, Request, Response

from models import errors as domain
from models.errors import shown
from models.redis_failures import in_time
from models.signing_errors import NotTrusted
from server.inference.engine import Engine
from server.inference.meanings import LOOK_UP_SECONDS
from server.rest import asks, refusals
from server.rest.documenting import failures, parameter
from server.rest.pages import SAFE
from server.rest.parameters import ModelName, Version
from server.rest.refusals import CardNotFound, ParameterRefused
from server.rest.wire import Json

CARD = "/v1/models/{name}/versions/{version}/card"
FORMATS = ("html", "json")
# Whoever may publish may write a page: it runs nothing, loads nothing, and is kept apart from the console.
NOTHING_RUNS = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
)
HEADERS = {**SAFE, "Content-Security-Policy": NOTHING_RUNS, "Vary": "Accept"}
PARAMETERS = {
    "parameters": [
        parameter(
            "format",
            {"type": "string", "enum": list(FORMATS)},
            "`json` for the data; else what `Accept` asks for, the page if there is one.",
        )
    ]
}
FOUND: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The page, which runs no script, or the card's data.",
        "content": {
            "text/html": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object"}},
        },
    }
}
ABSENT = (
    domain.ModelNotFound,
    domain.BadName,
    domain.RedisUnavailable,
    domain.RedisRefused,
    domain.VersionNotFound,
    domain.AliasNotFound,
    domain.BundleCorrupt,
    NotTrusted,
    refusals.CardNotFound,
    refusals.ParameterRefused,
)


def add_readers(router: APIRouter, engine: Engine) -> None:
    """Add the route that looks."""

    @router.get(
        CARD,
        summary="Show the model card",
        response_model=None,
        openapi_extra=PARAMETERS,
        responses={**FOUND, **failures(*ABSENT)},
    )
    async def show_card(request: Request, name: ModelName, version: Version) -> Response:
        """Show the model card of one version, a number or an alias: a page, or its data as JSON."""
        wanted = the_format(request)
        number = asks.reference(version)
        async with in_time(LOOK_UP_SECONDS):
            if not isinstance(number, int):
                number = await engine.store.resolve(name, version)
            manifest = await engine.store.manifest(name, number)
        page = b"" if wanted == "json" else await engine.store.page(name, number)
        if page:
            return Response(page, headers=HEADERS, media_type="text/html; charset=utf-8")
        if not manifest.card or wanted == "html":
            raise CardNotFound(name, number, data=bool(manifest.card))
        return Json(manifest.card, headers={"Vary": "Accept"})


def the_format(request: Request) -> str:
    """Return what is wanted: html, json, or either where there is no page.

    Raises: ParameterRefused.
    """
    asked = request.query_params.get("format")
    if asked is not None:
        if asked not in FORMATS:
            raise ParameterRefused(
                f"format is {shown(asked)!r}; there are {', '.join(FORMATS)}",
                field="format",
                value=shown(asked),
            )
        return asked
    accepted = request.headers.get("accept", "*/*")
    if "text/html" in accepted or "*/*" in accepted or "text/*" in accepted:
        return "either" if "*/*" in accepted or "json" in accepted else "html"
    return "json"
