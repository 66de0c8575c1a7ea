"""Replies of Redis counted as they pass, in any pieces; hiredis says where they end."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.resp.wire.frames import Malformed
from server.resp.wire.scanning import Scanner, whole

TEXT = st.text(st.characters(codec="ascii", exclude_characters="\r\n"), max_size=20).map(str.encode)
SIMPLE = st.one_of(
    TEXT.map(lambda one: b"+%b\r\n" % one),
    TEXT.map(lambda one: b"-ERR %b\r\n" % one),
    st.integers(-(2**63), 2**63 - 1).map(lambda one: b":%d\r\n" % one),
    st.binary(max_size=300).map(lambda one: b"$%d\r\n%b\r\n" % (len(one), one)),
    st.sampled_from(b"$-1 *-1 *0 _ #t #f ,1.5 ,inf (12345678901234567890 %0 ~0".split()).map(lambda one: one + b"\r\n"),
    st.sampled_from([b"=7\r\ntxt:abc\r\n", b"!5\r\nERR x\r\n", b"$0\r\n\r\n"]),
)  # fmt: skip


def nested(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    several = st.lists(inner, max_size=4)
    pairs = st.lists(st.tuples(inner, inner).map(b"".join), max_size=3)
    return st.one_of(
        several.map(lambda items: b"*%d\r\n%b" % (len(items), b"".join(items))),
        several.map(lambda items: b"~%d\r\n%b" % (len(items), b"".join(items))),
        pairs.map(lambda items: b"%%%d\r\n%b" % (len(items), b"".join(items))),
    )


REPLIES = st.recursive(SIMPLE, nested, max_leaves=12)
PUSHES = st.lists(SIMPLE, min_size=1, max_size=3).map(
    lambda items: b">%d\r\n%b" % (len(items), b"".join(items))
)
ATTRIBUTED = st.tuples(SIMPLE, SIMPLE, REPLIES).map(lambda parts: b"|1\r\n" + b"".join(parts))
STREAM = st.lists(
    st.one_of(
        REPLIES.map(lambda one: (one, False)),
        PUSHES.map(lambda one: (one, True)),
        ATTRIBUTED.map(lambda one: (one, False)),
    ),
    max_size=8,
)


def found(data: bytes, steps: list[int]) -> list[tuple[int, bool]]:
    scanner, at, ends = Scanner(), 0, []
    for step in [*steps, len(data)]:
        ends += [(at + end, pushed) for end, pushed in scanner.ends(data[at : at + step])]
        at += step
        if at >= len(data):
            break
    assert scanner.between
    return ends


@given(stream=STREAM, steps=st.lists(st.integers(1, 40), max_size=30))
def test_replies_end_where_they_end_however_they_come(
    stream: list[tuple[bytes, bool]], steps: list[int]
) -> None:
    expected, at = [], 0
    for frame, pushed in stream:
        at += len(frame)
        expected.append((at, pushed))
    data = b"".join(frame for frame, _ in stream)

    assert found(data, steps) == expected
    assert found(data, []) == expected
    assert found(data, [1] * len(data)) == expected


@given(one=REPLIES, other=REPLIES)
def test_exactly_one_reply_is_never_seen_in_two(one: bytes, other: bytes) -> None:
    assert not whole(one + other)
    assert not whole(one[:-1])


@pytest.mark.parametrize(
    "reply", [b"+OK\r\n", b"-ERR x\r\n", b":1\r\n", b"$3\r\nabc\r\n", b"$-1\r\n", b"$0\r\n\r\n", b"_\r\n"]
)
def test_a_short_reply_is_seen_at_once(reply: bytes) -> None:
    assert whole(reply)


@pytest.mark.parametrize(
    "data", [b"HTTP/1.1 400\r\n", b"\r\n", b"*x\r\n", b"$x\r\n", b"\n", b"*" + b"1" * 70_000]
)
def test_what_is_no_reply_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        Scanner().ends(data)


def test_a_long_line_is_a_reply_too() -> None:
    scanner: Any = Scanner()
    line = b"-" + b"x" * 200_000

    assert scanner.ends(line) == []
    assert scanner.ends(b"\r\n") == [(2, False)]
