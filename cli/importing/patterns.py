"""Keys chosen by pattern as KEYS and SCAN do it: `*`, `?`, `[a-c]`, `[^x]`, a backslash before what is meant as it is.

Source: https://redis.io/docs/latest/commands/keys/, "Supported glob-style patterns".
"""

import re
from functools import cache

PARTS = re.compile(rb"\\.|\[(?:\\.|[^\]])*\]?|\*+|.", re.DOTALL)
RANGES = re.compile(rb"(\\.|.)-(\\.|.)|(\\.|.)", re.DOTALL)


@cache
def expression(pattern: bytes) -> re.Pattern[bytes]:
    """Return the regular expression of a pattern."""
    return re.compile(b"".join(map(meant, PARTS.findall(pattern))), re.DOTALL)


def meant(part: bytes) -> bytes:
    """Return the expression of one part of a pattern."""
    if part[:1] == b"*":
        return b".*"
    if part == b"?":
        return b"."
    if part[:1] != b"[":
        return re.escape(part[-1:])
    inside = part[1:].removesuffix(b"]")
    some = b"".join(re.escape(bytes([byte])) for byte in sorted(among(inside.removeprefix(b"^"))))
    if inside.startswith(b"^"):
        return b"[^%b]" % some if some else b"."
    return b"[%b]" % some if some else b"(?!)"


def among(ranges: bytes) -> set[int]:
    """Return the bytes that brackets name."""
    found: set[int] = set()
    for first, last, alone in RANGES.findall(ranges):
        low, high = sorted(((first or alone)[-1], (last or alone)[-1]))
        found |= set(range(low, high + 1))
    return found


def matches(pattern: bytes, key: bytes) -> bool:
    """Whether a key is of a pattern."""
    return expression(pattern).fullmatch(key) is not None
