"""Routes of a model's traffic rule: which share of production's requests each version answers."""

import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from models import errors as domain
from models.faults import explain
from models.keys import check_name
from models.redis_failures import in_time
from models.traffic import EXAMPLE, Traffic
from server.inference.engine import Engine
from server.inference.meanings import LOOK_UP_SECONDS
from server.rest import refusals
from server.rest.documenting import body_of, failures
from server.rest.parameters import ModelName
from server.rest.refusals import MalformedJson, ParameterRefused
from server.rest.schemas import TrafficAnswer, TrafficTarget
from server.rest.wire import Json, read_json

TRAFFIC = "/v1/models/{name}/traffic"
ASKED = {
    "a canary of 5 percent": {"weights": {"3": 95, "4": 5}},
    "three versions, any sum": {"weights": {"3": 6, "4": 1, "5": 1}},
}
ABSENT = (domain.ModelNotFound, domain.BadName, domain.RedisUnavailable, domain.RedisRefused)
UNSET = (domain.TrafficNotFound, *ABSENT)


def add_readers(router: APIRouter, engine: Engine) -> None:
    """Add the route that looks."""

    @router.get(
        TRAFFIC,
        summary="Show the traffic rule",
        response_model=TrafficAnswer,
        responses=failures(*UNSET, domain.BadTraffic),
    )
    async def show_traffic(name: ModelName) -> Json:
        """Show how production's requests are shared out between versions."""
        async with in_time(LOOK_UP_SECONDS):
            rule = await engine.store.traffic(check_name(name))
            if rule is None:
                await engine.store.versions(name)
        if rule is None:
            raise domain.TrafficNotFound(name)
        return told(rule)


def add_writers(router: APIRouter, engine: Engine) -> None:
    """Add the routes that change it."""

    @router.put(
        TRAFFIC,
        summary="Share traffic out",
        response_model=TrafficAnswer,
        openapi_extra=body_of(TrafficTarget, ASKED),
        responses=failures(
            *ABSENT,
            domain.VersionNotFound,
            domain.BadTraffic,
            refusals.MalformedJson,
            refusals.MediaTypeRefused,
            refusals.ParameterRefused,
        ),
    )
    async def set_traffic(request: Request, name: ModelName) -> Json:
        """Share what production is asked out between stored versions, by key; it ends when production moves."""
        weights = await weights_in(request, check_name(name))
        return told(await engine.store.set_traffic(name, weights))

    @router.delete(TRAFFIC, summary="End the traffic rule", status_code=204, responses=failures(*UNSET))
    async def clear_traffic(name: ModelName) -> Response:
        """End the rule: production answers everything again."""
        await engine.store.clear_traffic(check_name(name))
        return Response(status_code=204)


async def weights_in(request: Request, name: str) -> dict[str, Any]:
    """Return the weights of a body.

    Raises: MediaTypeRefused, MalformedJson, ParameterRefused, BadTraffic.
    """
    data = await read_json(request, ("weights",))
    if isinstance(data, dict) and data.keys() == {"weights"}:
        Traffic.read(name, data["weights"])  # its own words before those of a schema
    try:
        TrafficTarget.model_validate(data)
    except ValidationError as error:
        wanted = f'send {{"weights": {EXAMPLE}}}'
        raise ParameterRefused(f"{explain(error)}; {wanted}", field="weights") from error
    json.loads(await request.body(), object_pairs_hook=once)
    weights: dict[str, Any] = data["weights"]
    return weights


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object.

    Raises: MalformedJson, a name is there twice: parsers would pick one in silence.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedJson(f"the body gives {twice!r} twice; give it once", field=twice)
    return found


def told(rule: Traffic) -> Json:
    """Return a rule as an answer."""
    return Json({"model": rule.model, "weights": by_text(rule.weights), "percent": by_text(rule.percent)})


def by_text(shares: Mapping[int, float]) -> dict[str, float]:
    """Return numbers by version as JSON has them: its names are texts."""
    return {str(version): share for version, share in shares.items()}
