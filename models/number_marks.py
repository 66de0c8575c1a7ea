"""Texts that a person reads as a number and no program does: 1,5 and 1.234,50 and 12 % and $5."""

import re

CURE = "write it with a decimal point and no other marks, as in 1234.5"
MARKED = re.compile(
    r"""[+-]?
    (?: [$€£]?\s? (?: \d{1,3}(?:[.\ '\u2019\u00a0\u202f]\d{3})+,\d+ | \d+,\d+ | \d{1,3}(?:,\d{3})+(?:\.\d+)?
                    | \d{1,3}(?:[\ '\u2019\u00a0\u202f]\d{3})+(?:\.\d+)? ) \s?[%$€£]?
    | [$€£]\s?\d+(?:\.\d+)?
    | \d+(?:\.\d+)?\s?[%$€£] )""",
    re.VERBOSE,
)
CHARACTERS_MOST = 40


def marked(value: object) -> bool:
    """Whether a value is a number in all but its marks."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return (
        isinstance(text, str) and len(text) <= CHARACTERS_MOST and MARKED.fullmatch(text.strip()) is not None
    )


def cured(value: object) -> str:
    """Return how to write such a number, as the end of a sentence; nothing for anything else."""
    return f"; {CURE}" if marked(value) else ""
