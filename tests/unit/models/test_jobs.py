"""A scoring job is read strictly, and the same job has the same name."""

import json
from typing import Any

import pytest

from models.errors import BadRequest
from models.jobs import JobSpec, Matching, ToStrings
from models.keys import Keys


def spec(**facts: Any) -> JobSpec:
    return JobSpec.parse(json.dumps({"model": "m", **facts}))


def test_a_job_is_every_key_into_strings_unless_said_otherwise() -> None:
    plain = spec()

    assert plain.rows == Matching()
    assert plain.to == (ToStrings(key="score:{key}", ttl_seconds=None),)
    assert JobSpec.parse(plain.model_dump_json()) == plain


@pytest.mark.parametrize("missing", [None, 0, 2.5, {}, {"age": 1, "plan": "free"}])
def test_what_stands_in_for_absent_values_is_a_number_or_values_by_name(missing: Any) -> None:
    assert spec(missing=missing).missing == missing


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"rows": {"kind": "match", "patern": "a"}}, "patern"),
        ({"rows": {"kind": "sql"}}, "kind"),
        ({"to": []}, "to"),
        ({"missing": True}, r"missing: should be a number, or values by field such as .* \(got True\)"),
        ({"missing": "5"}, r"missing: should be a number, or values by field such as .* \(got '5'\)"),
        ({"missing": [1]}, "missing: should be a number"),
        ({"missing": float("nan")}, "missing: should be a number"),
        ({"missing": {"age": True}}, "missing: should have a number or a text for 'age'"),
        ({"missing": {"plan": "free", "age": None}}, "missing: should have a number or a text for 'age'"),
        ({"to": [{"kind": "zset"}]}, "key"),
        ({"to": [{"kind": "hash", "key": "a"}, {"kind": "hash", "key": "a"}]}, "named twice"),
        ({"to": [{"kind": "stream", "key": "a"}, {"kind": "stream", "key": "a", "max_entries": 9}]}, "twice"),
        (
            {"rows": {"kind": "redis", "key": "a"}, "to": [{"kind": "stream", "key": "a"}]},
            "rows come from 'a'",
        ),
        ({"rows": {"kind": "redis", "key": "a"}, "errors_to": "redis:a"}, "rows come from 'a'"),
        ({"to": [{"kind": "string", "ttl_seconds": 0}]}, "ttl_seconds"),
        ({"max_rate": 0}, "max_rate"),
        ({"max_errors": -1}, "max_errors"),
        ({"newer_than": "soon"}, "newer_than"),
        ({"lable": "yes"}, "label"),
    ],
)
def test_what_is_no_job_is_refused_by_name(facts: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        spec(**facts)


def test_text_that_is_no_json_is_refused() -> None:
    with pytest.raises(BadRequest, match="the job"):
        JobSpec.parse("{")


def test_the_same_job_has_the_same_name_and_another_one_another() -> None:
    assert spec().own_name == spec().own_name
    assert spec().own_name.startswith("m-")
    assert spec(newer_than=1.0).own_name == spec(newer_than=2.0).own_name
    assert len({one.own_name for one in (spec(), spec(outputs=True), spec(version=2), spec(max_rate=5))}) == 4


@pytest.mark.parametrize(
    ("facts", "local"),
    [
        ({}, False),
        ({"rows": {"kind": "redis", "key": "vips"}, "errors_to": "redis:bad"}, False),
        ({"rows": {"kind": "file", "path": "a.txt"}}, True),
        ({"rows": {"kind": "instances", "path": "a.csv"}}, True),
        ({"to": [{"kind": "string"}, {"kind": "csv", "path": "a.csv"}]}, True),
        ({"to": [{"kind": "output"}]}, True),
        ({"errors_to": "bad.jsonl"}, True),
    ],
)
def test_what_lies_on_one_machine_is_known(facts: dict[str, Any], local: bool) -> None:
    assert spec(**facts).local is local


ONE_PLACE: list[tuple[dict[str, Any], str]] = [
    (
        {"to": [{"kind": "csv", "path": "a"}, {"kind": "parquet", "path": "a"}]},
        "'a' is named for answers as csv",
    ),
    (
        {"to": [{"kind": "csv", "path": "a.csv"}, {"kind": "csv", "path": "./a.csv"}]},
        "answers as csv and for ans",
    ),
    ({"to": [{"kind": "csv", "path": "a.csv"}], "errors_to": "./a.csv"}, "answers as csv and for errors"),
    ({"rows": {"kind": "file", "path": "a.txt"}, "errors_to": "a.txt"}, "for the rows and for errors"),
    ({"rows": {"kind": "file", "path": "a.txt"}, "errors_to": "b/../a.txt"}, "for the rows and for errors"),
    (
        {"rows": {"kind": "instances", "path": "a.csv"}, "to": [{"kind": "csv", "path": "a.csv"}]},
        "for the rows",
    ),
    ({"to": [{"kind": "zset", "key": "a"}, {"kind": "hash", "key": "a"}]}, "'a' is to be a zset and a hash"),
    ({"to": [{"kind": "zset", "key": "a"}], "errors_to": "redis:a"}, "'a' is to be a zset and a stream"),
]


@pytest.mark.parametrize(("facts", "said"), ONE_PLACE)
def test_two_things_do_not_go_to_one_place(facts: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        spec(**facts).check_places(Keys())


def test_a_stream_may_have_answers_and_errors() -> None:
    spec(to=[{"kind": "stream", "key": "a"}], errors_to="redis:a").check_places(Keys())
    spec(rows={"kind": "file", "path": "-"}, errors_to="-").check_places(Keys())
