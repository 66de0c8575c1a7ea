"""Answers of many rows are the bytes of a dictionary a row, whatever the keys."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.inference.asking import Answer
from server.inference.columns import Columns, KeyedRows
from server.rest import predict
from server.rest.replies import Replies
from server.rest.wire import as_json
from tests.unit.server.inference.test_answers import manifest

HEADERS = [(b"date", b"today"), (b"server", b"x")]
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ['","', '"', ",", ',"', '",', "\\", '\\","', "%b", "%%", "a\n"]
)


def body(rows: KeyedRows) -> bytes:
    head, _, found = Replies().of(Answer("m", 3, rows), HEADERS).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\ndate: today\r\nserver: x\r\n")
    assert b"content-length: %d\r\n" % len(found) in head
    return found


@settings(max_examples=300, deadline=None)
@given(keys=st.lists(KEYS, min_size=1, max_size=6), task=st.sampled_from(["regression", "classification"]))
def test_rows_of_keys_are_written_as_dictionaries_would_be(keys: list[str], task: str) -> None:
    labels = ("no", "100 % yes", '"')
    of = manifest(task, labels) if task == "classification" else manifest(task)
    numbers = np.linspace(0, 1, len(keys) * (3 if task == "classification" else 1), dtype=np.float32)
    shape = (len(keys), 3) if task == "classification" else (len(keys),)
    fast, slow = KeyedRows(keys), KeyedRows(keys)
    fast.columns = slow.columns = Columns(of, numbers.reshape(shape))
    slow[:]  # from here on there is an object a row

    assert body(fast) == as_json(predict.worded(Answer("m", 3, slow)))


@pytest.mark.parametrize("count", [255, 256, 257, 1000])
def test_many_rows_are_written_as_few(count: int) -> None:
    keys = [f"k:{at}" for at in range(count)]
    fast, slow = KeyedRows(keys), KeyedRows(keys)
    fast.columns = slow.columns = Columns(manifest("regression"), np.arange(count, dtype=np.float32))
    slow[:]

    assert body(fast) == as_json(predict.worded(Answer("m", 3, slow)))
