"""Columns: the numbers of many rows by feature, or by what was answered; pure.

    features_in(view, feeds)      tensors of rows as the graph takes them -> a column a feature
    answers_in(wording, output)   the output of the graph -> a column for each thing that is said

A field is a feature, and so is each element of a small vector; of a larger one, blocks of neighbours, whose
numbers are one column (`models/named_elements.py`). Of a sequence each channel, or field of a stream, is a
column, whatever the number of its steps, and so is that number. Texts have no column.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.answers import MEDIAN, AnswerSpec
from models.features import FeatureView, InputView
from models.manifest import Manifest
from models.named_elements import NamedFeature, blocks, of_view, parted, told_apart
from models.sources import ListSource, SequenceSource, Source, StreamSource, VectorSource
from models.tensors import Tensor

NUMERIC = "biuf"
ANSWERS_MOST = 64  # values or labels of a model that answers several
PAIR = 2

Numbers = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One feature of many rows, or one thing that was answered.

    `categories` are the texts that numbers stand for; one more number stands for any other text. `rows` are
    all rows, `filled` those where a default stood in, `absent` those that have no number; `field` is what the
    reader of the view calls what it is read from.
    Shape: values (N,), as many as there are elements and steps in the rows that have some.
    """

    name: str
    values: Numbers
    rows: int
    categories: tuple[str, ...] = ()
    filled: int = 0
    absent: int = 0
    field: str = ""

    @property
    def present(self) -> int:
        """How many rows have a number."""
        return self.rows - self.absent if len(self.values) else 0

    @classmethod
    def joined(cls, columns: Sequence["Column"]) -> "Column":
        """Return the rows of several columns of one name."""
        first = columns[0]
        return cls(
            first.name,
            np.concatenate([one.values for one in columns]),
            sum(one.rows for one in columns),
            first.categories,
            sum(one.filled for one in columns),
            sum(one.absent for one in columns),
            first.field,
        )


@dataclass(frozen=True, slots=True)
class Gaps:
    """Which rows lack what, by the name that the reader of a view calls it: a field, or the key of a vector or list.

    `filled` has the rows where a default stood in; `absent` those where nothing is known, whatever the tensor has.
    """

    filled: Mapping[str, Sequence[int]]
    absent: Mapping[str, Sequence[int]]


NO_GAPS = Gaps({}, {})


def features_in(view: FeatureView, feeds: Mapping[str, Tensor], gaps: Gaps = NO_GAPS) -> Iterator[Column]:
    """Give a column for each feature of rows.

    Shape: feeds[input] (B, ...), of sequences (B, T, ...) beside their lengths (B,), where they are padded.
    """
    inputs = [one for one in view.inputs if feeds[one.name].dtype.kind in NUMERIC]
    places = [place for one in inputs for place in places_of(one, feeds[one.name].shape[1:])]
    named = told_apart(places)
    for place, shown in zip(places, named, strict=True):
        yield column(place, shown.name, view, feeds, gaps)
    for one in inputs:
        if one.free_length:
            x = feeds[one.name]
            lengths = feeds[one.lengths] if one.lengths else np.full(len(x), x.shape[1])
            yield Column(f"steps of {one.name}", lengths, len(x))


def places_of(view: InputView, shape: Sequence[int]) -> list[NamedFeature]:
    """Return where the features of an input lie in a row, of sequences in one step."""
    if not stepwise(view):
        return [*of_view(view, tuple(shape))]
    places = np.arange(prod(shape[1:])).reshape(shape[1:])
    return [
        replace(one, turn=turn)
        for turn, (source, own) in enumerate(parted(view, places))
        for one in channels(source, view.name, own)
    ]


def stepwise(view: InputView) -> bool:
    """Whether rows of an input are sequences of steps."""
    return view.shape is None and any(isinstance(source, SequenceSource) for source in view.sources)


def channels(source: Source, name: str, places: NDArray[np.int64]) -> Iterator[NamedFeature]:
    """Give the features of a source in one step of a sequence: fields of a stream by name, others by place."""
    if isinstance(source, StreamSource):
        for at, field in enumerate(source.fields):
            own = places[..., at].reshape(-1)
            yield NamedFeature(field.name, name, own, field.categories, source.key, field.name)
        return
    key = source.key if isinstance(source, ListSource | VectorSource) else name
    for one in blocks("", name, places, key):
        channel = f"[:,{one.name[1:]}" if one.name else ""
        yield NamedFeature(f"{key}{channel}", name, one.places, (), key, key)


def column(
    place: NamedFeature, name: str, view: FeatureView, feeds: Mapping[str, Tensor], gaps: Gaps
) -> Column:
    """Return the numbers of one feature."""
    one = next(one for one in view.inputs if one.name == place.input)
    x = feeds[one.name]
    there = np.ones(len(x), bool)
    absent = lacking(gaps.absent, place)
    there[absent] = False
    if stepwise(one):
        steps = there[:, None] & known_steps(x, feeds.get(one.lengths or ""))
        values = x.reshape(*x.shape[:2], -1)[:, :, place.places][steps]
    else:
        values = x.reshape(len(x), -1)[:, place.places][there]
    whole = values if values.dtype.kind == "f" else values.astype(np.result_type(values.dtype, np.int16))
    filled = len(lacking(gaps.filled, place))
    return Column(name, whole.reshape(-1), len(x), place.categories, filled, len(absent), place.label)


def lacking(rows: Mapping[str, Sequence[int]], place: NamedFeature) -> list[int]:
    """Return the rows that lack a feature, or all that it is read from."""
    return sorted({*rows.get(place.label, ()), *rows.get(place.source, ())})


def known_steps(x: Tensor, lengths: Tensor | None) -> NDArray[np.bool_]:
    """Return which steps are no padding: (B, T)."""
    steps = np.arange(x.shape[1])
    return np.broadcast_to(True, x.shape[:2]) if lengths is None else steps < lengths[:, None]


@dataclass(frozen=True, slots=True)
class Wording:
    """What a model's answer says, as far as its manifest tells."""

    task: str
    labels: tuple[str, ...] = ()
    threshold: float | None = None
    spec: AnswerSpec | None = None

    @classmethod
    def of(cls, manifest: Manifest) -> "Wording":
        """Return how a version words its answers."""
        return cls(manifest.task, manifest.labels, manifest.threshold, manifest.answer)


def answers_in(wording: Wording, output: Tensor) -> Iterator[Column]:
    """Give a column for each thing that an output says of its rows, (B, ...); rows that are not finite have none."""
    rows = output.reshape(len(output), -1)
    if rows.dtype.kind not in NUMERIC:
        if wording.labels:
            yield labelled(wording, [*map(str, rows[:, 0].tolist())])
        return
    finite = rows[np.isfinite(rows).all(axis=1)]
    for one in WORDINGS.get(wording.task, whole)(wording, finite):
        yield Column(one.name, one.values, len(rows), one.categories, 0, len(rows) - len(finite))


def labelled(wording: Wording, texts: Sequence[str]) -> Column:
    """Return the labels that a graph says itself."""
    numbers = {label: at for at, label in enumerate(wording.labels)}
    values = np.array([numbers.get(text, len(numbers)) for text in texts], np.int64)
    return Column("label", values, len(texts), wording.labels)


def classes(wording: Wording, rows: Tensor) -> Iterator[Column]:
    """Give the label that is said, and how probable the second of two is, or the likeliest of several."""
    labels = wording.labels
    if rows.dtype.kind != "f":
        yield Column("label", np.clip(rows[:, 0], 0, len(labels)), len(rows), labels)
        return
    two = len(labels) == PAIR
    probabilities = np.concatenate([1 - rows, rows], axis=1) if two and rows.shape[1] == 1 else rows
    said = probabilities.argmax(axis=1)
    if two and wording.threshold is not None:
        said = (probabilities[:, 1] >= wording.threshold).astype(np.int64)
    yield Column("label", said, len(rows), labels)
    if two:
        yield Column(f"probability of {labels[1]}", probabilities[:, 1], len(rows))
    else:
        yield Column("probability of the label", probabilities.max(axis=1), len(rows))


def several_labels(wording: Wording, rows: Tensor) -> Iterator[Column]:
    """Give the probability of each label."""
    for at, label in enumerate(wording.labels[:ANSWERS_MOST]):
        yield Column(f"probability of {label}", rows[:, at], len(rows))


def values(wording: Wording, rows: Tensor) -> Iterator[Column]:
    """Give each value, of quantiles the median."""
    spec = wording.spec or AnswerSpec()
    if spec.quantiles:
        rows = rows[:, spec.quantiles.index(MEDIAN) :: len(spec.quantiles)]
    names = spec.values or (
        ("value",) if rows.shape[1] == 1 else [f"value[{at}]" for at in range(rows.shape[1])]
    )
    for at, name in enumerate(names[:ANSWERS_MOST]):
        yield Column(name, rows[:, at], len(rows))


def scores(wording: Wording, rows: Tensor) -> Iterator[Column]:
    """Give the anomaly score, and whether it is over the threshold."""
    yield Column("anomaly_score", rows[:, 0], len(rows))
    if wording.spec is not None and wording.spec.threshold is not None:
        over = (rows[:, 0] > wording.spec.threshold).astype(np.int64)
        yield Column("anomaly", over, len(rows), ("no", "yes"))


def whole(wording: Wording, rows: Tensor) -> Iterator[Column]:
    """Give all numbers as one: the steps of a forecast, or an output that nothing is said of."""
    yield Column("forecast" if wording.task == "forecasting" else "output", rows.reshape(-1), len(rows))


WORDINGS = {
    "classification": classes,
    "multilabel": several_labels,
    "regression": values,
    "anomaly": scores,
}
