"""Raw replies are taken apart where their elements end, whatever is in them."""

import pytest

from server.resp.catalog.spans import elements, end_of, header, is_a, longer

VALUES = [
    b":1\r\n",
    b"+OK\r\n",
    b"-ERR no\r\n",
    b"$-1\r\n",
    b"$0\r\n\r\n",
    b"$6\r\na\r\n*9\n\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"*2\r\n*1\r\n:1\r\n$1\r\na\r\n",
    b"_\r\n",
    b"#t\r\n",
    b",1.5\r\n",
    b"(123456789012345678901\r\n",
    b"=7\r\ntxt:a\r\n\r\n",
    b"~2\r\n+a\r\n+b\r\n",
    b"%1\r\n+a\r\n%1\r\n+b\r\n*1\r\n:2\r\n",
    b"|1\r\n+ttl\r\n:3600\r\n:7\r\n",
]


@pytest.mark.parametrize("value", VALUES)
def test_a_value_ends_where_the_next_begins(value: bytes) -> None:
    assert end_of(value + b":7\r\n", 0) == len(value)


def test_the_elements_of_an_array_are_its_bytes() -> None:
    reply = b"*%d\r\n%b" % (len(VALUES), b"".join(VALUES))

    assert elements(reply) == VALUES


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"*1\r\n:1\r\n", b"*3\r\n:1\r\n:2\r\n:3\r\n"),
        (b"%1\r\n:1\r\n:1\r\n", b"%2\r\n:1\r\n:1\r\n:2\r\n:3\r\n"),
    ],
)
def test_an_aggregate_grows_at_its_end(reply: bytes, expected: bytes) -> None:
    assert longer(reply, [b":2\r\n", b":3\r\n"]) == expected


def test_a_reply_is_told_by_its_first_byte() -> None:
    assert is_a(b":5\r\n", b":")
    assert not is_a(b"-ERR no\r\n", b"*~")
    assert not is_a(b"", b"*~")
    assert header(b":265\r\n") == (265, b"")
