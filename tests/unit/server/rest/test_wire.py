"""Bytes to JSON: what is refused, where and with which cure."""

import math

import pytest

from server.rest import wire
from server.rest.refusals import MalformedJson, MediaTypeRefused


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the body is empty"),
        (b"{", "the body is no JSON"),
        (b'{"keys": ["a"}', "at line 1 column 14"),
        (
            b'{"x": NaN}',
            "JSON has no NaN or Infinity: leave the value out and ask with `missing`, or send a tensor as bytes",
        ),
        (b'{"x": -Infinity}', "JSON has no NaN or Infinity"),
        (b"{'keys': ['a']}", "JSON takes double quotes"),
        (b"@body.json", "a file is sent with curl's -d @FILE"),
        (b'{"keys": ["\xff"]}', "UTF-8"),
        (b"[" * 100_000 + b"]" * 100_000, "depth"),
        (b'{"keys": ["a"]} {"keys": ["b"]}', "the body is no JSON"),
        (b"\xef\xbb\xbf{}", "the body is no JSON"),
        (b'{"x": 1e999}', "infinity"),
    ],
)
def test_a_body_that_is_no_json_is_refused_with_its_place(data: bytes, message: str) -> None:
    with pytest.raises(MalformedJson) as refused:
        wire.decode(data)

    assert message in str(refused.value)
    assert len(str(refused.value)) < 300


def test_a_field_given_twice_is_refused() -> None:
    with pytest.raises(MalformedJson, match="gives 'keys' twice"):
        wire.decode(b'{"keys": ["a"], "keys": ["b"]}', ("keys",))


def test_a_field_of_the_same_name_further_inside_is_another_one() -> None:
    data = wire.decode(b'{"instances": [{"keys": 1}, {"keys": 2}]}', ("keys", "instances"))

    assert data == {"instances": [{"keys": 1}, {"keys": 2}]}


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "application/json",
        "application/json; charset=utf-8",
        'Application/JSON; charset="UTF-8"',
        "application/x+json",
    ],
)
def test_json_in_utf_8_is_read(kind: str | None) -> None:
    wire.check_kind({} if kind is None else {"content-type": kind})


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "",
    ],
)
def test_another_kind_of_body_is_refused_with_the_cure(kind: str) -> None:
    with pytest.raises(MediaTypeRefused, match="send `Content-Type: application/json`"):
        wire.check_kind({"content-type": kind})


def test_a_compressed_body_is_refused() -> None:
    with pytest.raises(MediaTypeRefused, match="leave Content-Encoding out"):
        wire.check_kind({"content-type": "application/json", "content-encoding": "gzip"})


def test_what_is_no_number_leaves_as_null() -> None:
    assert wire.Json({"value": math.nan}).body == b'{"value":null}\n'


def test_a_body_that_nests_deeply_is_read_where_its_names_are_looked_at() -> None:
    body = b'{"keys": ["keys"], "instances": ' + b"[" * 1020 + b"]" * 1020 + b"}"

    assert wire.decode(body, ("keys",))["keys"] == ["keys"]
