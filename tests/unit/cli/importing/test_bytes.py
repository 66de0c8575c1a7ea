"""Checksums, compressed strings and lengths of RDB files."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.importing.checksum import LANES, WORD, crc64
from cli.importing.errors import EncodingUnknown, FileDamaged
from cli.importing.lzf import decompressed
from cli.importing.rdb_bytes import BLOCK_BYTES, RdbBytes
from tests.data.make_redisai import length

CHECK = 0xE9C6D914C4B8D9CA  # of "123456789", in Redis' own crc64.c


def test_the_checksum_is_that_of_redis() -> None:
    assert crc64(b"123456789") == CHECK


def test_the_checksum_of_a_file_is_the_same_in_pieces_of_any_size() -> None:
    data = random.Random(1).randbytes(3 * LANES * WORD + 5)
    whole = crc64(data)

    cuts = (1, 1000, LANES * WORD, LANES * WORD + 1, len(data) - 1)

    assert [crc64(data[cut:], crc64(data[:cut])) for cut in cuts] == [whole] * len(cuts)
    assert crc64(data[: LANES * WORD + 3]) == bytewise(data[: LANES * WORD + 3])


def bytewise(data: bytes) -> int:
    """The sum without lanes: pieces that are too short for them."""
    crc = 0
    for at in range(0, len(data), 64):
        crc = crc64(data[at : at + 64], crc)
    return crc


@pytest.mark.parametrize(
    ("short", "meant"),
    [
        (b"\x00a", b"a"),
        (b"\x02abc", b"abc"),
        (b"\x00a\x20\x00", b"aaaa"),
        (b"\x01ab\xe0\x07\x01", b"ab" * 9),
        (b"\x02abc\x40\x02", b"abcabca"),
    ],
)
def test_a_compressed_string_is_read(short: bytes, meant: bytes) -> None:
    assert decompressed(short, len(meant)) == meant


@pytest.mark.parametrize(
    ("short", "size", "told"),
    [
        (b"\x00a", 2, "decompresses to 1 bytes"),
        (b"\x00a\xe0\xff\x00", 10, "decompresses to 265 bytes"),
        (b"\x00a\x20\x05", 4, "before the first"),
        (b"\x00a\x20", 4, "end too early"),
    ],
)
def test_a_compressed_string_that_is_none_is_refused(short: bytes, size: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        decompressed(short, size)


@pytest.mark.parametrize("number", [0, 63, 64, 16_383, 16_384, (1 << 32) - 1, 1 << 32, (1 << 64) - 1])
def test_lengths_of_every_form_are_read(number: int, tmp_path: Path) -> None:
    with opened(tmp_path, length(number)) as data:
        assert data.length() == number


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (b"\x03abc", b"abc"),
        (b"\xc0\xfe", b"-2"),
        (b"\xc1\x00\x80", b"-32768"),
        (b"\xc2\xff\xff\xff\x7f", b"2147483647"),
        (b"\xc3\x04\x04\x00a\x20\x00", b"aaaa"),
    ],
)
def test_strings_of_every_encoding_are_read_and_passed_over(
    written: bytes, meant: bytes, tmp_path: Path
) -> None:
    with opened(tmp_path, written + b"next") as data:
        assert data.string() == meant
        assert data.take(4) == b"next"
    with opened(tmp_path, written + b"next") as data:
        data.skip_string()
        assert data.take(4) == b"next"


def test_what_is_larger_than_a_block_is_summed_and_taken_whole(tmp_path: Path) -> None:
    written = random.Random(2).randbytes(BLOCK_BYTES + 1000)

    with opened(tmp_path, written) as data:
        data.skip(500)
        assert data.take(BLOCK_BYTES) == written[500 : 500 + BLOCK_BYTES]
        assert (data.offset, data.crc()) == (BLOCK_BYTES + 500, crc64(written[:-500]))


def test_a_length_past_the_end_of_the_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    for read in (RdbBytes.string, RdbBytes.skip_string):
        with opened(tmp_path, length(1 << 40) + b"abc") as data, pytest.raises(FileDamaged) as met:
            read(data)
        assert "the file has 3 more" in str(met.value)
        assert met.value.details["offset"] == len(length(1 << 40))


@pytest.mark.parametrize("written", [b"\x82", b"\xc4", b"\xff"])
def test_forms_that_are_not_known_are_named_with_their_place(written: bytes, tmp_path: Path) -> None:
    for read in (RdbBytes.string, RdbBytes.skip_string):
        with opened(tmp_path, written + b"abc") as data, pytest.raises(EncodingUnknown) as met:
            read(data)
        assert met.value.details["offset"] == 0


@contextmanager
def opened(folder: Path, data: bytes) -> Iterator[RdbBytes]:
    """The bytes of a file."""
    path = folder / "file"
    path.write_bytes(data)
    with path.open("rb") as stream:
        yield RdbBytes(stream, path)
