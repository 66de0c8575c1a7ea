"""Patterns of Redis: `*`, `?`, `[a-c]`, `[^x]`, and a backslash before what is meant as it stands.

Matching takes time by the length of a name times that of a pattern, whatever the pattern is.

Source: https://redis.io/docs/latest/commands/keys/, "Supported glob-style patterns".
"""

import re

PARTS = re.compile(r"\\.|\[(?:\\.|[^\]])*\]?|.", re.DOTALL)
RANGES = re.compile(r"(\\.|.)-(\\.|.)|(\\.|.)", re.DOTALL)
PATTERN_CHARACTERS = 1024  # no name of a command needs more
ANY, ONE = "*", "?"


class Pattern:
    """A pattern that does not look at the case."""

    def __init__(self, pattern: str) -> None:
        """Take a pattern; one that is too long for any name matches none."""
        self._parts = PARTS.findall(pattern.lower()) if len(pattern) <= PATTERN_CHARACTERS else ["\\\0"]

    def matches(self, name: str) -> bool:
        """Whether a name is as the pattern says: all of it."""
        parts, name = self._parts, name.lower()
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
