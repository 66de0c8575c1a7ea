"""Routes of models, versions and aliases."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from models import errors as domain
from models.faults import explain
from models.keys import check_name
from models.redis_failures import in_time
from server.access import Access
from server.inference.engine import Engine
from server.inference.meanings import LOOK_UP_SECONDS
from server.rest import asks, cards, refusals, traffic
from server.rest.describing import detail, listing, version_detail
from server.rest.documenting import body_of, failures
from server.rest.guarding import KNOWN_QUERY, needs
from server.rest.parameters import Alias, ModelName, Version, VersionNumber
from server.rest.refusals import ParameterRefused
from server.rest.schemas import AliasAnswer, AliasTarget, ModelDetail, ModelList, VersionDetail
from server.rest.wire import Json, read_json

LISTED = 100
LISTED_LIMIT = 1000
HISTORY = 50  # versions with their metrics in the answer of one model
MODELS = "/v1/models"
MODEL = "/v1/models/{name}"
VERSION = "/v1/models/{name}/versions/{version}"
ALIAS = "/v1/models/{name}/aliases/{alias}"
ABSENT = (domain.ModelNotFound, domain.BadName, domain.RedisUnavailable, domain.RedisRefused)


def create_readers(engine: Engine, access: Access) -> APIRouter:
    """Return the routes that look."""
    router = APIRouter(
        tags=["models"],
        dependencies=[needs(access, "predict"), KNOWN_QUERY],
        responses=failures(refusals.ParameterRefused),
    )

    @router.get(
        MODELS,
        summary="List models",
        response_model=ModelList,
        responses=failures(refusals.ParameterRefused, domain.RedisUnavailable),
    )
    async def list_models(
        limit: Annotated[int, Query(ge=1, le=LISTED_LIMIT, description="Models in one answer.")] = LISTED,
        after: Annotated[str, Query(max_length=128, description="`next` of the answer before.")] = "",
    ) -> Json:
        """List models by name, each with its versions, aliases and what is loaded."""
        return Json(await listing(engine, limit, after))

    @router.get(
        MODEL,
        summary="Show a model",
        response_model=ModelDetail,
        responses=failures(*ABSENT, refusals.ParameterRefused),
    )
    async def show_model(
        name: ModelName,
        limit: Annotated[int, Query(ge=1, le=LISTED_LIMIT, description="Versions in `history`.")] = HISTORY,
    ) -> Json:
        """Show one model with its newest versions and their metrics."""
        return Json(await detail(engine, name, limit))

    @router.get(
        VERSION,
        summary="Show a version",
        response_model=VersionDetail,
        responses=failures(*ABSENT, domain.VersionNotFound, domain.AliasNotFound),
    )
    async def show_version(name: ModelName, version: Version) -> Json:
        """Show one version, a number or an alias: signature, feature view, metrics, card, provider."""
        return Json(await version_detail(engine, name, await resolved(engine, name, version)))

    cards.add_readers(router, engine)
    traffic.add_readers(router, engine)
    return router


def create_writers(engine: Engine, access: Access) -> APIRouter:
    """Return the routes that change something."""
    router = APIRouter(
        tags=["models"],
        dependencies=[needs(access, "admin"), KNOWN_QUERY],
        responses=failures(refusals.ParameterRefused),
    )

    @router.put(
        ALIAS,
        summary="Promote a version",
        response_model=AliasAnswer,
        openapi_extra=body_of(AliasTarget, {"promote version 3": {"version": 3}}),
        responses=failures(
            *ABSENT,
            domain.VersionNotFound,
            refusals.MalformedJson,
            refusals.MediaTypeRefused,
            refusals.ParameterRefused,
        ),
    )
    async def promote(request: Request, name: ModelName, alias: Alias) -> Json:
        """Point an alias to a version; every server switches between two requests."""
        version = target(await read_json(request, ("version",)))
        await engine.store.promote(name, version, alias)
        return moved(name, alias, version)

    @router.post(
        ALIAS + "/rollback",
        summary="Roll an alias back",
        response_model=AliasAnswer,
        responses=failures(*ABSENT, domain.AliasNotFound, domain.NothingToRollBack),
    )
    async def rollback(name: ModelName, alias: Alias) -> Json:
        """Point an alias back to the version it pointed to before."""
        return moved(name, alias, await engine.store.rollback(name, alias))

    @router.delete(
        ALIAS, summary="Remove an alias", status_code=204, responses=failures(*ABSENT, domain.AliasNotFound)
    )
    async def remove_alias(name: ModelName, alias: Alias) -> Response:
        """Take an alias away; its version stays."""
        await engine.store.remove_alias(check_name(name), alias)
        return Response(status_code=204)

    @router.delete(
        VERSION,
        summary="Delete a version",
        status_code=204,
        responses=failures(*ABSENT, domain.VersionNotFound, domain.VersionInUse, refusals.ParameterRefused),
    )
    async def delete_version(name: ModelName, version: VersionNumber) -> Response:
        """Delete a version for good; one that an alias points to or that has traffic is not deleted."""
        number = asks.reference(version)
        if not isinstance(number, int):
            raise ParameterRefused(
                f"version is {domain.shown(version)!r}; only a number is deleted, an alias moves",
                field="version",
            )
        await engine.store.delete(name, number)
        return Response(status_code=204)

    traffic.add_writers(router, engine)
    return router


async def resolved(engine: Engine, name: str, version: str) -> int:
    """Return the number of a version or alias of a path.

    Raises: BadName, ModelNotFound, VersionNotFound, AliasNotFound, RedisUnavailable.
    """
    asked = asks.reference(version)
    async with in_time(LOOK_UP_SECONDS):
        return asked if isinstance(asked, int) else await engine.store.resolve(name, version)


def target(data: Any) -> int:
    """Return the version of a promotion.

    Raises: ParameterRefused.
    """
    try:
        return AliasTarget.model_validate(data).version
    except ValidationError as error:
        raise ParameterRefused(f'{explain(error)}; send {{"version": 3}}', field="version") from error


def moved(name: str, alias: str, version: int) -> Json:
    """Return where an alias points now."""
    return Json({"model": name, "alias": alias, "version": version})
