"""Truths: what is true of rows by now, read from Redis beside their features, and how often a model says so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.assembly import Plan
from models.columns import Wording, answers_in
from models.errors import BadRequest, InsituError, shown
from models.manifest import Manifest
from models.sources import HashSource, JsonSource
from models.templates import KeyTemplate
from models.tensors import Tensor
from models.values import as_text
from server.batch.one_field import Kind, form_of, value_in
from server.inference.reading.reads import Ask, awaited

CONFIDENCE = 1.96  # deviations: 95 %


@dataclass(frozen=True, slots=True)
class Truth:
    """Where the truth of a row lies: a field of the hash or the document under a key.

    `labels` are the label that each stored text means; empty where the text is the label.
    """

    key: KeyTemplate
    name: str
    kind: Kind = "hash"
    labels: Mapping[str, str] = field(default_factory=dict)

    async def read(self, ask: Ask, plan: Plan, rows: Sequence[Any]) -> list[str | None]:
        """Return what is stored for each row, None where there is nothing.

        Raises: RedisUnavailable, RedisRefused.
        """
        keys = [self._key(plan, row) for row in rows]
        form = form_of(self.kind, self.name)
        commands = [form.encoded(key) for key in keys if key is not None]
        replies = iter(await awaited(ask, commands) if commands else [])
        return [None if key is None else self._text(next(replies)) for key in keys]

    def _key(self, plan: Plan, row: Any) -> str | None:
        try:
            return self.key.fill(plan.template.read(row) if isinstance(row, str) else row)
        except InsituError:
            return None

    def _text(self, reply: Any) -> str | None:
        if reply is None or isinstance(reply, Exception):
            return None
        value = value_in(self.kind, reply)
        return None if value is None else as_text(value)


def truth_of(manifest: Manifest, plan: Plan, named: str | None) -> Truth | None:
    """Return where the truth lies: where the recipe says, or in the field that is named; None where nobody knows.

    Raises: BadRequest, a field is named, but rows have neither hash nor document.
    """
    recipe = manifest.recipe or {}
    target = dict((recipe.get("data") or {}).get("target") or {})
    said = named or target.get("field") or target.get("column")
    if said is None or (manifest.task not in SCORINGS and named is None):
        return None
    labels = {str(raw): str(label) for raw, label in (recipe.get("labels") or {}).items()}
    if "key" in target:
        return Truth(
            KeyTemplate(target["key"]), said, "json" if target.get("as") == "json" else "hash", labels
        )
    keyed = plan.view.keyed
    if keyed and isinstance(keyed[0], HashSource | JsonSource):
        return Truth(KeyTemplate(keyed[0].key), said, keyed[0].kind, labels)
    if named is None:
        return None
    raise BadRequest(
        f"--target {shown(named)!r}: the rows of model {manifest.name!r} are neither hashes nor documents, so they "
        "have no field; give the recipe a `target` with a key"
    )


@dataclass(slots=True)
class Truths:
    """Answers beside the truth, of the rows whose truth is known."""

    said: list[float] = field(default_factory=list)
    true: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.true)

    def add(self, manifest: Manifest, truth: Truth, output: Tensor, texts: Sequence[str | None]) -> None:
        """Take rows, (B, ...), and what is stored of each."""
        known = [number_of(manifest, truth, text) for text in texts]
        good = [
            at
            for at, number in enumerate(known)
            if number is not None and (output.dtype.kind != "f" or np.isfinite(output[at]).all())
        ]
        columns = [*answers_in(Wording.of(manifest), output[good])] if good else []
        single = manifest.task == "classification" or len(columns) == 1
        if columns and single and len(columns[0].values) == len(good):
            self.said += columns[0].values.tolist()
            self.true += [float(known[at] or 0.0) for at in good]


def number_of(manifest: Manifest, truth: Truth, text: str | None) -> float | None:
    """Return the number of a label, or a value; None where a text is neither."""
    if text is None:
        return None
    if manifest.task == "classification":
        label = truth.labels.get(text, text)
        return float(manifest.labels.index(label)) if label in manifest.labels else None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


@dataclass(frozen=True, slots=True)
class Skill:
    """A score of today: `low` to `high` is where chance leaves it with 95 % confidence; `then` the card's own."""

    metric: str
    rows: int
    value: float
    low: float
    high: float
    then: float | None = None
    then_range: tuple[float, float] | None = None
    more_is_better: bool = True

    @property
    def worse(self) -> bool:
        """Whether it is worse than it was, and not by chance."""
        if self.then is None:
            return False
        low, high = self.then_range or (self.then, self.then)
        return self.high < low if self.more_is_better else self.low > high


def skill(manifest: Manifest, truths: Truths) -> Skill | None:
    """Return how good answers are, None where no truth is known or the task has no such score."""
    scoring = SCORINGS.get(manifest.task)
    if scoring is None or len(truths) < LEAST_TRUTHS:
        return None
    metric, more = scoring
    said, true = np.array(truths.said), np.array(truths.true)
    each = (said == true).astype(np.float64) if metric == "accuracy" else np.abs(said - true)
    value, rows = float(each.mean()), len(each)
    if metric == "accuracy":  # Wilson's interval: it is none of 0 where all are right
        middle = (value + CONFIDENCE**2 / (2 * rows)) / (1 + CONFIDENCE**2 / rows)
        width = CONFIDENCE / (1 + CONFIDENCE**2 / rows)
        width *= float(np.sqrt(value * (1 - value) / rows + CONFIDENCE**2 / (4 * rows**2)))
    else:
        middle, width = value, CONFIDENCE * float(each.std()) / rows**0.5
    ends = (manifest.card.get("intervals") or {}).get(metric)
    then_range = (float(ends[0]), float(ends[1])) if ends else None
    return Skill(
        metric, rows, value, middle - width, middle + width, manifest.metrics.get(metric), then_range, more
    )


def untold(manifest: Manifest, truths: Truths, field: str) -> str:
    """Return why `skill` says nothing of rows whose truth was said to be in a field."""
    if manifest.task not in SCORINGS:
        return f"--target {shown(field)!r}: answers of task {manifest.task!r} are held against no truth here"
    what = "one of its labels" if manifest.task == "classification" else "a number"
    return (
        f"--target {shown(field)!r}: {len(truths)} of the answered rows have {what} in that field, "
        f"a score takes {LEAST_TRUTHS} or more; look at its name"
    )


SCORINGS = {"classification": ("accuracy", True), "regression": ("mae", False)}
LEAST_TRUTHS = 2
