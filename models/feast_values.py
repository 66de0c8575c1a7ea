"""Values as Feast writes them, protocol buffers of its message `Value`: bytes -> number, text or list. Pure.

    Value       one of the fields 1 to 8: a scalar, or 11 to 18: a list of them in its field 1
    Timestamp   1: seconds, 2: nanoseconds

Nothing is trusted: a varint has ten bytes at most, and no length reaches beyond what is there.
Source: https://protobuf.dev/programming-guides/encoding/, feast/types/Value.proto of Feast 0.67
"""

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Any

import numpy as np

from models.values import Raw

VARINT, EIGHT, LONG, FOUR = 0, 1, 2, 5  # wire types
VARINT_BYTES = 10
DOUBLE, FLOAT = Struct("<d"), Struct("<f")
SIZES = {EIGHT: DOUBLE.size, FOUR: FLOAT.size}
FLOATS = {EIGHT: "<f8", FOUR: "<f4"}
TAG_OF_DOUBLE, TAG_OF_FLOAT = 5 << 3 | EIGHT, 6 << 3 | FOUR
TAGS_OF_INTEGERS = (3 << 3 | VARINT, 4 << 3 | VARINT)
NULL_TIME = -(1 << 63)  # what Feast writes for a time that is null
NULL = 19
LISTS_FROM = 10  # a list of what is field n is field 10 + n
OTHERS = {
    20: "a map",
    21: "a list of maps",
    32: "a JSON document",
    33: "a list of JSON documents",
    34: "a struct",
}
Field = tuple[int, int, Any]  # number, wire type, and an integer or bytes


class Malformed(ValueError):
    """Bytes that are no value; what is wrong with them follows a name."""


def value_of(data: bytes | None) -> Raw:
    """Return what one value says: a number, text, a list of them, or None where there is none.

    Raises: Malformed.
    """
    if not data:
        return None
    tag, size = data[0], len(data)  # what nearly every value is, first
    if tag == TAG_OF_FLOAT and size == 1 + FLOAT.size:
        return FLOAT.unpack_from(data, 1)[0]
    if tag == TAG_OF_DOUBLE and size == 1 + DOUBLE.size:
        return DOUBLE.unpack_from(data, 1)[0]
    if tag in TAGS_OF_INTEGERS:
        integer, at = varint(data, 1)
        if at == size:
            return signed(integer)
    result: Raw = None
    for number, wire, value in fields_of(data):  # of several the last counts
        result = None if number == NULL else read(number, wire, value)
    return result


def seconds_of(data: bytes) -> float:
    """Return a timestamp as Unix seconds.

    Raises: Malformed.
    """
    parts = {1: 0, 2: 0}
    for number, wire, value in fields_of(data):
        if number not in parts or wire != VARINT:
            raise Malformed("is no timestamp")
        parts[number] = signed(value)
    return parts[1] + parts[2] * 1e-9


def read(number: int, wire: int, value: Any) -> Raw:
    """Return what one field of a value says.

    Raises: Malformed.
    """
    if number in SCALARS:
        return scalar(number, wire, value)
    if number - LISTS_FROM in SCALARS and wire == LONG:
        return list_of(number - LISTS_FROM, value)
    raise Malformed(f"is {OTHERS.get(number, f'a value of kind {number}')}, which no model takes")


def scalar(number: int, wire: int, value: Any) -> Raw:
    """Return a scalar of the kind that has this number.

    Raises: Malformed.
    """
    wanted, made = SCALARS[number]
    if wire != wanted:
        raise Malformed(f"has wire type {wire} in field {number}, which is no value of Feast")
    return made(value)


def list_of(number: int, data: bytes) -> list[Raw]:
    """Return a list of scalars of one kind, whose numbers are packed, or written one by one.

    Raises: Malformed.
    """
    wanted, made = SCALARS[number]
    result: list[Raw] = []
    for field, wire, value in fields_of(data):
        if field != 1:
            raise Malformed(f"has field {field} in a list, which is no list of Feast")
        if wire == LONG != wanted:
            result += packed(value, wanted) if wanted in FLOATS else map(made, varints(value))
        else:
            result.append(scalar(number, wire, value))
    return result


def packed(data: bytes, wire: int) -> list[float]:
    """Return floats that lie side by side.

    Raises: Malformed.
    """
    if over := len(data) % SIZES[wire]:
        raise Malformed(f"ends after {over} of {SIZES[wire]} bytes")
    floats: list[float] = np.frombuffer(data, FLOATS[wire]).tolist()
    return floats


def varints(data: bytes) -> Iterator[int]:
    """Yield integers that lie side by side.

    Raises: Malformed.
    """
    at = 0
    while at < len(data):
        value, at = varint(data, at)
        yield value


def fields_of(data: bytes) -> Iterator[Field]:
    """Yield the fields of a message, in their order.

    Raises: Malformed.
    """
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        value, at = after(data, at, tag & 7)
        yield tag >> 3, tag & 7, value


def after(data: bytes, at: int, wire: int) -> tuple[Any, int]:
    """Return the value that begins there, and where it ends.

    Raises: Malformed.
    """
    if wire == VARINT:
        return varint(data, at)
    if wire == LONG:
        size, at = varint(data, at)
    elif wire in SIZES:
        size = SIZES[wire]
    else:
        raise Malformed(f"has wire type {wire}, which is no value of Feast")
    if size > len(data) - at:
        raise Malformed(f"ends after {len(data) - at} of {size} bytes")
    return data[at : at + size], at + size


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return an integer of up to 64 bits, and where it ends.

    Raises: Malformed.
    """
    result = 0
    if at < len(data) and data[at] < 0x80:
        return data[at], at + 1
    for place, byte in enumerate(data[at : at + VARINT_BYTES]):
        result |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return result & (1 << 64) - 1, at + place + 1
    raise Malformed("has a varint without an end")


def signed(value: int) -> int:
    """Return 64 bits as the signed integer that they are."""
    return value - (1 << 64) if value >> 63 else value


def time_of(value: int) -> int | None:
    """Return Unix seconds, None for the time that stands for null."""
    seconds = signed(value)
    return None if seconds == NULL_TIME else seconds


def text_of(value: bytes) -> str:
    """Return a text.

    Raises: Malformed, not UTF-8.
    """
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise Malformed("is text that is not UTF-8") from error


SCALARS: dict[int, tuple[int, Callable[[Any], Raw]]] = {
    1: (LONG, bytes),
    2: (LONG, text_of),
    3: (VARINT, signed),
    4: (VARINT, signed),
    5: (EIGHT, lambda value: DOUBLE.unpack(value)[0]),
    6: (FOUR, lambda value: FLOAT.unpack(value)[0]),
    7: (VARINT, int),
    8: (VARINT, time_of),
}
