"""Model files in base64 among the parameters of a load: read where they stand, and otherwise as any JSON."""

import json
import tracemalloc
from base64 import b64encode
from random import Random
from typing import Any

import pytest

from models.errors import BadRequest
from server.rest.refusals import MalformedJson
from server.rest.v2.files import PIECE_BYTES, SMALL_BYTES, with_files

DATA = Random(7).randbytes(3 * PIECE_BYTES + 1)
TEXT = b64encode(DATA).decode()
NAME = "file:1/model.onnx"


def body(parameters: Any, **separators: Any) -> bytearray:
    return bytearray(json.dumps({"parameters": parameters}, **separators).encode())


@pytest.mark.parametrize("size", [0, 1, SMALL_BYTES, 2 * SMALL_BYTES, len(DATA)])
@pytest.mark.parametrize("separators", [{}, {"separators": (",", ":")}, {"indent": 2}])
def test_a_file_is_its_bytes_whatever_its_size(size: int, separators: dict[str, Any]) -> None:
    given = body({"config": "{}", NAME: b64encode(DATA[:size]).decode(), "last": 1}, **separators)

    assert with_files(given) == {"config": "{}", NAME: DATA[:size], "last": 1}
    assert not given


def test_every_file_is_read_and_nothing_else() -> None:
    other = b64encode(DATA[::-1]).decode()
    beside = f'"{NAME}": "{TEXT}"'
    given = {NAME: TEXT, "text": TEXT, f'x"{NAME}': TEXT, "said": beside, "file:2": other}

    assert with_files(body(given)) == {
        NAME: DATA,
        "text": TEXT,
        f'x"{NAME}': TEXT,
        "said": beside,
        "file:2": DATA[::-1],
    }


def test_a_file_outside_the_parameters_is_none() -> None:
    given = bytearray(json.dumps({NAME: TEXT, "parameters": {NAME: "QQ=="}}).encode())

    assert with_files(given) == {NAME: b"A"}


def test_of_a_file_given_twice_the_last_one_counts() -> None:
    given = bytearray(f'{{"parameters": {{"{NAME}": "{TEXT}", "{NAME}": "QQ=="}}}}'.encode())

    assert with_files(given) == {NAME: b"A"}


def test_slashes_that_are_escaped_are_slashes() -> None:
    given = bytearray(json.dumps({"parameters": {NAME: TEXT}}).replace("/", "\\/").encode())

    assert with_files(given) == {NAME: DATA}


@pytest.mark.parametrize(
    "text",
    [
        TEXT[:-1],
        "%" + TEXT,
        TEXT + "%",
        TEXT[:PIECE_BYTES] + "\n" + TEXT[PIECE_BYTES:],
        TEXT[: PIECE_BYTES - 4] + "QQ==" + TEXT[PIECE_BYTES:],
        TEXT[: PIECE_BYTES + 8] + "QQ==" + TEXT[PIECE_BYTES + 12 :],
    ],
)
def test_a_long_text_that_is_no_base64_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadRequest, match=r"parameter 'file:1/model.onnx' is no base64"):
        with_files(body({NAME: text}))


def test_a_body_that_ends_within_a_file_is_no_json() -> None:
    with pytest.raises(MalformedJson):
        with_files(bytearray(f'{{"parameters": {{"{NAME}": "{TEXT}'.encode()))


def test_a_file_is_not_held_as_a_text_beside_the_body() -> None:
    given = body({NAME: TEXT})
    tracemalloc.start()
    try:
        with_files(given)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert most < 1.6 * len(DATA)  # its bytes, with room to spare
