"""Patterns mean what they mean in Redis, and none takes long."""

import time

import pytest

from models.patterns import Pattern


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("ai.*", ["ai.tensorset", "AI.", "Ai.MODELGET"], ["insitu.help", "xai.a", "ai"]),
        ("*", ["", "anything"], []),
        ("", [""], ["a"]),
        ("a?c", ["abc", "a.c"], ["ac", "abbc"]),
        ("a[bd-f]c", ["abc", "aec", "AFC"], ["acc", "agc"]),
        ("a[f-d]", ["ae"], ["ag"]),
        ("a[^b]c", ["axc"], ["abc"]),
        (r"a\*", ["a*"], ["ab"]),
        (r"[\]x]", ["]", "x"], ["y"]),
        ("a[b", ["ab"], ["a[b"]),
        ("*get*", ["ai.tensorget", "get"], ["ai.tensorset"]),
        ("*.*o*l*", ["ai.modelget"], ["ai.info"]),
    ],
)
def test_a_pattern_matches_what_it_does_in_redis(
    pattern: str, matching: list[str], others: list[str]
) -> None:
    one = Pattern(pattern.encode(), folded=True)

    assert [name for name in matching if not one.matches(name.encode())] == []
    assert [name for name in others if one.matches(name.encode())] == []


def test_no_pattern_takes_long() -> None:
    started = time.perf_counter()

    assert not Pattern(b"*a" * 400 + b"b").matches(b"a" * 400)

    assert time.perf_counter() - started < 1
