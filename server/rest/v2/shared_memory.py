"""Shared memory, which there is none of: clients that look are told so, and those that register are refused."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from models.errors import BadRequest, shown
from server.access import Access
from server.rest.documenting import protocol_failures
from server.rest.guarding import needs
from server.rest.wire import Json

KINDS = ("system", "cuda")
Region = Annotated[str, Path(description="Name of a region.", examples=["input0"])]


def create_router(access: Access) -> APIRouter:
    """Return the routes of both kinds of shared memory."""
    router = APIRouter(tags=["open inference"], dependencies=[needs(access, "predict")])
    for one in KINDS:
        add_kind(router, one)
    return router


def add_kind(router: APIRouter, kind: str) -> None:
    """Add the routes of one kind."""
    root, title = f"/v2/{kind}sharedmemory", f"{kind} shared memory"
    told: dict[int | str, dict[str, Any]] = {
        200: {
            "description": "No region.",
            "content": {"application/json": {"schema": {"type": "array", "maxItems": 0}}},
        },
        **protocol_failures(),
    }
    refused: dict[int | str, dict[str, Any]] = protocol_failures(BadRequest)

    @router.get(
        f"{root}/status",
        summary=f"Regions of {title}",
        name=f"{kind}_regions",
        response_model=None,
        responses=told,
    )
    async def regions() -> Json:
        """Tell which regions are registered: none, ever."""
        return Json([])

    @router.get(
        f"{root}/region/{{region}}/status",
        summary=f"A region of {title}",
        name=f"{kind}_region",
        response_model=None,
        responses=refused,
    )
    async def region(region: Region) -> Json:
        """Refuse: there is no such region."""
        raise unsupported(region)

    @router.post(
        f"{root}/region/{{region}}/register",
        summary=f"Register {title}",
        name=f"register_{kind}_region",
        response_model=None,
        responses=refused,
    )
    async def register(region: Region) -> Json:
        """Refuse: tensors are sent in the request."""
        raise unsupported(region)

    @router.post(
        f"{root}/region/{{region}}/unregister",
        summary=f"Unregister {title}",
        name=f"unregister_{kind}_region",
        response_model=None,
        responses=protocol_failures(),
    )
    async def unregister(region: Region) -> Json:  # noqa: ARG001  # OpenAPI shows it
        """Do nothing: no region is registered."""
        return Json({})

    @router.post(
        f"{root}/unregister",
        summary=f"Unregister all {title}",
        name=f"unregister_{kind}_regions",
        response_model=None,
        responses=protocol_failures(),
    )
    async def unregister_all() -> Json:
        """Do nothing: no region is registered."""
        return Json({})


def unsupported(region: str) -> BadRequest:
    """Return the error of a region."""
    return BadRequest(
        f"shared memory region {shown(region)!r} is not there: shared memory is not supported; send tensors "
        "in the request",
        region=shown(region),
    )
