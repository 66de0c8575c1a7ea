"""Manifest: everything about one version of a model but its ONNX bytes; stored as JSON."""

from datetime import datetime
from functools import cached_property
from math import isfinite, prod
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    model_validator,
)

from models.answers import AnswerSpec
from models.errors import ManifestUnreadable
from models.execution import Execution
from models.faults import explain
from models.features import FeatureView
from models.keys import NAME
from models.tensors import FLOATS, TensorSpec

FORMAT: Literal[1] = 1

CHUNKS_LIMIT = 1 << 20
DESCRIPTION_LIMIT = 16_384
Label = Annotated[str, Field(max_length=512)]

Task = Literal["classification", "multilabel", "regression", "forecasting", "anomaly", "tensor"]
LABELLED = ("classification", "multilabel")
Batching = Literal["dynamic", "fixed", "none"]


class Stored(BaseModel):
    """The one thing that a manifest of any format says."""

    format: int


def finite_only(metrics: object) -> object:
    """Leave out metrics that are no finite number: JSON has no words for them."""
    if not isinstance(metrics, dict):
        return metrics
    return {name: value for name, value in metrics.items() if not isinstance(value, float) or isfinite(value)}


class Manifest(BaseModel):
    """One version of a model.

    `task` says how an answer is worded: a label and probabilities, one probability a label, a
    value, the steps to come, a score, or plain tensors. `output` names the output it is read from:
    (B, C) probabilities, (B,) or (B, 1) for two labels, (B,) or (B, 1) for a value. `threshold` is
    the probability from which the second of two labels is said, or each of a multilabel; one half
    where it is None. `answer` says what several values are. `execution` is of a model that was stored
    at a key of Redis. A manifest without one of these is written as it was before there were any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = FORMAT
    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    version: Annotated[int, Field(ge=0)] = 0
    created: datetime | None = None
    description: Annotated[str, Field(max_length=DESCRIPTION_LIMIT)] = ""
    task: Task = "tensor"
    labels: Annotated[tuple[Label, ...], Field(max_length=65_536)] = ()
    output: str | None = None
    threshold: Annotated[float | None, Field(ge=0, le=1, exclude_if=lambda limit: limit is None)] = None
    answer: Annotated[AnswerSpec | None, Field(exclude_if=lambda spec: spec is None)] = None
    inputs: Annotated[tuple[TensorSpec, ...], Field(min_length=1)]
    outputs: Annotated[tuple[TensorSpec, ...], Field(min_length=1)]
    features: FeatureView | None = None
    metrics: Annotated[dict[str, FiniteFloat], BeforeValidator(finite_only)] = {}
    card: dict[str, Any] = {}
    recipe: dict[str, Any] | None = None
    digest: str = ""
    size_bytes: Annotated[int, Field(ge=0)] = 0
    chunks: Annotated[int, Field(ge=0, le=CHUNKS_LIMIT)] = 0
    opset: dict[str, int] = {}
    ir_version: int = 0
    producer: str = ""
    execution: Annotated[Execution | None, Field(exclude_if=lambda said: said is None)] = None

    @model_validator(mode="after")
    def _answer_is_worded(self) -> Self:
        if self.task in LABELLED and len(self.labels) < 1:
            raise ValueError(f"task {self.task} needs labels")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("a label is listed twice")
        self._check_threshold()
        if self.task == "tensor":
            return self
        if self.task not in LABELLED and self.labels:
            what = "a value" if self.task == "regression" else "numbers"
            raise ValueError(f"labels are for classification and multilabel; a {self.task} answers {what}")
        answer = next((spec for spec in self.outputs if spec.name == self.output), None)
        if answer is None:
            raise ValueError(f"output {self.output!r} is none of the graph's outputs")
        width = answer.shape[1] if len(answer.shape) > 1 else 1
        # One value a row: a sigmoid for two labels, or the class itself as its number or text.
        one = len(self.labels) == 2 or answer.dtype not in FLOATS
        fitting = (len(self.labels), 1) if one else (len(self.labels),)
        if self.labels and isinstance(width, int) and width not in fitting:
            raise ValueError(
                f"output {self.output!r} gives {width} values a row, but there are {len(self.labels)} labels"
            )
        width = prod(dim for dim in answer.shape[1:] if isinstance(dim, int))
        if self.answer is not None and self.answer.width not in (0, width):
            raise ValueError(
                f"output {self.output!r} gives {width} values a row, the answer names {self.answer.width}"
            )
        return self

    def _check_threshold(self) -> None:
        two = self.task == "classification" and len(self.labels) == 2
        if self.threshold is not None and not two and self.task != "multilabel":
            raise ValueError("a threshold is for two labels, or for several at once")

    @cached_property
    def batching(self) -> Batching:
        """Whether rows can share a run: any number, exactly `fixed_rows`, or not at all."""
        every = [spec.shape for spec in (*self.inputs, *self.outputs)]
        if any(not shape for shape in every):
            return "none"
        first = [shape[0] for shape in every]
        if all(isinstance(dim, str) for dim in first):
            return "dynamic"
        rows, count = first[0], len(self.inputs)
        # An input of a fixed size beside one of any number of rows is no batch: it goes with each row.
        same = all(dim == rows or (at >= count and isinstance(dim, str)) for at, dim in enumerate(first))
        return "fixed" if isinstance(rows, int) and same else "none"

    @cached_property
    def fixed_rows(self) -> int:
        """How many rows one run of a fixed batch takes; 0 when any number will do."""
        rows = self.inputs[0].shape[0] if self.batching == "fixed" else 0
        return rows if isinstance(rows, int) else 0

    def spec(self, name: str) -> TensorSpec | None:
        """Return the input or output of that name."""
        every = (spec for spec in (*self.inputs, *self.outputs) if spec.name == name)
        return next(every, None)

    def to_json(self) -> bytes:
        """Return the stored form, defaults written out: a later default changes no stored model."""
        return self.model_dump_json(by_alias=True).encode()

    @classmethod
    def from_json(cls, data: bytes, name: str, version: int) -> "Manifest":
        """Read the stored form of version `version` of `name`.

        Raises: ManifestUnreadable, another format, or not what was asked for.
        """
        try:
            found = Stored.model_validate_json(data).format
            if found != FORMAT:
                reason = f"it has format {found}, this program reads {FORMAT}; upgrade Insitu"
                raise ManifestUnreadable(name, version, reason)
            manifest = cls.model_validate_json(data)
        except ValidationError as error:
            raise ManifestUnreadable(name, version, explain(error)) from error
        if (manifest.name, manifest.version) != (name, version):
            stored = f"{manifest.name} version {manifest.version}"
            raise ManifestUnreadable(name, version, f"it says it is {stored}")
        return manifest
