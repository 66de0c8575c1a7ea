"""Values of Feast are read as protocol buffers have them, and bytes that are none are refused by their fault."""

from contextlib import suppress
from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.feast_values import Malformed, seconds_of, value_of

MOST = b"\xff" * 9 + b"\x01"  # a varint of 64 ones


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    result = b""
    while number > 0x7F:
        result += bytes([number & 0x7F | 0x80])
        number >>= 7
    return result + bytes([number])


def message(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (None, None),
        (b"", None),
        (b"\x0a\x02\x00\xff", b"\x00\xff"),
        (b"\x12\x04gold", "gold"),
        (b"\x12\x00", ""),
        (b"\x18\x07", 7),
        (b"\x18" + varint(-3), -3),
        (b"\x20\x0c", 12),
        (b"\x20" + varint(1 << 56), 1 << 56),
        (b"\x20" + MOST, -1),
        (b"\x29" + pack("<d", 0.1), 0.1),
        (b"\x35" + pack("<f", 0.5), 0.5),
        (b"\x38\x01", 1),
        (b"\x38\x00", 0),
        (b"\x40\xc0\xb2\x8b\xd8\x06", 1795348800),
        (b"\x40" + varint(-(1 << 63)), None),
        (b"\x98\x01\x00", None),
        (b"\x20\x0c\x18\x07", 7),
        (b"\x29" + pack("<d", 1.5) + b"\x35" + pack("<f", 0.5), 0.5),
    ],
)
def test_a_scalar_is_what_was_written(data: bytes | None, expected: Any) -> None:
    assert value_of(data) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (message(11, message(1, b"\x00") + message(1, b"")), [b"\x00", b""]),
        (message(12, message(1, b"a") + message(1, "größe".encode())), ["a", "größe"]),
        (message(13, message(1, varint(7) + varint(-7))), [7, -7]),
        (message(14, message(1, varint(1) + varint(-2) + varint(300))), [1, -2, 300]),
        (message(15, message(1, pack("<2d", 1.0, 0.1))), [1.0, 0.1]),
        (message(16, message(1, pack("<3f", 0.5, -0.25, 1.5))), [0.5, -0.25, 1.5]),
        (message(17, message(1, b"\x01\x00\x01")), [1, 0, 1]),
        (message(18, message(1, varint(1795348800) + varint(-(1 << 63)))), [1795348800, None]),
        (message(14, b""), []),
        (message(14, b"\x08\x01\x08\x02"), [1, 2]),
        (message(16, b"\x0d" + pack("<f", 2.0) + message(1, pack("<f", 3.0))), [2.0, 3.0]),
    ],
)
def test_a_list_is_read_whether_its_numbers_are_packed_or_not(data: bytes, expected: list[Any]) -> None:
    assert value_of(data) == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x20", "has a varint without an end"),
        (b"\x20" + b"\x80" * 40, "has a varint without an end"),
        (b"\x80" * 40, "has a varint without an end"),
        (b"\x12\x05gold", "ends after 4 of 5 bytes"),
        (b"\x12" + MOST, "ends after 0 of 18446744073709551615 bytes"),
        (b"\x29\x00\x00", "ends after 2 of 8 bytes"),
        (b"\x35\x00", "ends after 1 of 4 bytes"),
        (b"\x23\x00", "has wire type 3, which is no value of Feast"),
        (b"\x22\x00", "has wire type 2 in field 4, which is no value of Feast"),
        (b"\x12\x01\xff", "is text that is not UTF-8"),
        (b"\xa2\x01\x00", "is a map, which no model takes"),
        (b"\x82\x02\x00", "is a JSON document, which no model takes"),
        (b"\x4a\x00", "is a value of kind 9, which no model takes"),
        (b"\x70\x01", "is a value of kind 14, which no model takes"),
        (message(14, b"\x10\x01"), "has field 2 in a list, which is no list of Feast"),
        (message(16, message(1, b"\x00\x00\x00")), "ends after 3 of 4 bytes"),
        (message(12, b"\x08\x01"), "has wire type 0 in field 2, which is no value of Feast"),
    ],
)
def test_bytes_that_are_no_value_are_refused_by_their_fault(data: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        value_of(data)

    assert str(caught.value) == reason


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (value_of, seconds_of):
        with suppress(Malformed):
            read(data)


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (b"\x08\xc0\xb2\x8b\xd8\x06", 1795348800.0),
        (b"\x08\x01\x10" + varint(500_000_000), 1.5),
        (b"\x08" + varint(-1), -1.0),
        (b"", 0.0),
    ],
)
def test_a_timestamp_is_unix_seconds(data: bytes, seconds: float) -> None:
    assert seconds_of(data) == seconds


@pytest.mark.parametrize("data", [b"\x18\x01", b"\x0a\x00", b"\x08"])
def test_what_is_no_timestamp_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        seconds_of(data)
