"""Patterns of Redis for keys and names: `*`, `?`, `[a-c]`, `[^x]`, and a backslash before what is meant as it stands.

Matching takes time by the length of a name times that of a pattern, whatever the pattern is.

Source: https://redis.io/docs/latest/commands/keys/, "Supported glob-style patterns".
"""

import re

PARTS = re.compile(r"\\.|\[(?:\\.|[^\]])*\]?|.", re.DOTALL)
RANGES = re.compile(r"(\\.|.)-(\\.|.)|(\\.|.)", re.DOTALL)
BYTES = "latin-1"  # a character a byte, as Redis compares them
ANY, ONE = "*", "?"


class Pattern:
    """A pattern of bytes; `folded` does not look at the case of ASCII letters."""

    def __init__(self, pattern: bytes, *, folded: bool = False) -> None:
        self._folded = folded
        self._parts = PARTS.findall(self._text(pattern))

    def _text(self, data: bytes) -> str:
        return (data.lower() if self._folded else data).decode(BYTES)

    def matches(self, data: bytes) -> bool:
        """Whether a key or a name is as the pattern says: all of it."""
        parts, name = self._parts, self._text(data)
        at = place = again = 0
        star = -1
        while at < len(name):
            part = parts[place] if place < len(parts) else ""
            if part == ANY:
                star, again = place, at
                place += 1
            elif part and fits(part, name[at]):
                at, place = at + 1, place + 1
            elif star >= 0:
                again += 1
                at, place = again, star + 1
            else:
                return False
        return all(part == ANY for part in parts[place:])


def fits(part: str, character: str) -> bool:
    """Whether a character is what one part of a pattern says."""
    if part[0] == "[":
        inside = part[1:].removesuffix("]")
        return among(inside.removeprefix("^"), character) != inside.startswith("^")
    return part == ONE or literal(part) == character


def among(ranges: str, character: str) -> bool:
    """Whether a character is one of those in brackets."""
    for first, last, alone in RANGES.findall(ranges):
        low, high = sorted((literal(first or alone), literal(last or alone)))
        if low <= character <= high:
            return True
    return False


def literal(part: str) -> str:
    """Return a character without the backslash before it."""
    return part[-1]
