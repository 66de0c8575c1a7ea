"""Every type of value in an RDB file passed over without being understood, so that what follows is found.

What a value holds is not looked at: it is a row of strings, numbers and fixed bytes. Known are the
types of Redis up to 8.0 and of Valkey up to 9.1; the numbers 22 and 23 mean other things in the two.

Source: the numbers in rdb.h of Redis 7.4 and of Valkey 9; what lies between was held to files that
servers wrote.
"""

from collections.abc import Callable

from cli.importing.errors import EncodingUnknown
from cli.importing.rdb_bytes import RdbBytes

STREAM_ID_BYTES = 16
TIME_BYTES = 8
DOUBLE_BYTES = 8
SHORTEST_TEXT_OF_NONE = 253  # a score written as text: 253 nan, 254 and 255 infinite, without a text
MODULE = 7
MODULE_END, MODULE_SIGNED, MODULE_UNSIGNED, MODULE_FLOAT, MODULE_DOUBLE, MODULE_STRING = range(6)

Skip = Callable[[RdbBytes], None]


def strings(each: int) -> Skip:
    """Return how a length and `each` strings an element are passed."""

    def skip(data: RdbBytes) -> None:
        for _ in range(each * data.length()):
            data.skip_string()

    return skip


def scores_as_text(data: RdbBytes) -> None:
    """Pass a sorted set whose scores are text."""
    for _ in range(data.length()):
        data.skip_string()
        written = data.byte()
        if written < SHORTEST_TEXT_OF_NONE:
            data.skip(written)


def scores(data: RdbBytes) -> None:
    """Pass a sorted set whose scores are doubles."""
    for _ in range(data.length()):
        data.skip_string()
        data.skip(DOUBLE_BYTES)


def nodes(data: RdbBytes) -> None:
    """Pass a list whose nodes each say what they are."""
    for _ in range(data.length()):
        data.length()
        data.skip_string()


def fields_with_times(data: RdbBytes) -> None:
    """Pass a hash of Redis 7.4's candidates: when each field expires, then name and value."""
    for _ in range(data.length()):
        data.length()
        data.skip_string()
        data.skip_string()


def fields_with_later_times(data: RdbBytes) -> None:
    """Pass a hash of Valkey: name and value of each field, then when it expires."""
    for _ in range(data.length()):
        data.skip_string()
        data.skip_string()
        data.skip(TIME_BYTES)


def after_time(rest: Skip) -> Skip:
    """Return how a value is passed that begins with when its first field expires."""

    def skip(data: RdbBytes) -> None:
        data.skip(TIME_BYTES)
        rest(data)

    return skip


def stream(version: int) -> Skip:
    """Return how a stream is passed; each version says more than the one before."""

    def skip(data: RdbBytes) -> None:
        for _ in range(data.length()):
            data.skip_string()
            data.skip_string()
        lengths(data, 3 if version == 1 else 8)
        for _ in range(data.length()):
            consumer_group(data, version)

    return skip


def consumer_group(data: RdbBytes, version: int) -> None:
    """Pass a group of a stream: who waits for what."""
    data.skip_string()
    lengths(data, 2 if version == 1 else 3)
    for _ in range(data.length()):
        data.skip(STREAM_ID_BYTES + TIME_BYTES)
        data.length()
    for _ in range(data.length()):
        data.skip_string()
        data.skip(TIME_BYTES if version < 3 else 2 * TIME_BYTES)
        data.skip(STREAM_ID_BYTES * data.length())


def lengths(data: RdbBytes, count: int) -> None:
    """Pass numbers written as lengths."""
    for _ in range(count):
        data.length()


def module_value(data: RdbBytes) -> None:
    """Pass what a module wrote, after its name: each part says what it is.

    Raises: EncodingUnknown, a part of no known kind; FileDamaged.
    """
    while (kind := data.length()) != MODULE_END:
        skip = MODULE_PARTS.get(kind)
        if skip is None:
            raise EncodingUnknown(
                data.path, data.offset - 1, f"a part of a module's value of the kind {kind}"
            )
        skip(data)


def module(data: RdbBytes) -> None:
    """Pass a module's value with its name."""
    data.length()
    module_value(data)


MODULE_PARTS: dict[int, Skip] = {
    MODULE_SIGNED: lambda data: lengths(data, 1),
    MODULE_UNSIGNED: lambda data: lengths(data, 1),
    MODULE_FLOAT: lambda data: data.skip(4),
    MODULE_DOUBLE: lambda data: data.skip(8),
    MODULE_STRING: lambda data: data.skip_string(),
}
BLOB: Skip = RdbBytes.skip_string
TYPES: dict[int, Skip] = {
    0: BLOB,
    1: strings(1),
    2: strings(1),
    3: scores_as_text,
    4: strings(2),
    5: scores,
    MODULE: module,
    **dict.fromkeys((9, 10, 11, 12, 13, 16, 17, 20), BLOB),
    14: strings(1),
    15: stream(1),
    18: nodes,
    19: stream(2),
    21: stream(3),
    22: fields_with_times,
    23: BLOB,
    24: after_time(fields_with_times),
    25: after_time(BLOB),
}
VALKEY_TYPES: dict[int, Skip] = {kind: skip for kind, skip in TYPES.items() if kind < 22} | {
    22: fields_with_later_times
}
