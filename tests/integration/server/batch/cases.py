"""Models, rows, and what ONNX Runtime says of them when it is run directly."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime as ort

from models.assembly import Plan
from models.bundle import Bundle
from models.jobs import JobSpec
from models.manifest import Manifest
from server.batch.scored import Ranking, Scored
from server.batch.targets.opening import open_target
from server.batch.targets.target import JobRun, PartName, Target
from server.inference.answers import bodies
from server.inference.asking import Row
from server.inference.columns import columns
from server.inference.reading.reads import Ask
from tests.graphs import bundle, dense, f32, numbered

VIEW = {"inputs": [{"name": "x", "sources": [{"key": "k:{id}", "as": "hash", "fields": ["a", "b"]}]}]}
AT = 1_800_000_000.25
JOB = JobRun("nightly", 1_800_000_000.0)
PART = PartName("1700-0", keys=[f"k:{number}" for number in range(5000)])
NUMBERS = numbered(bundle(dense(f32([[1.3], [-0.7]])), view=VIEW, task="regression"))
CLASSES = numbered(
    bundle(dense(f32([[1, -1, 0.3], [0, 1, -0.2]]), "Softmax"), view=VIEW, labels=("low", "a,b", "high"))
)
SEVERAL = numbered(bundle(dense(f32([[1, -1], [0, 1]])), view=VIEW, task="forecasting", output="y"))


@dataclass
class Rows:
    """Rows of one model and what is said of them."""

    model: Bundle
    count: int = 20
    label: str | None = None
    outputs: bool = False
    by_row: bool = False
    first: int = 0
    keys: list[str] = field(init=False)
    output: Any = field(init=False)

    def __post_init__(self) -> None:
        self.keys = [f"k:{number}" for number in range(self.first, self.first + self.count)]
        session = ort.InferenceSession(self.model.onnx, providers=["CPUExecutionProvider"])
        numbers = np.random.default_rng(self.first).normal(size=(self.count, 2)).astype(np.float32)
        (self.output,) = session.run(["y"], {"x": numbers})

    @property
    def manifest(self) -> Manifest:
        return self.model.manifest

    @property
    def ranking(self) -> Ranking:
        return Ranking(self.manifest, self.label, self.outputs)

    @property
    def scored(self) -> list[Scored]:
        found = columns(self.manifest, {"y": self.output})
        if found is not None and not (self.by_row or self.outputs):
            return [Scored.of_columns(found, self.ranking, self.keys, AT)]
        rows = {}
        for key, body in zip(self.keys, bodies(self.manifest, {"y": self.output}, self.outputs), strict=True):
            assert isinstance(body, dict)
            rows[key] = Row(key)
            rows[key].body = body
        return [Scored.of_rows(self.manifest, self.ranking, [*rows.items()], AT)]

    def target(self, ask: Ask, job: JobRun = JOB, **spec: Any) -> Target:
        (parsed,) = JobSpec.model_validate({"model": "m", "to": [spec]}).to
        assert self.manifest.features is not None
        plan = Plan(self.manifest.features)
        return open_target(parsed, ask, plan, self.manifest, self.ranking, job=job)


def nothing(*_: Any) -> None:
    raise AssertionError("asked")
