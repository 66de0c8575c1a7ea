"""Patterns mean what they mean in Redis, and none takes long."""

import time

import pytest

from server.resp.catalog.patterns import Pattern


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
        ("a" * 2000, [], ["a" * 2000, ""]),
    ],
)
def test_a_pattern_matches_what_it_does_in_redis(
    pattern: str, matching: list[str], others: list[str]
) -> None:
    one = Pattern(pattern)

    assert [name for name in matching if not one.matches(name)] == []
    assert [name for name in others if one.matches(name)] == []


def test_no_pattern_takes_long() -> None:
    started = time.perf_counter()

    assert not Pattern("*a" * 400 + "b").matches("a" * 400)

    assert time.perf_counter() - started < 1
