"""What is checked before a route is asked, as FastAPI dependencies: the token, which OpenAPI shows, and the query."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.params import Depends as Dependency
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from models.errors import shown
from server.access import Access, Scope
from server.rest import asks
from server.rest.refusals import ParameterRefused

BEARER = HTTPBearer(
    scheme_name="token",
    description="A token of scope `predict`, or of scope `admin`, which may do everything.",
    auto_error=False,
)
LIKENESS = 0.7  # of a parameter that may have been meant
Shown = Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]


def needs(access: Access, scope: Scope) -> Dependency:
    """Return the dependency that lets a request with this scope pass, before its body is read."""

    async def check(request: Request, _shown: Shown) -> None:
        access.check(scope, request.method, request.headers)

    guard: Callable[..., object] = check
    dependency: Dependency = Depends(guard)
    return dependency


def known_query(request: Request) -> None:
    """Refuse query parameters that a route does not document: a misspelt one would be left out in silence.

    Raises: ParameterRefused, one that is unknown, or given more than once.
    """
    route: APIRoute = request.scope["route"]
    by_hand = (route.openapi_extra or {}).get("parameters", ())
    known = [one.alias for one in route.dependant.query_params]
    known += [one["name"] for one in by_hand if one["in"] == "query"]
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if name not in known:
            raise ParameterRefused(
                f"parameter {shown(name)!r} is not known; {asks.meant(name, known, LIKENESS)}",
                field=shown(name),
            )
        if names.count(name) > 1:
            raise ParameterRefused(
                f"parameter {name!r} is given {names.count(name)} times; give it once", field=name
            )


KNOWN_QUERY: Dependency = Depends(known_query)
