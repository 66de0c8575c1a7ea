"""What OpenAPI shows of the predict and explain routes: parameters, examples, and the errors they may answer."""

from typing import Any

from models import errors as domain
from models.signing_errors import NotTrusted
from server.inference import errors as core
from server.rest import refusals
from server.rest.documenting import body_of, failures, parameter
from server.rest.errors import facts
from server.rest.explanations import ExplainRequest
from server.rest.schemas import PredictRequest

ASKED = {
    "by key": {"keys": ["customer:1"]},
    "several rows": {"keys": ["customer:1", "customer:2"], "missing": {"age": 40}},
    "by instances": {"instances": [{"id": "1"}]},
    "by tensors": {"inputs": {"x": [[40, 12.5]]}},
}
ANSWERED = {
    "several rows": {
        "model": "churn",
        "version": 3,
        "predictions": [
            {"key": "customer:1", "label": "stays", "probabilities": {"stays": 0.91, "leaves": 0.09}},
            {"key": "customer:2", "error": facts(domain.FieldMissing("customer:2", "age"))},
        ],
    },
    "regression": {"model": "price", "version": 1, "predictions": [{"key": "flat:1", "value": 412.5}]},
    "quantiles": {
        "model": "price",
        "version": 2,
        "predictions": [
            {"key": "flat:1", "value": 412.5, "quantiles": {"0.1": 380.2, "0.5": 412.5, "0.9": 440.9}}
        ],
    },
    "forecast": {
        "model": "load",
        "version": 1,
        "predictions": [{"key": "meter:1", "forecast": [3.1, 3.4, 2.9]}],
    },
    "anomaly": {
        "model": "pump",
        "version": 1,
        "predictions": [{"key": "pump:1", "anomaly_score": 7.21, "anomaly": True}],
    },
    "tensors": {"model": "embed", "version": 1, "predictions": [{"outputs": {"y": [0.1, 0.7]}}]},
}
ROW_ERRORS = (
    domain.BadRequest,
    domain.ModelNotFound,
    domain.VersionNotFound,
    domain.AliasNotFound,
    domain.FeatureError,
    domain.BundleCorrupt,
    NotTrusted,
    domain.RedisUnavailable,
    core.BadInput,
    core.TooManyRows,
    core.Overloaded,
    core.DeadlineExceeded,
)
BODY_ERRORS = (
    refusals.MalformedJson,
    refusals.BodyTooLarge,
    refusals.TooManyNodes,
    refusals.TooManyNames,
    refusals.MediaTypeRefused,
)
SUCCESS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One prediction a row, in the order of the request. A single row's error is the status; "
        "among several rows the bad one carries its own `error`.",
        "content": {
            "application/json": {"examples": {name: {"value": one} for name, one in ANSWERED.items()}}
        },
    }
}
MILLISECONDS = {"type": "number", "exclusiveMinimum": 0}
TIMEOUT = parameter(
    "X-Request-Timeout-Ms", MILLISECONDS, "Give up after so long; the shorter counts.", **{"in": "header"}
)
QUERY = {
    "parameters": [
        TIMEOUT,
        parameter(
            "key",
            {"type": "array", "items": {"type": "string"}},
            "Full Redis key, repeated for more rows.",
            required=True,
            example=["customer:1"],
        ),
        parameter(
            "missing",
            {"oneOf": [{"type": "number"}, {"type": "object"}]},
            'Stands in for absent values: a number, or JSON such as {"age": 40}.',
        ),
        parameter("raw", {"type": "boolean", "default": False}, "Answer the graph's outputs."),
        parameter("timeout_ms", MILLISECONDS, "Give up after so long."),
    ]
}
BODY = {"parameters": [TIMEOUT], **body_of(PredictRequest, ASKED)}
POSTED = {**SUCCESS, **failures(*BODY_ERRORS, *ROW_ERRORS)}
QUERIED = {**SUCCESS, **failures(*ROW_ERRORS)}

EXPLAINED = {
    "model": "churn",
    "version": 3,
    "explanations": [
        {
            "key": "customer:1",
            "output": "probabilities",
            "label": "stays",
            "prediction": 0.97,
            "baseline": 0.7,
            "contributions": [
                {"feature": "spend", "value": 12.5, "reference": 30.0, "contribution": 0.2, "error": 0.0},
                {"feature": "age", "value": 40.0, "reference": 35.0, "contribution": 0.07, "error": 0.0},
            ],
            "sum_error": 0.0,
            "sampling_error": 0.0,
            "method": "exact",
            "runs": 4,
            "reference": "median of 890 training rows",
            "reference_rows": 1,
        },
        {"key": "customer:2", "error": facts(domain.FieldMissing("customer:2", "age"))},
    ],
}
EXPLAIN_ASKED = {
    "by key": {"keys": ["customer:1"]},
    "another label": {"keys": ["customer:1"], "label": "leaves"},
    "compared with a row": {"keys": ["customer:1"], "reference": {"x": [[35, 30]]}},
    "more exactly": {"inputs": {"x": [[40, 12.5]]}, "samples": 16_384, "seed": 7},
}
EXPLAIN_SUCCESS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One explanation a row, in the order of the request. A single row's error is the status; "
        "among several rows the bad one carries its own `error`.",
        "content": {"application/json": {"examples": {"by key": {"value": EXPLAINED}}}},
    }
}
WHOLE = {"type": "integer", "minimum": 0}
EXPLAIN_QUERY = {
    "parameters": [
        *(one for one in QUERY["parameters"] if one["name"] != "raw"),
        parameter("label", {"type": "string"}, "The label whose probability is explained."),
        parameter("output", {"type": "string"}, "An output of the graph of which a number is explained."),
        parameter("element", WHOLE, "Which number of that output."),
        parameter(
            "samples", {**WHOLE, "minimum": 64, "maximum": 16_384}, "Most rows that are run for a row."
        ),
        parameter("seed", WHOLE, "The same seed draws the same orders of features."),
    ]
}
EXPLAIN_BODY = {"parameters": [TIMEOUT], **body_of(ExplainRequest, EXPLAIN_ASKED)}
EXPLAIN_ERRORS = (*ROW_ERRORS, core.NotExplainable)
EXPLAIN_POSTED = {**EXPLAIN_SUCCESS, **failures(*BODY_ERRORS, *EXPLAIN_ERRORS)}
EXPLAIN_QUERIED = {**EXPLAIN_SUCCESS, **failures(*EXPLAIN_ERRORS)}
