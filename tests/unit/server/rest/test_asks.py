"""A predict request as JSON or as a query: what it asks, and what is refused in which words."""

import time
from typing import Any

import pytest

from models.errors import BadName, BadRequest
from server.rest import asks


def body(**fields: Any) -> dict[str, Any]:
    return {"keys": ["patient:17"], **fields}


def test_keys_are_taken_as_they_are() -> None:
    ask = asks.of_body("m", None, {"keys": ["patient:17", "patient:18"]})

    assert (ask.model, ask.reference, ask.keys) == ("m", None, ["patient:17", "patient:18"])
    assert (ask.instances, ask.inputs, ask.missing, ask.raw, ask.deadline) == (None, None, None, False, None)


def test_instances_and_inputs_are_taken_as_they_are() -> None:
    assert asks.of_body("m", None, {"instances": [{"id": 1}]}).instances == [{"id": 1}]
    assert asks.of_body("m", None, {"inputs": {"x": [[1]]}}).inputs == {"x": [[1]]}


@pytest.mark.parametrize("missing", [0, 1.5, -2, {"age": 40, "plan": "none"}])
def test_missing_is_a_number_or_values_by_field(missing: object) -> None:
    assert asks.of_body("m", None, body(missing=missing)).missing == missing


def test_a_deadline_is_counted_from_now() -> None:
    before = time.monotonic()

    deadline = asks.of_body("m", None, body(timeout_ms=250)).deadline

    assert deadline is not None
    assert before + 0.25 <= deadline <= time.monotonic() + 0.25


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "the body is a list; send an object"),
        ("patient:17", "the body is a text, 'patient:17'; send an object"),
        (None, "the body is null; send an object"),
        (17, "the body is a number, 17; send an object"),
        ({}, "the body gives none; say the rows with exactly one of keys, instances, inputs"),
        ({"keys": ["a"], "inputs": {}}, "the body gives keys and inputs; say the rows with exactly one"),
        ({"key": ["a"]}, "field 'key' is not known; did you mean 'keys'?"),
        ({"keys": ["a"], "timeout": 5}, "field 'timeout' is not known; did you mean 'timeout_ms'?"),
        ({"keys": ["a"], "zzz": 5}, "field 'zzz' is not known; there are keys, instances"),
        ({"keys": "patient:17"}, "keys is a text, 'patient:17'; send a list such as"),
        ({"keys": ["a", 17]}, "keys[1] is a number, 17; a key is a text such as"),
        ({"keys": [None]}, "keys[0] is null; a key is a text"),
        ({"keys": [["a"]]}, "keys[0] is a list; a key is a text"),
        ({"instances": {"id": 1}}, "instances is an object; send a list such as"),
        ({"instances": [{"id": 1}, "a"]}, "instances[1] is a text, 'a'; an instance is an object"),
        ({"inputs": [[1, 2]]}, "inputs is a list; send an object such as"),
        (body(missing="0"), "missing is a text, '0'; send a number"),
        (body(missing=True), "missing is a truth value, True; send a number"),
        (body(missing={"age": None}), "missing['age'] is null; send a number or a text"),
        (body(raw=1), "raw is a number, 1; send true or false"),
        (body(timeout_ms=0), "timeout_ms is a number, 0; send a number of milliseconds over 0"),
        (body(timeout_ms="1s"), "timeout_ms is a text, '1s'; send a number of milliseconds over 0"),
    ],
)
def test_a_body_of_another_shape_is_refused_with_the_cure(data: object, message: str) -> None:
    with pytest.raises(BadRequest) as refused:
        asks.of_body("m", None, data)

    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("version", "reference"),
    [(None, None), ("3", 3), ("007", 7), ("canary", "canary"), ("v3", "v3"), ("٣", "٣")],
)
def test_a_version_is_a_number_in_ascii_or_an_alias(version: str | None, reference: str | int | None) -> None:
    assert asks.reference(version) == reference


def test_a_number_that_no_version_has_is_refused_before_it_is_read() -> None:
    with pytest.raises(BadName, match="at most 9 digits"):
        asks.reference("9" * 5000)


def test_a_query_asks_a_row_a_key() -> None:
    ask = asks.of_query("m", "canary", [("key", "a"), ("raw", "true"), ("key", "b"), ("missing", "0.5")])

    assert (ask.keys, ask.raw, ask.missing, ask.reference) == (["a", "b"], True, 0.5, "canary")


def test_a_query_takes_values_by_field_as_json() -> None:
    assert asks.of_query("m", None, [("key", "a"), ("missing", '{"age": 40}')]).missing == {"age": 40}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ([], "the query names no key; ask with ?key="),
        ([("keys", "a")], "parameter 'keys' is not known; did you mean 'key'?"),
        ([("key", "a"), ("raw", "true"), ("raw", "false")], "parameter 'raw' is given 2 times; give it once"),
        ([("key", "a"), ("raw", "maybe")], "raw is a text, 'maybe'; send true or false"),
        ([("key", "a"), ("missing", "none")], "parameter 'missing' is 'none', which is no number"),
        ([("key", "a"), ("timeout_ms", "soon")], "parameter 'timeout_ms' is 'soon', which is no number"),
        ([("key", "a"), ("timeout_ms", "-1")], "timeout_ms is a number, -1"),
    ],
)
def test_a_query_of_another_shape_is_refused_with_the_cure(
    query: list[tuple[str, str]], message: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        asks.of_query("m", None, query)

    assert message in str(refused.value)
