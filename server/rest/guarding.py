"""Access rules as FastAPI dependencies, so that OpenAPI shows which route needs a token."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.params import Depends as Dependency
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from server.access import Access, Scope

BEARER = HTTPBearer(
    scheme_name="token",
    description="A token of scope `predict`, or of scope `admin`, which may do everything.",
    auto_error=False,
)
Shown = Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]


def needs(access: Access, scope: Scope) -> Dependency:
    """Return the dependency that lets a request with this scope pass, before its body is read."""

    async def check(request: Request, _shown: Shown) -> None:
        access.check(scope, request.method, request.headers)

    guard: Callable[..., object] = check
    dependency: Dependency = Depends(guard)
    return dependency
