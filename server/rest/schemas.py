"""Requests and answers as OpenAPI describes them; answers are held to these by the tests, not at run time."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.answers import AnswerSpec
from models.execution import Execution
from models.features import FeatureView
from models.manifest import Task
from models.tensors import TensorSpec


class Strict(BaseModel):
    """A misspelt field is refused."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Fault(BaseModel):
    """What went wrong; beside `code` and `message` it carries the facts, such as `key` or `model`."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    code: str
    """Stable name of the error, for programs."""

    message: str
    """The thing, the value and the cure, for people."""


class ErrorBody(Strict):
    """The body of every answer that is an error."""

    error: Fault


class RowsAsked(Strict):
    """Which rows are asked for: exactly one of `keys`, `instances` and `inputs`."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["keys"]}, {"required": ["instances"]}, {"required": ["inputs"]}]
        }
    )

    keys: list[str] | None = None
    """Full Redis keys as they lie in Redis, one a row; they must match the key of the feature view."""

    instances: list[dict[str, Any]] | None = None
    """Placeholder and inline values of the feature view, one object a row."""

    inputs: dict[str, Any] | None = None
    """Tensors by the name of the graph's input, as nested lists; the first axis counts the rows."""

    missing: float | dict[str, float | str] | None = None
    """What stands in for absent values: one number for all, or a value by field."""


class PredictRequest(RowsAsked):
    """Which rows to predict: exactly one of `keys`, `instances` and `inputs`."""

    raw: bool = False
    """Answer the graph's outputs instead of labels or values."""

    timeout_ms: Annotated[float, Field(gt=0)] | None = None
    """Milliseconds after which the answer is of no use; at most the server's own limit counts."""


class Prediction(Strict):
    """One row: worded by the model's task, or its error."""

    key: str | None = None
    """The key that was asked for, when keys were."""

    version: int | None = None
    """The version that answered this row, where it is not the answer's."""

    label: str | None = None
    """Classification: the most probable label."""

    labels: list[str] | None = None
    """Several labels at once: those with a probability of at least one half."""

    probabilities: dict[str, float | None] | None = None
    """Probability by label."""

    value: float | list[float | None] | None = None
    """Regression; with quantiles the median."""

    values: dict[str, float] | None = None
    """Regression of several values: each by its name."""

    quantiles: dict[str, float | dict[str, float]] | None = None
    """Quantiles of the value by their share, `0.1`; of several values by the name of each."""

    forecast: list[float | list[float]] | None = None
    """Forecasting: the steps to come, the next one first; a list of channels each where there are several."""

    anomaly_score: float | None = None
    """How unlike the rows it was trained on a row is."""

    anomaly: bool | None = None
    """Whether the score is over the model's threshold."""

    outputs: dict[str, Any] | None = None
    """Output tensors of this row, for every other task and when `raw` was asked."""

    filled: list[str] | None = None
    """Values that were absent and stood in for, by `missing` or by a default of the feature view."""

    error: Fault | None = None
    """Why this row has no answer; its neighbours have theirs."""


class PredictAnswer(Strict):
    """One prediction a row, in the order of the request."""

    model: str
    version: int
    """The version that answered; under a traffic rule a row that another one answered says so itself."""

    predictions: list[Prediction]


class ModelSummary(Strict):
    """One model."""

    name: str
    description: str
    """Of the version that production means, else of the newest."""

    task: Task | None
    versions: list[int]
    """Stored versions, ascending."""

    aliases: dict[str, int]
    """Alias to version; `production` is what a request without a version means."""

    traffic: dict[int, float] | None
    """Percent of production's requests by version; null when production answers all of them."""

    loaded: list[int]
    """Versions loaded in this server process."""

    metrics: dict[str, float]
    """Of the same version as `description`."""

    provider: str | None
    """Execution provider that really runs that version; null when it is not loaded here."""


class ModelList(Strict):
    """Models by name."""

    models: list[ModelSummary]
    next: str | None
    """Give this as `after` to go on; null at the end."""

    missing: list[str] = []
    """Names between these of which nothing can be told: their node of a Redis Cluster is away; absent without any."""


class VersionBrief(Strict):
    """One version in a list."""

    version: int
    created: datetime | None
    task: Task | None
    description: str
    metrics: dict[str, float]
    aliases: list[str]
    traffic: float | None
    """Percent of production's requests that a traffic rule gives it; null without a share."""

    provider: str | None
    """Execution provider that really runs it; null when it is not loaded here."""

    size_bytes: int
    problem: str | None
    """Why it cannot be served, if that is known."""


class ModelDetail(ModelSummary):
    """One model with its newest versions."""

    previous: dict[str, int] = {}
    """The version that a rollback of an alias goes to; an alias that has nowhere to go is left out."""

    history: list[VersionBrief]
    """The newest versions, newest first, as many as `limit` says."""


class SignatureFacts(Strict):
    """Whose signature a version has."""

    key: str | None
    """Fingerprint of the key that it names, as `insitu key` shows it; null where it cannot be read."""

    trusted: bool | None
    """Whether that is a trusted key of this server, and the signature one of what is stored; null where none are."""


class VersionDetail(VersionBrief):
    """Everything about one version but its bytes."""

    name: str
    labels: list[str]
    output: str | None
    """The output that answers are worded from."""

    answer: AnswerSpec | None = None
    """What several values are, and the threshold of a score; left out where the task says it all."""

    threshold: float | None = None
    """The probability from which the second of two labels is said, or each of several; left out without."""

    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    features: FeatureView | None
    """How keys become inputs; null when the model takes tensors only."""

    keys: list[str]
    """Key templates of the feature view, the first is the one that `keys` of a request match."""

    card: dict[str, Any]
    recipe: dict[str, Any] | None
    loaded: bool
    loaded_at: datetime | None
    memory_bytes: int | None
    """Memory of the loaded version, estimated."""

    digest: str
    """SHA-256 of the ONNX bytes."""

    opset: dict[str, int]
    ir_version: int
    producer: str
    execution: Execution | None = None
    """The key it was stored at through the Redis protocol, and how it is run; left out for every other."""

    signature: SignatureFacts | None = None
    """Whose signature it has; left out without one."""


class TrafficTarget(Strict):
    """How to share production's requests out."""

    weights: Annotated[dict[str, float], Field(min_length=1, max_length=8)]
    """Weight by version; a share is a weight over the sum of all, so the sum need not be 100."""


class TrafficAnswer(Strict):
    """How production's requests are shared out."""

    model: str
    weights: dict[int, float]
    """Weight by version, as it was set."""

    percent: dict[int, float]
    """Share by version; each key always meets the same version."""


class AliasTarget(Strict):
    """Where to point an alias."""

    version: Annotated[int, Field(ge=1, lt=10**9, strict=True)]


class AliasAnswer(Strict):
    """Where an alias points now."""

    model: str
    alias: str
    version: int


class Alive(Strict):
    """The process answers."""

    status: Literal["alive"]
    version: str
    """Version of the server program."""

    pid: int
    """Process that answered; a server may be several, one on each core."""


class Ready(Strict):
    """The process may be sent requests."""

    status: Literal["ready"]
    redis: bool
    """Whether Redis answers, or a part of a cluster; without it loaded models go on and keys cannot be read."""

    reason: str
