"""OpenAPI beside the routes: which errors a route has, with examples, and bodies that are read by hand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from models import errors as domain
from models import traffic
from models.errors import InsituError
from models.job_errors import JobNotFound, JobUnderWay, JobUnreadable
from models.signing_errors import UNSIGNED, NotTrusted, UnsignedUpload
from server.access import Forbidden, Unauthorized
from server.inference import errors as core
from server.rest import refusals
from server.rest.errors import facts, protocol_status_of, status_of
from server.rest.explanations import ExplainRequest
from server.rest.job_schemas import JobRequest
from server.rest.schemas import AliasTarget, ErrorBody, PredictRequest, TrafficTarget
from server.rest.v2.schemas import (
    IndexRequest,
    InferRequest,
    InferResponse,
    LoadRequest,
    ProtocolError,
    UnloadRequest,
)

SCHEMAS = "#/components/schemas/{model}"
BY_HAND: tuple[type[BaseModel], ...] = (
    PredictRequest,
    ExplainRequest,
    AliasTarget,
    TrafficTarget,
    JobRequest,
    IndexRequest,
    InferRequest,
    InferResponse,
    LoadRequest,
    UnloadRequest,
)
ERRORS: tuple[type[BaseModel], ...] = (ErrorBody, ProtocolError)
EXAMPLES: tuple[InsituError, ...] = (
    refusals.MalformedJson(
        "the body is no JSON: unexpected end of data at line 1 column 9", line=1, column=9
    ),
    domain.BadRequest("field 'key' is not known; did you mean 'keys'?", field="key"),
    Unauthorized(given=False),
    Forbidden(
        "this token may predict; this needs a token of scope admin", needed="admin", granted=["predict"]
    ),
    domain.ModelNotFound("chrun", "churn"),
    domain.VersionNotFound("churn", 9, [1, 2, 3]),
    domain.AliasNotFound("churn", "canary", ["production"]),
    domain.KeyMissing("customer:99"),
    domain.FieldMissing("customer:2", "age"),
    domain.TrafficNotFound("churn"),
    JobNotFound("churn-5f2a9c01d3"),
    refusals.CardNotFound("churn", 3, data=False),
    domain.NothingToRollBack("churn", "production"),
    domain.VersionInUse("churn", 3, ["production"]),
    JobUnderWay("churn-5f2a9c01d3"),
    refusals.BodyTooLarge(16 << 20, 20 << 20),
    refusals.TooManyNodes(5_000_001, 1 << 20),
    refusals.TooManyNames(1_400_000, 1 << 16),
    core.TooManyRows(5000, 4096),
    domain.ModelTooLarge(600 << 20, 512 << 20),
    refusals.MediaTypeRefused(
        "text/plain",
        "application/json in UTF-8",
        "send `Content-Type: application/json` (with curl: -H, or --json)",
    ),
    refusals.ParameterRefused(
        "limit is '0': Input should be greater than or equal to 1", field="limit", value="0"
    ),
    domain.BadName("alias", "Prod!", "1 to 64 of a-z 0-9 _ -, the first a letter"),
    domain.BadModelFile(
        "these bytes are no ONNX model; export one with torch.onnx.export, skl2onnx, tf2onnx, ..."
    ),
    domain.BadFeatureView("feature view: inputs: Field required (got '{}')", where="feature view"),
    traffic.refusal("churn", "gives version 4 the weight 0; a weight is over 0", 0),
    domain.KeyNotAllowed("order:1", "customer:{id}"),
    domain.NotANumber("field 'age' of key 'customer:2'", "old", "float32"),
    domain.WrongType("customer:2", "hash"),
    core.BadInput("input 'x' has shape [1, 3], the model takes [rows, 2]"),
    core.NotExplainable(
        "output 'y' is int64, and only an amount can be shared out among features; name an output of floats "
        "with `output`",
        output="y",
    ),
    core.Overloaded("churn", 16384, 1.0),
    domain.BundleCorrupt("churn", 3, "chunk 0 of 1 is missing"),
    NotTrusted("churn", 3, UNSIGNED, "sign it: `insitu sign churn:3 --key FILE`"),
    UnsignedUpload("churn"),
    JobUnreadable("churn-5f2a9c01d3", domain.BadRequest("the job: shards: is not known here")),
    domain.RedisRefused("OOM command not allowed when used memory > 'maxmemory'."),
    domain.RedisUnavailable("Error 2 connecting to /run/redis.sock. No such file or directory."),
    refusals.NotReady("the stored models are not loaded yet"),
    core.DeadlineExceeded(0.05),
)


def failures(*classes: type[InsituError]) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that may fail so, one example an error."""
    return told(classes, Form(ErrorBody, status_of, facts))


def protocol_failures(*classes: type[InsituError]) -> dict[int | str, dict[str, Any]]:
    """Return the same for a route under /v2, whose errors are the protocol's."""
    return told(classes, Form(ProtocolError, protocol_status_of, str))


@dataclass(frozen=True, slots=True)
class Form:
    """How the errors of a route are written: what OpenAPI calls it, the status, and what stands under `error`."""

    body: type[BaseModel]
    status: Callable[[InsituError], int]
    said: Callable[[InsituError], object]


def told(classes: Sequence[type[InsituError]], form: Form) -> dict[int | str, dict[str, Any]]:
    """Return the examples of these errors by status; whoever asks for a token may also refuse one.

    Their body is named, not given as a model: FastAPI would build a validator for each of hundreds of responses,
    half of what a server takes to build its API.
    """
    schema = {"$ref": SCHEMAS.format(model=form.body.__name__)}
    found: dict[int | str, dict[str, Any]] = {}
    for error in EXAMPLES:
        if not isinstance(error, (*classes, Unauthorized, Forbidden)):
            continue
        response = found.setdefault(
            form.status(error),
            {"description": "", "content": {"application/json": {"examples": {}, "schema": schema}}},
        )
        response["description"] = ", ".join(filter(None, (response["description"], error.code)))
        examples = response["content"]["application/json"]["examples"]
        examples[error.code] = {"value": {"error": form.said(error)}}
    return found


def body_of(model: type[BaseModel], examples: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI of a JSON body that the route reads by hand."""
    schema = {"$ref": SCHEMAS.format(model=model.__name__)}
    named = {name: {"value": value} for name, value in examples.items()}
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "examples": named}},
        }
    }


def parameter(name: str, schema: dict[str, Any], description: str, **more: Any) -> dict[str, Any]:
    """Return the OpenAPI of a query parameter that the route reads by hand; `in` may say otherwise."""
    return {"name": name, "in": "query", "schema": schema, "description": description, **more}


def describe(api: FastAPI, tags: Sequence[dict[str, str]]) -> None:
    """Let an API describe itself with the schemas of hand-read bodies and of errors; made once, when asked for."""

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = get_openapi(
                title=api.title,
                version=api.version,
                summary=api.summary,
                description=api.description,
                routes=api.routes,
                tags=list(tags),
                license_info=api.license_info,
            )
            _, named = models_json_schema(
                [*((one, "validation") for one in BY_HAND), *((one, "serialization") for one in ERRORS)],
                ref_template=SCHEMAS,
            )
            api.openapi_schema["components"]["schemas"].update(named["$defs"])
        return api.openapi_schema

    api.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend OpenAPI
