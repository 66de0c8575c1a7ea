"""URLs of other databases, and patterns of keys."""

import pytest
from redis.asyncio.connection import parse_url

from cli.importing.databases import with_database
from models.connecting import named
from models.patterns import Pattern


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("redis://host:6379", "redis://host:6379/3"),
        (
            "redis://user:p%2Fw@host:6379/5?socket_timeout=2",
            "redis://user:p%2Fw@host:6379/3?socket_timeout=2",
        ),
        ("rediss://host/?db=7", "rediss://host/3"),
        ("unix:///tmp/a.sock", "unix:///tmp/a.sock?db=3"),
        ("unix://u:p@/tmp/a.sock?db=1&client_name=x", "unix://u:p@/tmp/a.sock?client_name=x&db=3"),
        ("redis+sentinel://a:1,b:2/service/1", "redis+sentinel://a:1,b:2/service/3"),
        ("redis+sentinel://a:1/service", "redis+sentinel://a:1/service/3"),
    ],
)
def test_a_url_leads_to_another_database_of_the_same_redis(url: str, other: str) -> None:
    assert with_database(url, 3) == other
    assert parse_url(named(other).redis)["db"] == 3


@pytest.mark.parametrize(
    ("pattern", "keys", "others"),
    [
        ("*", ["", "a", "a\nb"], []),
        ("model:*", ["model:", "model:1"], ["Model:1", "xmodel:1"]),
        ("h?llo", ["hello"], ["hllo", "heello"]),
        ("h[ae]llo", ["hallo", "hello"], ["hillo"]),
        ("h[^e]llo", ["hallo"], ["hello"]),
        ("h[a-c]llo", ["hbllo"], ["hdllo"]),
        ("h[c-a]llo", ["hbllo"], ["hdllo"]),
        ("a[]c", [], ["ac", "a]c"]),
        ("a[^]c", ["abc"], ["ac"]),
        ("a[\\]-]c", ["a]c", "a-c"], ["abc"]),
        ("a\\*b", ["a*b"], ["axb"]),
        ("a.b", ["a.b"], ["axb"]),
    ],
)
def test_patterns_are_those_of_redis(pattern: str, keys: list[str], others: list[str]) -> None:
    assert [key for key in keys if not Pattern(pattern.encode()).matches(key.encode())] == []
    assert [key for key in others if Pattern(pattern.encode()).matches(key.encode())] == []
