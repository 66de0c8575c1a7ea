"""Header blocks: the examples of RFC 7541, and blocks that are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.rpc.http2.headers import BadBlock, Decoder, encoded

LIMIT = 1 << 14
# RFC 7541, C.4 (coded texts) and C.3 (plain ones): three requests of one connection each.
CODED = (
    "828684418cf1e3c2e5f23a6ba0ab90f4ff",
    "828684be5886a8eb10649cbf",
    "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
)
PLAIN = (
    "828684410f7777772e6578616d706c652e636f6d",
    "828684be58086e6f2d6361636865",
    "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
)
FIRST = ((b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com"))
SECOND = (*FIRST, (b"cache-control", b"no-cache"))
THIRD = (
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":path", b"/index.html"),
    (b":authority", b"www.example.com"),
    (b"custom-key", b"custom-value"),
)


@pytest.mark.parametrize("blocks", [CODED, PLAIN])
def test_the_examples_of_the_standard_are_read(blocks: tuple[str, ...]) -> None:
    decoder = Decoder(LIMIT)

    assert [decoder.headers(bytes.fromhex(one)) for one in blocks] == [FIRST, SECOND, THIRD]


def test_a_block_that_comes_again_is_known_and_means_what_the_table_says_now() -> None:
    decoder = Decoder(LIMIT)
    added = b"\x40\x01a\x01b"

    assert decoder.headers(added) == ((b"a", b"b"),)
    first = decoder.headers(b"\xbe")
    assert decoder.headers(b"\xbe") is first
    decoder.headers(b"\x40\x01c\x01d")
    assert decoder.headers(b"\xbe") == ((b"c", b"d"),)
    assert decoder.headers(b"\xbf") == ((b"a", b"b"),)


def test_what_leaves_the_table_is_not_there() -> None:
    decoder = Decoder(LIMIT)
    decoder.headers(b"\x40\x01a\x01b")

    decoder.headers(b"\x20")

    with pytest.raises(BadBlock, match="Invalid table index"):
        decoder.headers(b"\xbe")


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",
        b"\xff\xff\xff\xff\xff\xff\xff",
        b"\xff",
        b"\x40\x05ab",
        b"\x40",
        b"\x82\x3f\xe1\x1f",
        b"\x3f\xe2\x1f",
        b"\x40\x81\x00\x01b",
        b"\x40\x84\xff\xff\xff\xff\x01b",
        encoded([(b"a" * 127, b"b" * LIMIT)]),
    ],
)
def test_a_block_that_cannot_be_read_ends_the_reading(block: bytes) -> None:
    with pytest.raises(BadBlock, match="headers that cannot be read: "):
        Decoder(LIMIT).headers(block)


def test_a_header_added_again_moves_what_was_there_before() -> None:
    decoder = Decoder(LIMIT)
    a, b = b"\x40\x01a\x01" + b"x", b"\x40\x01b\x01" + b"y"
    for block in (b"\x3f\x25", a, b, a):  # a table with room for two
        decoder.headers(block)

    assert decoder.headers(b"\xbf") == ((b"b", b"y"),)
    decoder.headers(b"\x40\x01a\x01" + b"x")
    assert decoder.headers(b"\xbf") == ((b"a", b"x"),)


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_are_read_or_refused(blocks: list[bytes]) -> None:
    decoder = Decoder(LIMIT)
    for block in blocks:
        try:
            found = decoder.headers(block)
        except BadBlock:
            return
        assert all(type(name) is type(value) is bytes for name, value in found)


@given(st.lists(st.tuples(st.binary(max_size=300), st.binary(max_size=300)), max_size=5))
def test_what_we_write_reads_back(headers: list[tuple[bytes, bytes]]) -> None:
    assert Decoder(1 << 20).headers(encoded(headers)) == tuple(headers)
