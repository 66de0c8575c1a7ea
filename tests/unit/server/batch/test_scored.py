"""What rows were told is the same in columns and row by row, whatever the task, the labels and the keys."""

from collections import Counter
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.answers import AnswerSpec
from models.errors import BadRequest
from models.manifest import Manifest
from models.tensors import TensorSpec, numpy_dtype
from server.batch.scored import Ranking, Scored, beginning
from server.inference.answers import bodies
from server.inference.asking import Row
from server.inference.columns import columns
from tests.graphs import f32

FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)
SHARES = st.floats(0, 1, width=32)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
KEYS = st.lists(TEXTS, min_size=4, max_size=4, unique=True)
AT = 1_800_000_000.1239
THREE = ("low", "mid", "high")


def manifest(task: str, width: int | str = "width", dtype: str = "float32", **said: Any) -> Manifest:
    spec = TensorSpec(name="x", dtype="float32", shape=("rows", "width"))
    output = TensorSpec(name="p", dtype=dtype, shape=("rows", width))
    return Manifest(name="m", version=2, inputs=(spec,), outputs=(output,), task=task, output="p", **said)


def by_row(of: Manifest, ranking: Ranking, keys: list[str], output: np.ndarray) -> Scored:
    rows = {key: Row(key) for key in keys}
    for row, body in zip(rows.values(), bodies(of, {"p": output}, ranking.outputs), strict=True):
        assert isinstance(body, dict)
        row.body = body
    return Scored.of_rows(of, ranking, [*rows.items()], AT)


def by_column(of: Manifest, ranking: Ranking, keys: list[str], output: np.ndarray) -> Scored:
    found = columns(of, {"p": output})
    assert found is not None
    return Scored.of_columns(found, ranking, keys, AT)


def both(of: Manifest, output: np.ndarray, keys: list[str], label: str | None = None) -> Scored:
    """Compare both ways and return one of them."""
    ranking = Ranking(of, label)
    row, column = by_row(of, ranking, keys, output), by_column(of, ranking, keys, output)
    assert column.answers == row.answers
    assert column.labels == row.labels
    assert column.numbers.tolist() == row.numbers.tolist()
    assert column.numbers.dtype == row.numbers.dtype
    assert (column.shortest, column.exact) == (row.shortest, row.exact)
    assert column.counted_labels() == row.counted_labels()
    return column


def check(scored: Scored, keys: list[str]) -> list[dict[str, Any]]:
    """Look at what all answers have, and return what the rows were told."""
    found = [orjson.loads(answer) for answer in scored.answers]
    assert [one.pop("key") for one in found] == keys
    for answer, one in zip(scored.answers, found, strict=True):
        assert answer.startswith(beginning(scored.manifest))
        assert b"\n" not in answer
        assert (one.pop("model"), one.pop("version"), one.pop("time")) == ("m", 2, 1_800_000_000.124)
    return found


@settings(max_examples=100, deadline=None)
@given(keys=KEYS, output=arrays(np.float32, (4, 1), elements=FLOATS))
def test_a_value(keys: list[str], output: np.ndarray) -> None:
    scored = both(manifest("regression"), output, keys)

    assert f32([one["value"] for one in check(scored, keys)]).tolist() == output[:, 0].tolist()
    assert [np.float32(text) for text in map(float, scored.shortest)] == output[:, 0].tolist()
    assert [*map(float, scored.exact)] == output[:, 0].tolist()
    assert scored.labels is None


@settings(max_examples=100, deadline=None)
@given(
    keys=KEYS,
    labels=st.lists(TEXTS, min_size=2, max_size=2, unique=True),
    threshold=st.none() | SHARES,
    output=arrays(np.float32, st.sampled_from([(4,), (4, 1), (4, 2)]), elements=SHARES),
)
def test_two_labels(keys: list[str], labels: list[str], threshold: float | None, output: np.ndarray) -> None:
    of = manifest("classification", labels=tuple(labels), threshold=threshold)

    scored = both(of, output, keys)

    second = output.reshape(4, -1)[:, -1]
    assert scored.numbers.tolist() == second.tolist()
    told = check(scored, keys)
    assert [one["label"] for one in told] == scored.labels
    assert f32([one["probabilities"][labels[1]] for one in told]).tolist() == second.tolist()


@settings(max_examples=100, deadline=None)
@given(data=st.data(), keys=KEYS, labels=st.lists(TEXTS, min_size=3, max_size=9, unique=True))
def test_many_labels(data: st.DataObject, keys: list[str], labels: list[str]) -> None:
    of = manifest("classification", labels=tuple(labels))
    output = data.draw(arrays(np.float32, (4, len(labels)), elements=SHARES))
    label = data.draw(st.none() | st.sampled_from(labels))

    scored = both(of, output, keys, label)

    expected = output.max(axis=1) if label is None else output[:, labels.index(label)]
    assert scored.numbers.tolist() == expected.tolist()
    assert scored.labels == [labels[at] for at in output.argmax(axis=1)]
    check(scored, keys)


@pytest.mark.parametrize("count", [1, 255, 256, 257, 1000])
def test_any_number_of_rows(count: int) -> None:
    output = np.random.default_rng(count).random((count, 3), np.float32)
    keys = [f"k:{number}" for number in range(count)]

    check(both(manifest("classification", labels=("100 %", "%b", "b")), output, keys), keys)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_floats_of_any_size_have_a_probability_for_their_label(dtype: str) -> None:
    of = manifest("classification", labels=THREE, dtype=dtype)
    output = np.array([[0.25, 0.5, 0.25]], numpy_dtype(dtype))

    scored = by_row(of, Ranking(of, "mid"), ["k:1"], output)

    assert (scored.labels, scored.numbers.tolist()) == (["mid"], [0.5])


KEPT = ["k:1", 'k:"', "k:%b", "k:\\"]


def told(of: Manifest, output: Any, label: str | None = None, outputs: bool = False) -> Scored:
    scored = by_row(of, Ranking(of, label, outputs), KEPT[: len(output)], np.array(output))
    check(scored, KEPT[: len(output)])
    return scored


def test_several_labels_at_once() -> None:
    of = manifest("multilabel", labels=THREE)
    output = np.array([[0.5, 0.25, 1], [0, 0, 0.25]], np.float32)

    assert told(of, output).labels == ["low,high", ""]
    assert told(of, output).numbers.tolist() == [1, 0.25]
    assert told(of, output, "mid").numbers.tolist() == [0.25, 0]
    assert told(of, output).counted_labels() == Counter({"low,high": 1, "": 1})


@pytest.mark.parametrize(
    ("of", "output", "name", "numbers"),
    [
        (manifest("regression", 3, answer=AnswerSpec(quantiles=(0.1, 0.5, 0.9))), [[1, 2, 3]], "value", [2]),
        (manifest("anomaly", 1, answer=AnswerSpec(threshold=1.5)), [[1.0], [2.0]], "anomaly_score", [1, 2]),
        (manifest("regression", 1, "float64"), [[0.1], [1e300]], "value", [0.1, 1e300]),
        (manifest("regression", 1, "int64"), [[3], [4]], "value", [3, 4]),
    ],
)
def test_a_number_by_its_name(of: Manifest, output: Any, name: str, numbers: list[float]) -> None:
    scored = told(of, output)

    assert scored.ranking.name == name
    assert scored.numbers.tolist() == numbers
    assert scored.numbered() == (scored, {})


@pytest.mark.parametrize(
    ("of", "output"),
    [
        (manifest("regression", 2, answer=AnswerSpec(values=("a", "b"))), [[1.0, 2.0]]),
        (manifest("regression", 2), [[1.0, 2.0]]),
        (manifest("forecasting", 2), [[1.0, 2.0]]),
        (manifest("classification", 1, "int64", labels=THREE), [[2]]),
    ],
)
def test_answers_that_have_no_number(of: Manifest, output: Any) -> None:
    scored = told(of, output)

    assert scored.ranking.name is None
    assert np.isnan(scored.numbers).all()
    assert scored.shortest == [b"null"]


def test_a_class_that_the_graph_chose_is_a_label_alone() -> None:
    of = manifest("classification", 1, "int64", labels=THREE)

    assert told(of, [[2], [0]]).labels == ["high", "low"]
    with pytest.raises(BadRequest, match="label 'mid' has no probability: model 'm' gives labels alone"):
        Ranking(of, "mid")


def test_output_tensors_have_no_label_and_no_number() -> None:
    of = manifest("classification", labels=THREE)
    scored = told(of, [[0.5, 0.25, 0.25]], outputs=True)

    assert (scored.labels, scored.ranking.name) == (None, None)
    assert np.isnan(scored.numbers).all()
    assert orjson.loads(scored.answers[0])["outputs"] == {"p": [0.5, 0.25, 0.25]}
    with pytest.raises(BadRequest, match="has no probability: its outputs are asked for"):
        Ranking(of, "mid", outputs=True)


def test_rows_without_a_number_are_told_apart() -> None:
    of = manifest("regression")
    rows = {"k:1": Row("k:1"), "k:2": Row("k:2")}
    rows["k:1"].body, rows["k:2"].body = {"value": [1.0, 2.0]}, {"value": 3.0}

    good, bad = Scored.of_rows(of, Ranking(of, None), [*rows.items()], AT).numbered()

    assert (good.keys, good.numbers.tolist(), good.at) == (["k:2"], [3.0], 1_800_000_000.124)
    assert str(bad["k:1"]) == "the answer of 'k:1' holds '[1.0, 2.0]', which is not a single number"


def test_values_that_were_stood_in_for_are_named() -> None:
    of = manifest("regression")
    row = Row("k:1")
    row.body, row.filled = {"value": 1.0}, ["a"]

    (answer,) = Scored.of_rows(of, Ranking(of, None), [("k:1", row)], AT).answers

    assert orjson.loads(answer)["filled"] == ["a"]


@pytest.mark.parametrize(("labels", "told"), [((), "it has none"), (THREE, "its labels are low, mid, high")])
def test_a_label_that_is_none_of_the_model_is_refused(labels: tuple[str, ...], told: str) -> None:
    with pytest.raises(BadRequest, match=f"label 'odd' is none of model 'm'; {told}"):
        Ranking(manifest("classification" if labels else "regression", labels=labels), "odd")


def test_no_rows_give_no_texts() -> None:
    of = manifest("classification", labels=THREE)
    none = Scored.of_rows(of, Ranking(of, None), [], AT)

    assert (len(none), none.answers, none.labels, none.shortest, none.exact) == (0, [], [], [], [])
    assert none.numbered() == (none, {})
