"""Columns as JSON are the same bytes as a dictionary a row, whatever the numbers and the labels."""

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.manifest import Manifest
from server.inference.answers import bodies
from server.inference.columns import Columns, KeyedRows, columns
from server.inference.texts import FORMATTED_ROWS, filled, form_of, joined, texts_of
from tests.unit.server.inference.test_answers import manifest

FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)
SHARES = st.floats(0, 1, width=32)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


def told(of: Manifest, output: np.ndarray) -> Columns:
    found = columns(of, {"p": output})
    assert found is not None
    return found


def as_dictionaries(of: Manifest, output: np.ndarray) -> list[bytes]:
    return [orjson.dumps(body) for body in bodies(of, {"p": output})]


def as_texts(of: Manifest, output: np.ndarray) -> list[bytes]:
    return [b"{%b}" % text for text in texts_of(told(of, output))]


@settings(max_examples=200, deadline=None)
@given(output=arrays(np.float32, st.tuples(st.integers(1, 6), st.just(1)), elements=FLOATS))
def test_values_are_written_as_a_dictionary_would_be(output: np.ndarray) -> None:
    of = manifest("regression")

    assert as_texts(of, output) == as_dictionaries(of, output)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), labels=st.lists(NAMES, min_size=3, max_size=5, unique=True))
def test_classes_are_written_as_a_dictionary_would_be(data: st.DataObject, labels: list[str]) -> None:
    of = manifest("classification", tuple(labels))
    output = data.draw(arrays(np.float32, (3, len(labels)), elements=SHARES))

    assert as_texts(of, output) == as_dictionaries(of, output)


@pytest.mark.parametrize("threshold", [None, 0.2, 0.9])
@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 2)])
def test_two_labels_have_one_number_or_two(shape: tuple[int, ...], threshold: float | None) -> None:
    of = manifest("classification", ("no", "100 % yes")).model_copy(update={"threshold": threshold})
    output = np.linspace(0.1, 0.95, int(np.prod(shape)), dtype=np.float32).reshape(shape)

    assert as_texts(of, output) == as_dictionaries(of, output)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_number_that_is_none_is_told_row_by_row(bad: float) -> None:
    assert columns(manifest("regression"), {"p": np.array([[1.0], [bad]], np.float32)}) is None


@pytest.mark.parametrize(
    ("task", "output"),
    [
        ("regression", np.zeros((2, 3), np.float32)),  # several values a row
        ("classification", np.zeros((2, 4), np.float32)),  # no width of three labels
        ("classification", np.zeros(2, np.int64)),  # the class itself
        ("multilabel", np.zeros((2, 3), np.float32)),
        ("tensor", np.zeros((2, 3), np.float32)),
    ],
)
def test_what_is_worded_otherwise_has_no_columns(task: str, output: np.ndarray) -> None:
    assert columns(manifest(task), {"p": output}) is None


def test_a_part_of_columns_says_what_its_rows_say() -> None:
    of, output = manifest("classification"), np.eye(3, dtype=np.float32)

    assert texts_of(told(of, output).part(1, 3)) == texts_of(told(of, output))[1:]


def test_two_versions_of_a_model_keep_their_own_labels() -> None:
    output = np.eye(3, dtype=np.float32)

    first = texts_of(told(manifest("classification"), output))
    second = texts_of(told(manifest("classification", ("a", "b", "c")), output))

    assert first[0].startswith(b'"label":"low"')
    assert second[0].startswith(b'"label":"a"')


def standing(rows: KeyedRows) -> tuple[bool, object]:
    return rows.untouched, rows.columns


def test_rows_are_made_when_one_is_looked_at() -> None:
    rows = KeyedRows(["k:1", "k:2"])
    rows.columns = told(manifest("regression"), np.array([1.0, 2.0], np.float32))

    assert (len(rows), rows.untouched) == (2, True)
    assert [(row.key, row.body, row.error) for row in rows] == [
        ("k:1", {"value": 1.0}, None),
        ("k:2", {"value": 2.0}, None),
    ]
    assert standing(rows) == (False, None)
    rows[1].body = {"value": 3.0}
    assert rows[1].body == {"value": 3.0}


def test_what_is_kept_of_labels_grows_with_their_number_alone() -> None:
    names, form = form_of(tuple(f"label {number}" for number in range(5000)))

    assert sum(map(len, names)) + len(form) < 5000 * 40


@pytest.mark.parametrize("rows", [1, 2, FORMATTED_ROWS, FORMATTED_ROWS + 1])
def test_rows_are_joined_as_they_are_one_by_one(rows: int) -> None:
    places = [[b"%d" % at for at in range(rows)], [b"%d" % -at for at in range(rows)]]

    assert joined(b"<%b,%%,%b>", places) == b",".join(filled(b"<%b,%%,%b>", places))
