"""Scored: what rows of one part were told, in the forms that targets write; pure.

Rows that are all well come as columns and stay so; others come row by row. Both give the same texts.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from models.errors import BadRequest, InsituError, NotANumber, listed, shown
from models.jobs import JobSpec
from models.manifest import LABELLED, Manifest
from models.tensors import FLOATS
from server.inference.answers import said
from server.inference.asking import Row
from server.inference.columns import Columns
from server.inference.texts import filled, places_of

NUMBER_NAMES = {
    "classification": "probability",
    "multilabel": "probability",
    "regression": "value",
    "anomaly": "anomaly_score",
}
PAIR = 2  # of labels: the second one's probability is the number

Numbers = NDArray[np.floating[Any]]


class Ranking:
    """Which number of an answer a row is ranked and counted by; `name` is None where it has none."""

    def __init__(self, manifest: Manifest, label: str | None, outputs: bool = False) -> None:
        """Take the version, the label that a job names, and whether it writes output tensors instead.

        Raises: BadRequest, no label of this model, or one that has no probability.
        """
        self.outputs = outputs
        self.name = None if outputs else number_name(manifest)
        labels = manifest.labels
        if label is not None and label not in labels:
            known = f"its labels are {listed(labels)}" if labels else "it has none"
            raise BadRequest(f"label {shown(label)!r} is none of model {manifest.name!r}; {known}")
        if label is not None and self.name is None:
            why = "its outputs are asked for" if outputs else f"model {manifest.name!r} gives labels alone"
            raise BadRequest(f"label {shown(label)!r} has no probability: {why}; leave `label` out")
        self.labelled = not outputs and manifest.task in LABELLED
        self.label = label if label is not None or len(labels) != PAIR else labels[1]
        self._at = labels.index(self.label) if self.label is not None else None
        self.dtype = number_dtype(manifest)

    def of_columns(self, columns: Columns) -> Numbers:
        """Return the number of each row: (B,)."""
        numbers = columns.numbers
        if numbers.ndim == 1:
            return numbers
        column: Numbers = numbers.max(axis=1) if self._at is None else numbers[:, self._at]
        return column

    def of_body(self, body: Mapping[str, Any]) -> float:
        """Return the number of one answer, NaN where it has none."""
        probabilities = body.get("probabilities")
        if probabilities:
            return float(max(probabilities.values()) if self.label is None else probabilities[self.label])
        found = body.get("value", body.get("anomaly_score"))
        return float(found) if isinstance(found, int | float) else float("nan")


def settled(spec: JobSpec, manifest: Manifest) -> JobSpec:
    """Return a job on a version: its number, and the label of the numbers where one goes without saying.

    Raises: as Ranking.
    """
    ranking = Ranking(manifest, spec.label, spec.outputs)
    label = None if ranking.name is None else ranking.label
    return spec.model_copy(update={"version": manifest.version, "label": label})


def number_name(manifest: Manifest) -> str | None:
    """Return the name of the number in an answer of this version, None where it has none or several."""
    output = manifest.spec(manifest.output or "")
    if output is None or (manifest.task in LABELLED and output.dtype not in FLOATS):
        return None
    if manifest.task == "regression":
        said_of_it = manifest.answer
        if said_of_it is not None and (said_of_it.values or said_of_it.quantiles):
            return None if said_of_it.values else "value"
        sizes = output.shape[1:]
        if all(isinstance(size, int) for size in sizes) and prod(map(int, sizes)) != 1:
            return None
    return NUMBER_NAMES.get(manifest.task)


def number_dtype(manifest: Manifest) -> "np.dtype[Any]":
    """Return the type that the graph gives the number in; float64 for bfloat16, which no file has."""
    output = manifest.spec(manifest.output or "")
    return np.dtype(output.dtype if output is not None and output.dtype.startswith("float") else np.float64)


def beginning(manifest: Manifest) -> bytes:
    """Return how every answer of a version begins, and none of another."""
    return orjson.dumps({"model": manifest.name, "version": manifest.version})[:-1] + b","


class Scored:
    """Rows that are well: each list has one entry a row, in the order of `keys`.

    Units: at, Unix seconds when they were scored.
    """

    def __init__(self, manifest: Manifest, ranking: Ranking, keys: Sequence[str], at: float) -> None:
        self.manifest, self.ranking, self.keys, self.at = manifest, ranking, keys, round(at, 3)
        self._columns: Columns | None = None
        self._rows: Sequence[Row] = ()

    @classmethod
    def of_columns(cls, columns: Columns, ranking: Ranking, keys: Sequence[str], at: float) -> "Scored":
        """Take rows as columns."""
        scored = cls(columns.manifest, ranking, keys, at)
        scored._columns = columns
        return scored

    @classmethod
    def of_rows(
        cls, manifest: Manifest, ranking: Ranking, rows: Sequence[tuple[str, Row]], at: float
    ) -> "Scored":
        """Take rows with their keys; none of them has an error."""
        scored = cls(manifest, ranking, [key for key, _ in rows], at)
        scored._rows = [row for _, row in rows]
        return scored

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def time(self) -> bytes:
        """When the rows were scored, as text."""
        return orjson.dumps(self.at)

    @cached_property
    def answers(self) -> list[bytes]:
        """Each row's answer as JSON: model, version, time, key, then what it was told."""
        if not self.keys:
            return []
        before = b'%b"time":%b,"key":"' % (beginning(self.manifest), self.time)
        form, places = (b"%b", [self._members()]) if self._columns is None else places_of(self._columns)
        return filled(b'%b%%b",%b}' % (before.replace(b"%", b"%%"), form), [texts(self.keys), *places])

    def _members(self) -> list[bytes]:
        """What each row was told, as the members of a JSON object, without its braces."""
        return [orjson.dumps(told(row))[1:-1] for row in self._rows]

    @cached_property
    def numbers(self) -> Numbers:
        """The number each row is ranked by, in the graph's own type, NaN where it has none: (B,)."""
        if self._columns is not None:
            return self.ranking.of_columns(self._columns)
        return np.array([self.ranking.of_body(row.body) for row in self._rows], self.ranking.dtype)

    @cached_property
    def shortest(self) -> list[bytes]:
        """Each number in as few digits as give it back in its own type."""
        return written(self.numbers)

    @cached_property
    def exact(self) -> list[bytes]:
        """Each number as the answer has it: whoever reads it as a double has the same double."""
        return written(self.numbers.astype(np.float64))

    @cached_property
    def labels(self) -> list[str] | None:
        """The label of each row, joined by commas where it has several; None where the task has none."""
        if not self.ranking.labelled:
            return None
        if self._columns is not None:
            names = self.manifest.labels
            return [names[at] for at in said(self.manifest, self._columns.numbers)]
        return [
            ",".join(row.body["labels"]) if "labels" in row.body else str(row.body["label"])
            for row in self._rows
        ]

    def numbered(self) -> "tuple[Scored, dict[str, InsituError]]":
        """Return the rows that have a number, and by key what is wrong with the others."""
        absent = np.isnan(self.numbers)
        if not absent.any():
            return self, {}
        rows = [*zip(self.keys, self._rows, absent.tolist(), strict=True)]
        good = [(key, row) for key, row, without in rows if not without]
        bad: dict[str, InsituError] = {key: no_number(key, row) for key, row, without in rows if without}
        return Scored.of_rows(self.manifest, self.ranking, good, self.at), bad

    def counted_labels(self) -> Counter[str]:
        """Count rows by label."""
        return Counter(self.labels or ())


def told(row: Row) -> dict[str, Any]:
    """Return what one row was told, and which values were stood in for."""
    return {**row.body, **({"filled": row.filled} if row.filled else {})}


def no_number(key: str, row: Row) -> NotANumber:
    """Return the error of a row whose answer is several numbers."""
    return NotANumber(f"the answer of {shown(key)!r}", row.body.get("value"), "single")


def texts(keys: Sequence[str]) -> list[bytes]:
    """Return keys as JSON, without their quotes: all at once where none has anything to escape."""
    every = orjson.dumps([*keys])
    if b"\\" in every:
        return [orjson.dumps(key)[1:-1] for key in keys]
    return every[2:-2].split(b'","')


def written(numbers: Numbers) -> list[bytes]:
    """Return numbers as text, each in as few digits as its type needs."""
    if not len(numbers):
        return []
    every = orjson.dumps(np.ascontiguousarray(numbers), option=orjson.OPT_SERIALIZE_NUMPY)
    return every[1:-1].split(b",")
