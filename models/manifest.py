"""Manifest: everything about one version of a model but its ONNX bytes; stored as JSON."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import ManifestUnreadable
from models.features import FeatureView, explain
from models.keys import NAME
from models.tensors import TensorSpec

FORMAT: Literal[1] = 1

Task = Literal["classification", "multilabel", "regression", "tensor"]
Batching = Literal["dynamic", "fixed", "none"]


class Manifest(BaseModel):
    """One version of a model.

    `task` says how an answer is worded: a label and probabilities, one probability a label, a
    value, or plain tensors. `output` names the output it is read from: (B, C) probabilities,
    (B,) or (B, 1) for two labels, (B,) or (B, 1) for a value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = FORMAT
    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    version: Annotated[int, Field(ge=0)] = 0
    created: datetime | None = None
    description: str = ""
    task: Task = "tensor"
    labels: tuple[str, ...] = ()
    output: str | None = None
    inputs: Annotated[tuple[TensorSpec, ...], Field(min_length=1)]
    outputs: Annotated[tuple[TensorSpec, ...], Field(min_length=1)]
    features: FeatureView | None = None
    metrics: dict[str, float] = {}
    card: dict[str, Any] = {}
    recipe: dict[str, Any] | None = None
    digest: str = ""
    size_bytes: Annotated[int, Field(ge=0)] = 0
    chunks: Annotated[int, Field(ge=0)] = 0
    opset: dict[str, int] = {}
    ir_version: int = 0
    producer: str = ""

    @model_validator(mode="after")
    def _answer_is_worded(self) -> Self:
        if self.task in ("classification", "multilabel") and len(self.labels) < 1:
            raise ValueError(f"task {self.task} needs labels")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("a label is listed twice")
        if self.task != "tensor" and self.output not in {spec.name for spec in self.outputs}:
            raise ValueError(f"output {self.output!r} is none of the graph's outputs")
        return self

    @property
    def batching(self) -> Batching:
        """Whether rows can share a run: any number, exactly `fixed_rows`, or not at all."""
        every = [spec.shape for spec in (*self.inputs, *self.outputs)]
        if any(not shape for shape in every):
            return "none"
        first = [shape[0] for shape in every]
        if all(isinstance(dim, str) for dim in first):
            return "dynamic"
        rows = first[0]
        same = all(dim == rows or isinstance(dim, str) for dim in first)
        return "fixed" if isinstance(rows, int) and same else "none"

    @property
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
            manifest = cls.model_validate_json(data)
        except ValidationError as error:
            raise ManifestUnreadable(name, version, explain(error)) from error
        if (manifest.name, manifest.version) != (name, version):
            stored = f"{manifest.name} version {manifest.version}"
            raise ManifestUnreadable(name, version, f"it says it is {stored}")
        return manifest
