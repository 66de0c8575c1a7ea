"""The one table error -> HTTP status, and the two ways an error is written: ours, and under /v2 the protocol's."""

import logging
import math
import re
from collections.abc import Sequence
from difflib import get_close_matches

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from models import errors as domain
from models import job_errors, signing_errors
from models.bundle import PageTooLarge
from models.decoding import KeyRefused
from models.errors import InsituError, shown
from server.access import Forbidden, Unauthorized
from server.inference import errors as core
from server.rest import refusals
from server.rest.wire import Json

log = logging.getLogger(__name__)

STATUS: dict[type[InsituError], int] = {
    refusals.MalformedRequest: 400,
    refusals.MalformedJson: 400,
    domain.BadRequest: 400,
    Unauthorized: 401,
    Forbidden: 403,
    signing_errors.UnsignedUpload: 403,
    refusals.PathNotFound: 404,
    domain.ModelNotFound: 404,
    domain.VersionNotFound: 404,
    domain.AliasNotFound: 404,
    domain.TrafficNotFound: 404,
    job_errors.JobNotFound: 404,
    refusals.CardNotFound: 404,
    domain.KeyMissing: 404,
    domain.FieldMissing: 404,
    refusals.MethodRefused: 405,
    refusals.BodyTooSlow: 408,
    domain.NothingToRollBack: 409,
    domain.VersionInUse: 409,
    job_errors.JobUnderWay: 409,
    refusals.BodyTooLarge: 413,
    refusals.TooManyNodes: 413,
    refusals.TooManyNames: 413,
    domain.ModelTooLarge: 413,
    PageTooLarge: 413,
    core.TooManyRows: 413,
    refusals.MediaTypeRefused: 415,
    refusals.ParameterRefused: 422,
    domain.BadName: 422,
    domain.BadModelFile: 422,
    domain.BadFeatureView: 422,
    domain.BadRecipe: 422,
    domain.BadTraffic: 422,
    domain.FeatureError: 422,
    core.BadInput: 422,
    core.RunFailed: 422,
    core.NotExplainable: 422,
    core.TooFewSamples: 422,
    core.Overloaded: 429,
    refusals.HeadTooLarge: 431,
    refusals.Broken: 500,
    domain.BundleCorrupt: 500,
    domain.ManifestUnreadable: 500,
    job_errors.JobUnreadable: 500,
    signing_errors.NotTrusted: 500,
    core.ModelNotLoadable: 500,
    core.ProviderUnavailable: 500,
    domain.SourceUnsupported: 501,
    domain.RedisRefused: 502,
    KeyRefused: 502,
    domain.RedisUnavailable: 503,
    refusals.NotReady: 503,
    core.Stopping: 503,
    core.DeadlineExceeded: 504,
}
# Under /v2 a mistake in what is asked is 400, as its clients expect; 404 is for models, versions, aliases and paths.
PROTOCOL_STATUS: dict[type[InsituError], int] = {
    domain.KeyMissing: 400,
    domain.FieldMissing: 400,
    core.TooManyRows: 400,
}
PROTOCOL_PATH = re.compile(r"/v2(/.*)?", re.DOTALL)
RETRY_SECONDS = 1  # Redis and start-up come back within about that, or not for long
PLACES = ("body", "query", "path", "header")


def status_of(error: InsituError) -> int:
    """Return the HTTP status of an error: its own entry, or its family's."""
    return next((STATUS[one] for one in type(error).__mro__ if one in STATUS), 500)


def protocol_status_of(error: InsituError) -> int:
    """Return the HTTP status of an error under /v2, which knows no 422."""
    own = next((PROTOCOL_STATUS[one] for one in type(error).__mro__ if one in PROTOCOL_STATUS), None)
    status = status_of(error) if own is None else own
    return 400 if status == 422 else status


def facts(error: InsituError) -> dict[str, object]:
    """Return an error as a row or a body carries it."""
    return {"code": error.code, "message": str(error), **error.details}


def headers_of(error: InsituError) -> dict[str, str]:
    """Return the headers that tell a client what to do about an error."""
    match error:
        case core.Overloaded():
            return {"Retry-After": str(max(1, math.ceil(error.retry_after_seconds)))}
        case domain.RedisUnavailable() | refusals.NotReady() | core.Stopping():
            return {"Retry-After": str(RETRY_SECONDS)}
        case Unauthorized():
            told = ', error="invalid_token"' if error.given else ""
            return {"WWW-Authenticate": f'Bearer realm="insitu"{told}'}
        case refusals.MethodRefused():
            return {"Allow": error.allowed}
    return {}


def answer(error: InsituError, path: str = "") -> Json:
    """Return the answer that an error is to a request of a path; it is `bare` from then on."""
    error.bare()
    if PROTOCOL_PATH.fullmatch(path):
        return Json({"error": str(error)}, protocol_status_of(error), headers_of(error))
    return Json({"error": facts(error)}, status_of(error), headers_of(error))


def install(api: FastAPI, routes: Sequence[Route]) -> None:
    """Let every error of a route leave through `answer`; the `routes` are what a misspelt path may mean."""

    async def known(request: Request, error: Exception) -> Json:
        if not isinstance(error, InsituError):
            raise error
        return answer(error, request.scope["path"])

    async def routing(request: Request, error: Exception) -> Json:
        if not isinstance(error, HTTPException):
            raise error
        return answer(of_routing(request, error, routes), request.scope["path"])

    async def validation(request: Request, error: Exception) -> Json:
        if not isinstance(error, RequestValidationError):
            raise error
        return answer(of_validation(error), request.scope["path"])

    api.add_exception_handler(InsituError, known)
    api.add_exception_handler(HTTPException, routing)
    api.add_exception_handler(RequestValidationError, validation)


def of_routing(request: Request, error: HTTPException, routes: Sequence[Route]) -> InsituError:
    """Return what the router found, in our words."""
    path, headers = request.url.path, error.headers or {}
    if error.status_code == 404:
        paths = dict.fromkeys(route.path for route in routes)
        return refusals.PathNotFound(path, get_close_matches(path[:128], paths, n=1))
    if error.status_code == 405:
        return refusals.MethodRefused(
            request.method, path, allowed(request, routes, headers.get("Allow", ""))
        )
    log.error("unexpected HTTP error %d: %s", error.status_code, error.detail)
    return refusals.Broken()


def allowed(request: Request, routes: Sequence[Route], first: str) -> str:
    """Return every method of a path, which has a route for each; the router names that of the `first`.

    HEAD goes with GET.
    """
    matching = (route.methods or () for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    methods = set(first.split(", ")).union(*matching)
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


def of_validation(error: RequestValidationError) -> InsituError:
    """Return the first fault that FastAPI found: field, rule and value."""
    fault = error.errors()[0]
    where = [str(part) for part in fault["loc"] if part not in PLACES]
    field = ".".join(where) or "body"
    return refusals.ParameterRefused(
        f"{field} is {shown(fault.get('input'))!r}: {fault['msg']}",
        field=field,
        value=shown(fault.get("input")),
    )
