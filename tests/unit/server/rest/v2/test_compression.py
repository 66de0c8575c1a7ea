"""Compressed bodies: every form that clients send, and no byte more than the bound however small they look."""

import gzip
import tracemalloc
import zlib

import pytest

from models.errors import BadRequest
from server.rest.refusals import BodyTooLarge, MediaTypeRefused
from server.rest.v2.compression import (
    RAW_WINDOW,
    accepted,
    deflate,
    deflated,
    encoding_of,
    inflate,
    inflated,
)

TEXT = b'{"inputs": []}' * 1000
LIMIT = 1 << 20


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=RAW_WINDOW)
    return stream.compress(data) + stream.flush()


FORMS = {
    "gzip": ("gzip", gzip.compress(TEXT)),
    "gzip in two members": ("gzip", gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:])),
    "deflate with zlib's head": ("deflate", zlib.compress(TEXT)),
    "deflate without": ("deflate", raw_deflate(TEXT)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_inflated(form: str) -> None:
    encoding, data = FORMS[form]

    assert inflate(bytearray(data), encoding, LIMIT) == TEXT


@pytest.mark.parametrize("form", FORMS)
def test_a_body_as_large_as_the_bound_passes_and_one_byte_more_does_not(form: str) -> None:
    encoding, data = FORMS[form]

    assert inflate(bytearray(data), encoding, len(TEXT), pad=3) == b"\0\0\0" + TEXT
    with pytest.raises(BodyTooLarge, match=str(len(TEXT) - 1)):
        inflate(bytearray(data), encoding, len(TEXT) - 1, pad=3)


def test_a_bomb_is_given_up_at_the_bound() -> None:
    bomb = bytearray(zlib.compress(b"\0" * (64 << 20), 9))

    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            inflate(bomb, "deflate", LIMIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 * LIMIT


@pytest.mark.parametrize("form", FORMS)
def test_a_body_that_is_cut_off_says_so(form: str) -> None:
    encoding, data = FORMS[form]

    with pytest.raises(BadRequest, match=f"in the middle of its {encoding}"):
        inflate(bytearray(data[:-1]), encoding, LIMIT)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("data", [b"", b"\x00", b"no such thing at all"])
def test_what_is_not_compressed_is_no_body(encoding: str, data: bytes) -> None:
    with pytest.raises(BadRequest, match=encoding):
        inflate(bytearray(data), encoding, LIMIT)


def test_bytes_after_the_end_are_refused() -> None:
    with pytest.raises(BadRequest, match="follow the end"):
        inflate(bytearray(zlib.compress(TEXT) + b"more"), "deflate", LIMIT)
    with pytest.raises(BadRequest, match="no gzip"):
        inflate(bytearray(gzip.compress(TEXT) + b"more"), "gzip", LIMIT)


@pytest.mark.parametrize("size", [10, 10_000])
async def test_a_large_body_is_inflated_as_a_small_one_is(size: int) -> None:
    data = bytes(range(256)) * size

    assert await inflated(bytearray(gzip.compress(data)), "gzip", 1 << 24, 0) == data


@pytest.mark.parametrize(
    ("given", "encoding"),
    [
        (None, "identity"),
        ("", "identity"),
        ("identity", "identity"),
        ("GZip", "gzip"),
        ("x-gzip", "gzip"),
        (" deflate ", "deflate"),
    ],
)
def test_an_encoding_is_known_by_its_names(given: str | None, encoding: str) -> None:
    assert encoding_of(given) == encoding


@pytest.mark.parametrize("given", ["br", "gzip, deflate", "gzip;q=1"])
def test_any_other_encoding_is_refused(given: str) -> None:
    with pytest.raises(MediaTypeRefused, match="gzip, deflate"):
        encoding_of(given)


@pytest.mark.parametrize(
    ("given", "encoding"),
    [
        (None, "identity"),
        ("", "identity"),
        ("br", "identity"),
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate, br", "gzip"),
        ("deflate, gzip;q=0.5", "deflate"),
        ("gzip;q=0", "identity"),
        ("gzip;q=0, *", "gzip"),
        ("*", "gzip"),
        ("*;q=0", "identity"),
        ("identity, gzip;q=0.2", "identity"),
        ("gzip;q=high", "gzip"),
        (",;=,", "identity"),
    ],
)
def test_an_answer_is_compressed_as_the_client_prefers(given: str | None, encoding: str) -> None:
    assert accepted(given) == encoding


@pytest.mark.parametrize("size", [1, 10_000])
async def test_an_answer_is_deflated_so_that_any_client_inflates_it(size: int) -> None:
    data = TEXT * size if size == 1 else TEXT * 10

    assert gzip.decompress(await deflated(data, "gzip")) == data
    assert zlib.decompress(await deflated(data, "deflate")) == data
    assert len(deflate(data, "gzip")) < len(data) / 10
