"""Values as replies: what a client reads is what was said."""

from typing import Any

import hiredis
import numpy as np
import pytest

from server.resp.wire.replies import RESP2, RESP3, Encoder
from server.resp.wire.values import encoded, number, numbers

NUMBERS = [0.0, -0.0, 1.0, 0.1, -1e-300, 1e300, 5e-324, float(np.float32(0.1)), 123456789.0, 1e16]


def read(reply: bytes) -> Any:
    reader: Any = hiredis.Reader()
    reader.feed(reply)
    found = reader.gets()
    assert not reader.has_data()
    return found


@pytest.mark.parametrize(
    ("value", "two", "three"),
    [
        (None, None, None),
        (True, 1, True),
        (False, 0, False),
        (-7, -7, -7),
        (2**63 - 1, 2**63 - 1, 2**63 - 1),
        (2**64 - 1, b"18446744073709551615", b"18446744073709551615"),  # hiredis has no larger numbers
        (0.1, b"0.1", 0.1),
        (np.float16(0.5), b"0.5", 0.5),
        ("größe", "größe".encode(), "größe".encode()),
        (b"\xff\r\n", b"\xff\r\n", b"\xff\r\n"),
        ("\udcff", b"\xff", b"\xff"),
        ([1, ["a"]], [1, [b"a"]], [1, [b"a"]]),
        ({"a": {"b": 1}}, [b"a", [b"b", 1]], {b"a": {b"b": 1}}),
        ([], [], []),
        ({}, [], {}),
    ],
)
def test_a_value_is_read_as_what_it_is(value: Any, two: Any, three: Any) -> None:
    assert read(encoded(RESP2, value)) == two
    assert read(encoded(RESP3, value)) == three


@pytest.mark.parametrize("value", NUMBERS)
def test_a_number_is_read_as_exactly_that_number(value: float) -> None:
    assert float(read(number(RESP2, value))) == value
    assert read(number(RESP3, value)) == value


def test_what_is_not_finite_is_said_in_the_words_of_the_protocol() -> None:
    assert number(RESP3, float("inf")) == b",inf\r\n"
    assert number(RESP3, float("nan")) == b",nan\r\n"
    assert read(number(RESP2, float("-inf"))) == b"-inf"


@pytest.mark.parametrize("wire", [RESP2, RESP3])
def test_many_numbers_are_written_as_each_alone(wire: Encoder) -> None:
    assert numbers(wire, np.array(NUMBERS)) == [number(wire, one) for one in NUMBERS]
