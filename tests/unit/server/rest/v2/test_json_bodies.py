"""JSON of inference requests may hold what is not finite, and is as strict as ever about all the rest."""

import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as some

from models.errors import InsituError
from server.rest.v2.json_bodies import decoded

FIELDS = ("inputs", "outputs")
VALUES = some.recursive(
    some.none() | some.booleans() | some.floats() | some.integers(-(1 << 63), (1 << 64) - 1) | some.text(max_size=8)
    | some.sampled_from(["NaN", "Infinity", "-Infinity", '"NaN', "\\Infinity"]),
    lambda values: some.lists(values, max_size=3) | some.dictionaries(some.text(max_size=8), values, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(VALUES)
def test_what_python_writes_is_read(value: Any) -> None:
    written = json.dumps(value).encode()

    assert repr(decoded(written, FIELDS)) == repr(json.loads(written))


@pytest.mark.parametrize(
    ("written", "number"), [(b"NaN", math.nan), (b"Infinity", math.inf), (b"-Infinity", -math.inf)]
)
def test_each_word_is_its_number(written: bytes, number: float) -> None:
    assert repr(decoded(b"[%b, 1]" % written, FIELDS)) == repr([number, 1])


@pytest.mark.parametrize(
    "body",
    [
        b"[nan]", b"[1NaN]", b"[NaN1]", b"[-NaN]", b"[--Infinity]", b"[Inf]", b"[NaN NaN]", b"[NaN,]", b'["\\NaN"]',
        b'["\\u000NaN"]', b'[NaN, "\\ud800"]', b"[NaN, \xff]", b"\xef\xbb\xbf[NaN]", b"[NaN]\0", b"[NaN, 1e400]",
        b"NaN" + b"[" * 2000, b"[" * 1020 + b"NaN" + b"]" * 2000, b'{"inputs": NaN, "inputs": 1}', b'["NaN',
    ],
)  # fmt: skip
def test_what_is_no_json_beside_a_word_is_refused(body: bytes) -> None:
    with pytest.raises(InsituError, match="the body"):
        decoded(body, FIELDS)


def test_what_is_wrong_beside_a_word_is_told_at_its_place() -> None:
    with pytest.raises(InsituError, match="line 2 column 15"):
        decoded(b'{"a":\n[NaN, Infinity}', FIELDS)


def test_lists_as_deep_as_they_may_be_hold_words_too() -> None:
    deep = b"[" * 500 + b"NaN" + b"]" * 500

    assert repr(decoded(deep, FIELDS)) == repr(orjson.loads(deep.replace(b"NaN", b'"x"'))).replace(
        "'x'", "nan"
    )
