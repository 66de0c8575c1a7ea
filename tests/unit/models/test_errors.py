"""Errors carry a code, their facts and one bounded line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import errors, job_errors, signing_errors
from models.errors import InsituError, listed, shown

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)

ONE_OF_EACH = [
    errors.BadName("alias", "A b", "a rule"),
    errors.BadModelFile("why"),
    errors.ModelTooLarge(9, 5),
    errors.BadFeatureView("why"),
    errors.BadRecipe("why"),
    errors.BadRequest("why"),
    errors.ModelNotFound("churn"),
    errors.VersionNotFound("churn", 9, [1, 2]),
    errors.AliasNotFound("churn", "canary", ["production"]),
    errors.NothingToRollBack("churn", "production"),
    errors.VersionInUse("churn", 1, ["production"]),
    errors.VersionInUse("churn", 1, [], traffic=True),
    errors.BadTraffic("why"),
    errors.TrafficNotFound("churn"),
    job_errors.JobNotFound("nightly"),
    job_errors.JobUnreadable("nightly", errors.BadRequest("why")),
    job_errors.JobUnderWay("nightly"),
    job_errors.RowsElsewhere("nightly", errors.BadRequest("'keys.txt' is not there")),
    errors.BundleCorrupt("churn", 1, "why"),
    signing_errors.NotTrusted("churn", 1, "why", "a cure"),
    signing_errors.UnsignedUpload("churn"),
    signing_errors.BadKey("why"),
    signing_errors.SigningNotInstalled(),
    errors.ManifestUnreadable("churn", 1, "why"),
    errors.RedisUnavailable("why"),
    errors.RedisRefused("why"),
    errors.FeatureError("why"),
    errors.KeyMissing("k:1"),
    errors.KeyMissing("k:1", fields=True),
    errors.FieldMissing("k:1", "age"),
    errors.KeyNotAllowed("x", "k:{id}"),
    errors.KeysNotEnough(["hour"]),
    errors.InstanceIncomplete("why"),
    errors.WrongType("k:1", "a hash"),
    errors.WrongLength("k:1", "3 bytes", "4"),
    errors.NotANumber("field 'age'", "x", "float32"),
    errors.Stale("k:1", 90.0, 60.0),
    errors.Stale("k:1", -900.0, 60.0),
    errors.UnknownCategory("field 'c'", "XX", ["DE", "FR"]),
    errors.SourceUnsupported("JSON.GET"),
    errors.SourceUnsupported("HMGET"),
]


def every_error() -> set[type[InsituError]]:
    named = {**vars(errors), **vars(job_errors), **vars(signing_errors)}
    return {found for found in named.values() if isinstance(found, type) and issubclass(found, InsituError)}


def test_every_error_of_the_module_is_tried_here() -> None:
    assert {type(error) for error in ONE_OF_EACH} == every_error() - {InsituError}


def test_every_code_is_of_one_error_alone() -> None:
    codes = [error.code for error in every_error()]

    assert len(set(codes)) == len(codes)


def test_the_tree_at_the_head_of_the_module_names_every_error() -> None:
    named = set(f"{errors.__doc__} {job_errors.__doc__} {signing_errors.__doc__}".split())

    assert {error.__name__ for error in every_error()} <= named


@pytest.mark.parametrize("error", ONE_OF_EACH, ids=lambda error: type(error).__name__)
def test_an_error_is_one_line_whose_facts_are_json(error: InsituError) -> None:
    assert "\n" not in str(error)
    assert str(error)
    json.dumps(error.details, allow_nan=False)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            errors.VersionNotFound("churn", 9, range(1, 31)),
            "model 'churn' has no version 9; stored versions: ..., 23, 24, 25, 26, 27, 28, 29, 30",
        ),
        (errors.VersionNotFound("churn", 9, []), "model 'churn' has no version 9; stored versions: none"),
        (
            errors.AliasNotFound("churn", "canary", [f"a{number}" for number in range(20)]),
            (
                "model 'churn' has no alias 'canary'; aliases: a0, a1, a2, a3, a4, a5, a6, a7 and 12 more; "
                "`insitu promote churn VERSION --alias canary` sets one"
            ),
        ),
        *(
            (
                errors.AliasNotFound("churn", alias, ["production"]),
                (
                    f"model 'churn' has no alias '{alias}'; aliases: production; "
                    "an alias is 1 to 64 of a-z 0-9 _ -, the first a letter"
                ),
            )
            for alias in ("-1", "Prod", "x;y")
        ),
        (
            errors.Stale("k:1", 90.04, 60.0),
            "key 'k:1' was written 90.0 s ago, the view allows 60 s; write it again",
        ),
        (
            errors.Stale("k:1", -900.0, 60.0),
            "key 'k:1' says it was written 900.0 s in the future; check `time_unit` and the clocks",
        ),
        (errors.SourceUnsupported("HMGET"), "this Redis does not have HMGET"),
        (
            errors.SourceUnsupported("JSON.GET"),
            "this Redis does not have JSON.GET; `as: json` needs Redis 8 or the JSON module",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_message_names_the_thing_the_value_and_the_cure(error: InsituError, message: str) -> None:
    assert str(error) == message


@given(ANYTHING)
def test_whatever_is_shown_is_one_bounded_printable_line(value: object) -> None:
    text = shown(value)

    assert len(text) <= 64
    assert text.isprintable()
    text.encode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        (b"bytes", "bytes"),
        (b"\xff\x00", "\\\\xff\\x00"),
        ("a\nb", "a\\nb"),
        ("\ud800", "\\ud800"),
        ("ü", "ü"),
        (17, "17"),
        (None, "None"),
        ([1, "a"], "[1, 'a']"),
        (ValueError("why"), "why"),
        pytest.param("x" * 100, "x" * 61 + "...", id="long"),
        pytest.param(10**5000, "int of thousands of digits", id="huge"),
        pytest.param([10**5000], "list of thousands of digits", id="huge inside"),
    ],
)
def test_a_value_is_shown_as_what_it_is(value: object, text: str) -> None:
    assert shown(value) == text


def test_showing_something_large_is_cheap() -> None:
    deep: list[object] = []
    for _ in range(10_000):
        deep = [deep]

    assert len(shown([deep, "x" * 10_000_000, b"y" * 10_000_000, list(range(1_000_000))])) <= 64


@pytest.mark.parametrize(
    ("names", "text"),
    [([], "none"), (["a", "b"], "a, b"), ([1, 2], "1, 2"), (["x"] * 10, "x, " * 7 + "x and 2 more")],
)
def test_names_are_listed_in_one_bounded_line(names: list[object], text: str) -> None:
    assert listed(names) == text
