"""Answers as replies: columns say what rows say, and a row that failed is an error among the others."""

from typing import Any

import hiredis
import numpy as np
import pytest
from numpy.typing import NDArray

from models.answers import AnswerSpec
from models.errors import KeyMissing, RedisUnavailable
from models.manifest import Manifest
from server.inference.answers import bodies
from server.inference.asking import Answer, Row
from server.inference.columns import KeyedRows, columns
from server.resp.rows import replies_of
from server.resp.wire.replies import RESP2, RESP3, Encoder

WIRES = pytest.mark.parametrize("wire", [RESP2, RESP3])
LABELS = ("stays", "100 %b", "größe\r\n")


def manifest(task: str, width: int, **said: Any) -> Manifest:
    return Manifest.model_validate(
        {
            "name": "m",
            "task": task,
            "output": None if task == "tensor" else "y",
            "inputs": [{"name": "x", "dtype": "float32", "shape": ["rows", 2]}],
            "outputs": [{"name": "y", "dtype": "float32", "shape": ["rows", width]}],
            **said,
        }
    )


def rows_of(one: Manifest, output: NDArray[Any]) -> list[Row]:
    rows = [Row(f"k:{at}") for at in range(len(output))]
    for row, body in zip(rows, bodies(one, {"y": output}), strict=True):
        if isinstance(body, dict):
            row.body = body
        else:
            row.error = body
    return rows


def in_columns(one: Manifest, output: NDArray[Any]) -> KeyedRows:
    rows = KeyedRows([f"k:{at}" for at in range(len(output))])
    rows.columns = columns(one, {"y": output})
    assert rows.columns is not None
    return rows


def read(replies: list[bytes]) -> list[Any]:
    reader: Any = hiredis.Reader()
    reader.feed(b"".join(replies))
    found = [reader.gets() for _ in replies]
    assert not reader.has_data()
    return found


def told(task: str, output: Any, **said: Any) -> list[Any]:
    """What a client of RESP3 reads of an output."""
    tensor = np.array(output, np.float32)
    one = manifest(task, int(np.prod(tensor.shape[1:])), **said)
    return read(replies_of(RESP3, Answer("m", 4, rows_of(one, tensor))))


@WIRES
@pytest.mark.parametrize(
    ("task", "labels", "width", "said"),
    [
        ("regression", (), 1, {}),
        ("classification", LABELS, 3, {}),
        ("classification", ("no", "yes"), 2, {"threshold": 0.9}),
        ("classification", ("no", "yes"), 1, {}),
    ],
)
def test_columns_are_told_as_their_rows_would_be(
    wire: Encoder, task: str, labels: tuple[str, ...], width: int, said: Any
) -> None:
    output = np.random.default_rng(1).random((17, width), np.float32)
    one = manifest(task, width, labels=labels, **said)

    fast = replies_of(wire, Answer("m", 3, in_columns(one, output)))

    assert fast == replies_of(wire, Answer("m", 3, rows_of(one, output)))


def test_a_classifier_tells_its_label_how_probable_that_is_and_all_of_them() -> None:
    assert told("classification", [[0.25, 0.75]], labels=("no", "yes")) == [
        {b"label": b"yes", b"probability": 0.75, b"probabilities": {b"no": 0.25, b"yes": 0.75}, b"version": 4}
    ]


def test_every_task_is_worded() -> None:
    assert told("regression", [[1.5]]) == [{b"value": 1.5, b"version": 4}]
    assert told("multilabel", [[0.5, 0.25]], labels=("a", "b")) == [
        {b"labels": [b"a"], b"probabilities": {b"a": 0.5, b"b": 0.25}, b"version": 4}
    ]
    assert told("forecasting", [[1, 2]]) == [{b"forecast": [1.0, 2.0], b"version": 4}]
    assert told("anomaly", [[3]], answer=AnswerSpec(threshold=2)) == [
        {b"anomaly_score": 3.0, b"anomaly": True, b"version": 4}
    ]
    assert told("tensor", [[1, 2]]) == [{b"outputs": {b"y": [1.0, 2.0]}, b"version": 4}]
    assert told("regression", [[1, 2, 3]], answer=AnswerSpec(quantiles=(0.1, 0.5, 0.9))) == [
        {b"value": 2.0, b"quantiles": {b"0.1": 1.0, b"0.5": 2.0, b"0.9": 3.0}, b"version": 4}
    ]


def test_a_graph_that_chooses_the_label_itself_tells_no_probability() -> None:
    one = manifest("classification", 1, labels=("no", "yes"))

    (found,) = read(replies_of(RESP3, Answer("m", 1, rows_of(one, np.array([[1]])))))

    assert found == {b"label": b"yes", b"version": 1}


def test_in_the_older_protocol_a_map_is_names_and_values_in_turn() -> None:
    one = manifest("classification", 2, labels=("no", "yes"))

    replies = replies_of(RESP2, Answer("m", 1, rows_of(one, np.array([[0.25, 0.75]]))))

    assert read(replies) == [
        [
            *(b"label", b"yes", b"probability", b"0.75"),
            *(b"probabilities", [b"no", b"0.25", b"yes", b"0.75"], b"version", 1),
        ]
    ]


def test_a_row_tells_its_own_version_and_what_was_stood_in_for() -> None:
    row = Row("k:1")
    row.body, row.version, row.filled = {"value": 1.0}, 2, ["age"]

    assert read(replies_of(RESP3, Answer("m", 1, [row]))) == [
        {b"value": 1.0, b"filled": [b"age"], b"version": 2}
    ]


@WIRES
def test_a_row_that_failed_is_an_error_and_its_neighbours_are_answered(wire: Encoder) -> None:
    well, bad = Row("k:1"), Row("k:2", KeyMissing("k:2"))
    well.body = {"value": 1.0}

    first, second = replies_of(wire, Answer("m", 1, [bad, well]))

    assert first.startswith(b"-NOTFOUND key 'k:2' ")
    assert not second.startswith(b"-")


def test_an_error_of_a_row_never_reads_as_one_of_the_connection() -> None:
    (reply,) = replies_of(RESP2, Answer("m", 1, [Row("k:1", RedisUnavailable("gone"))]))

    assert reply.startswith(b"-ERR Redis does not answer (gone)")


def test_tensors_are_told_as_bytes_a_row() -> None:
    outputs = {"y": np.array([[1, 2], [3, 4]], "<f4")}

    replies = replies_of(RESP2, Answer("m", 1, [Row(), Row()], outputs))

    assert read(replies) == [np.array(row, "<f4").tobytes() for row in ([1, 2], [3, 4])]


def test_several_tensors_are_told_beside_one_another() -> None:
    outputs = {"y": np.array([1, 2], "<i8"), "z": np.array([["a", "bc"], ["d", "e"]], object)}

    assert read(replies_of(RESP2, Answer("m", 1, [Row(), Row()], outputs))) == [
        [b"\1" + b"\0" * 7, b"a\0bc\0"],
        [b"\2" + b"\0" * 7, b"d\0e\0"],
    ]


def test_a_transposed_tensor_is_told_row_by_row_all_the_same() -> None:
    outputs = {"y": np.array([[1, 3], [2, 4]], "<f4").T}

    assert read(replies_of(RESP2, Answer("m", 1, [Row(), Row()], outputs))) == [
        np.array(row, "<f4").tobytes() for row in ([1, 2], [3, 4])
    ]
