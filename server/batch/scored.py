"""Scored: what rows of one part were told, in the forms that targets write; pure.

Rows that are all well come as columns and stay so; others come row by row. Both give the same texts.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from models.errors import BadRequest, listed, shown
from models.manifest import Manifest
from server.inference.answers import said
from server.inference.asking import Row
from server.inference.columns import Columns
from server.inference.texts import texts_of

NUMBER_NAMES = {
    "classification": "probability",
    "multilabel": "probability",
    "regression": "value",
    "anomaly": "anomaly_score",
}
PAIR = 2  # of labels: the second one's probability is the number


class Ranking:
    """Which number of an answer a row is ranked and counted by."""

    def __init__(self, manifest: Manifest, label: str | None) -> None:
        """Take the version and the label that a job names.

        Raises: BadRequest, no label of this model.
        """
        self.name = NUMBER_NAMES.get(manifest.task)
        labels = manifest.labels
        if label is not None and label not in labels:
            known = f"its labels are {listed(labels)}" if labels else "it has none"
            raise BadRequest(f"label {shown(label)!r} is none of model {manifest.name!r}; {known}")
        self.label = label if label is not None or len(labels) != PAIR else labels[1]
        self._at = labels.index(self.label) if self.label is not None else None

    def of_columns(self, columns: Columns) -> NDArray[np.floating[Any]]:
        """Return the number of each row: (B,)."""
        numbers = columns.numbers
        if numbers.ndim == 1:
            return numbers
        column: NDArray[np.floating[Any]] = numbers.max(axis=1) if self._at is None else numbers[:, self._at]
        return column

    def of_body(self, body: Mapping[str, Any]) -> float:
        """Return the number of one answer, NaN where it has none."""
        probabilities = body.get("probabilities")
        if probabilities:
            return float(max(probabilities.values()) if self.label is None else probabilities[self.label])
        found = body.get("value", body.get("anomaly_score"))
        return float(found) if isinstance(found, int | float) else float("nan")


class Scored:
    """Rows that are well: each list has one entry a row, in the order of `keys`.

    Units: at, Unix seconds when they were scored.
    """

    def __init__(self, manifest: Manifest, ranking: Ranking, keys: Sequence[str], at: float) -> None:
        self.manifest, self.ranking, self.keys, self.at = manifest, ranking, keys, at
        self._columns: Columns | None = None
        self._rows: Sequence[Row] = ()

    @classmethod
    def of_columns(cls, columns: Columns, ranking: Ranking, keys: Sequence[str], at: float) -> "Scored":
        """Take rows as columns."""
        scored = cls(columns.manifest, ranking, keys, at)
        scored._columns = columns
        return scored

    @classmethod
    def of_rows(cls, manifest: Manifest, ranking: Ranking, rows: Mapping[str, Row], at: float) -> "Scored":
        """Take rows by key; none of them has an error."""
        scored = cls(manifest, ranking, [*rows], at)
        scored._rows = [*rows.values()]
        return scored

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def members(self) -> list[bytes]:
        """What each row was told, as the members of a JSON object, without its braces."""
        if self._columns is not None:
            return texts_of(self._columns)
        return [orjson.dumps(told(row), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1] for row in self._rows]

    @cached_property
    def answers(self) -> list[bytes]:
        """Each row's answer as JSON: model, version, key, time, then what it was told."""
        name, version = self.manifest.name, self.manifest.version
        before = orjson.dumps({"model": name, "version": version, "time": round(self.at, 3)})[:-1]
        pairs = zip(self.keys, self.members, strict=True)
        return [b'%b,"key":%b,%b}' % (before, orjson.dumps(key), member) for key, member in pairs]

    @cached_property
    def numbers(self) -> NDArray[np.floating[Any]]:
        """The number each row is ranked by, NaN where it has none: (B,)."""
        if self._columns is not None:
            return self.ranking.of_columns(self._columns)
        return np.array([self.ranking.of_body(row.body) for row in self._rows], np.float64)

    @cached_property
    def labels(self) -> list[str] | None:
        """The label of each row, joined by commas where it has several; None where the task has none."""
        if self._columns is not None:
            if self.manifest.task != "classification":
                return None
            names = self.manifest.labels
            return [names[at] for at in said(self.manifest, self._columns.numbers)]
        if not self._rows or not any(one in self._rows[0].body for one in ("label", "labels")):
            return None
        return [
            ",".join(row.body["labels"]) if "labels" in row.body else str(row.body["label"])
            for row in self._rows
        ]

    def counted_labels(self) -> Counter[str]:
        """Count rows by label."""
        return Counter(self.labels or ())


def told(row: Row) -> dict[str, Any]:
    """Return what one row was told, and which values were stood in for."""
    return {**row.body, **({"filled": row.filled} if row.filled else {})}
