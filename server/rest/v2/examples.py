"""What OpenAPI shows of the routes of the Open Inference Protocol: bodies, headers, examples and errors."""

from typing import Any

from models import errors as domain
from models.signing_errors import NotTrusted
from server.inference import errors as core
from server.rest import refusals
from server.rest.documenting import SCHEMAS, body_of, parameter, protocol_failures
from server.rest.examples import TIMEOUT
from server.rest.v2.schemas import InferRequest

Responses = dict[int | str, dict[str, Any]]
BLOB = {"schema": {"type": "string", "format": "binary"}}
ASKED = {
    "tensors": {
        "id": "1",
        "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [40, 12.5]}],
    },
    "rows named by Redis keys": {
        "inputs": [{"name": "id", "shape": [2], "datatype": "BYTES", "data": ["1", "2"]}]
    },
    "the likeliest class": {
        "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [[40, 12.5]]}],
        "outputs": [{"name": "y", "parameters": {"classification": 1}}],
    },
}
ANSWERED = {
    "tensors": {
        "model_name": "churn",
        "model_version": "3",
        "id": "1",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [0.91, 0.09]}],
    },
    "the likeliest class": {
        "model_name": "churn",
        "model_version": "3",
        "outputs": [{"name": "y", "datatype": "BYTES", "shape": [1, 1], "data": ["0.910000:0:stays"]}],
    },
}
LENGTH = parameter(
    "Inference-Header-Content-Length",
    {"type": "integer", "minimum": 0},
    "How many bytes of the body are JSON, where tensors follow as bytes; 0 for the bytes of the only input alone.",
    **{"in": "header"},
)
ENCODING = parameter(
    "Content-Encoding",
    {"type": "string", "enum": ["gzip", "deflate", "identity"]},
    "How the body is compressed.",
    **{"in": "header"},
)
SAID = body_of(InferRequest, ASKED)
SAID["requestBody"]["content"]["application/octet-stream"] = BLOB
INFER: dict[str, Any] = {"parameters": [LENGTH, ENCODING, TIMEOUT], **SAID}
ABSENT = (
    domain.BadName,
    domain.ModelNotFound,
    domain.VersionNotFound,
    domain.AliasNotFound,
    domain.RedisUnavailable,
    domain.RedisRefused,
    domain.BundleCorrupt,
    NotTrusted,
)
INFERRED: Responses = {
    200: {
        "description": "The outputs: JSON, or JSON followed by those that were wanted as bytes.",
        "headers": {
            "Inference-Header-Content-Length": {
                "schema": {"type": "integer"},
                "description": "How many bytes of the body are JSON; absent where all are.",
            }
        },
        "content": {
            "application/json": {
                "schema": {"$ref": SCHEMAS.format(model="InferResponse")},
                "examples": {name: {"value": one} for name, one in ANSWERED.items()},
            },
            "application/octet-stream": BLOB,
        },
    },
    **protocol_failures(
        *ABSENT,
        domain.BadRequest,
        domain.FeatureError,
        core.BadInput,
        core.Overloaded,
        core.DeadlineExceeded,
        refusals.MalformedJson,
        refusals.BodyTooLarge,
        refusals.TooManyNodes,
        refusals.TooManyNames,
        refusals.MediaTypeRefused,
    ),
}
