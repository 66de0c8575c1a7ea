"""Header blocks: the examples of RFC 7541, and blocks that are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.rpc.http2.hpack import CODES, STATIC, BadBlock, Decoder, encoded, unpacked

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
    decoder = Decoder()

    assert [decoder.headers(bytes.fromhex(one), LIMIT) for one in blocks] == [FIRST, SECOND, THIRD]


def test_a_block_that_comes_again_is_known_and_means_what_the_table_says_now() -> None:
    decoder = Decoder()
    added = b"\x40\x01a\x01b"

    assert decoder.headers(added, LIMIT) == ((b"a", b"b"),)
    first = decoder.headers(b"\xbe", LIMIT)
    assert decoder.headers(b"\xbe", LIMIT) is first
    decoder.headers(b"\x40\x01c\x01d", LIMIT)
    assert decoder.headers(b"\xbe", LIMIT) == ((b"c", b"d"),)
    assert decoder.headers(b"\xbf", LIMIT) == ((b"a", b"b"),)


def test_what_leaves_the_table_is_not_there() -> None:
    decoder = Decoder()
    decoder.headers(b"\x40\x01a\x01b", LIMIT)

    decoder.headers(b"\x20", LIMIT)

    with pytest.raises(BadBlock, match="not in the table"):
        decoder.headers(b"\xbe", LIMIT)


@pytest.mark.parametrize(
    ("block", "told"),
    [
        (b"\x80", "not in the table"),
        (b"\xff\xff\xff\xff\xff\xff\xff", "number"),
        (b"\xff", "number"),
        (b"\x40\x05ab", "cut off"),
        (b"\x40", "not there"),
        (b"\x82\x3f\xe1\x1f", "size of the table"),
        (b"\x3f\xe2\x1f", "size of the table"),
        (b"\x40\x81\x00\x01b", "does not end"),
        (b"\x40\x84\xff\xff\xff\xff\x01b", "the end within a text"),
        (encoded([(b"a" * 127, b"b" * LIMIT)]), "more than"),
    ],
)
def test_a_block_that_cannot_be_read_says_why(block: bytes, told: str) -> None:
    with pytest.raises(BadBlock, match=told):
        Decoder().headers(block, LIMIT)


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_are_read_or_refused(blocks: list[bytes]) -> None:
    decoder = Decoder()
    for block in blocks:
        try:
            found = decoder.headers(block, LIMIT)
        except BadBlock:
            return
        assert all(type(name) is type(value) is bytes for name, value in found)


@given(st.lists(st.tuples(st.binary(max_size=300), st.binary(max_size=300)), max_size=5))
def test_what_we_write_reads_back(headers: list[tuple[bytes, bytes]]) -> None:
    assert Decoder().headers(encoded(headers), 1 << 20) == tuple(headers)


@given(st.binary(max_size=40))
def test_a_coded_text_reads_back(data: bytes) -> None:
    by_byte = {symbol: (bits, code) for (bits, code), symbol in CODES.items()}
    written = "".join(format(code, f"0{bits}b") for bits, code in (by_byte[one] for one in data))
    written += "1" * (-len(written) % 8)

    assert unpacked(int(written, 2).to_bytes(len(written) // 8, "big") if written else b"") == data
    assert len(STATIC) == 61
