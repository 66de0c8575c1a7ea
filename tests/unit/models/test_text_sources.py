"""Hashes and JSON documents become rows, or errors that name what is wrong."""

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from models.assembly import Plan
from models.errors import (
    FeatureError,
    FieldMissing,
    KeyMissing,
    NotANumber,
    SourceUnsupported,
    Stale,
    UnknownCategory,
    WrongType,
)
from tests.unit.models.views import NOW, assembled, plan

COUNTRY = {"name": "country", "categories": ["DE", "FR", "US"]}
FALLIBLE = {**COUNTRY, "unknown": "US"}
AGED: dict[str, Any] = {"time_field": "at", "max_age_seconds": 60}
DTYPES = ["bool", "int8", "int64", "uint64", "float16", "float32", "float64", "string"]


def hashes(*fields: Any, dtype: str | None = None, **facts: Any) -> Plan:
    return plan({"key": "p:{id}", "as": "hash", "fields": list(fields), **facts}, dtype=dtype)


def documents(*fields: Any, dtype: str | None = None, **facts: Any) -> Plan:
    return plan({"key": "d:{id}", "as": "json", "fields": list(fields), **facts}, dtype=dtype)


def only(compiled: Plan, reply: Any, missing: Any = None) -> Any:
    """The tensor of a single row, or its error."""
    found = assembled(compiled, [reply], missing)
    return found.errors[0] if found.errors else found.groups[0].feeds["x"][0]


def test_a_hash_is_asked_for_its_fields_in_one_command() -> None:
    compiled = hashes("amount", "age", **AGED)

    assert compiled.prepare([{"id": 7}]).commands == [("HMGET", "p:7", "amount", "age", "at")]


def test_the_time_is_asked_for_only_when_an_age_is_limited() -> None:
    compiled = hashes("amount", time_field="at")

    assert compiled.prepare([{"id": 7}]).commands == [("HMGET", "p:7", "amount")]


def test_a_hash_becomes_a_row_of_its_fields() -> None:
    found = assembled(hashes("a", "b"), [[b"1.5", b"-2"], [b"3", b"4e1"]])

    (group,) = found.groups
    assert group.rows == [0, 1]
    assert group.feeds["x"].dtype == np.float32
    assert group.feeds["x"].tolist() == [[1.5, -2.0], [3.0, 40.0]]
    assert (found.errors, found.filled) == ({}, {})


@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES if dtype != "string"])
def test_a_row_has_the_type_of_the_input(dtype: str) -> None:
    row = only(hashes("a", "b", dtype=dtype), [b"1", b"0"])

    assert row.dtype == np.dtype(dtype)
    assert row.tolist() == [1, 0]


def test_text_stays_text_where_the_graph_takes_text() -> None:
    row = only(hashes("a", "b", "c", dtype="string"), [b"abc", "ü".encode(), b"\xff"])

    assert row.dtype == object
    assert row.tolist() == ["abc", "ü", "\\xff"]


@pytest.mark.parametrize(("text", "number"), [(b"DE", 0), (b"FR", 1), (b"US", 2)])
def test_a_category_is_its_number_in_the_list(text: bytes, number: int) -> None:
    assert only(hashes("a", COUNTRY), [b"1", text]).tolist() == [1.0, number]


@pytest.mark.parametrize("text", [b"XX", b"", b"de", b"DE ", b"\xff", b"0"])
def test_another_text_is_an_unknown_category_with_the_known_ones(text: bytes) -> None:
    error = only(hashes("a", COUNTRY), [b"1", text])

    assert isinstance(error, UnknownCategory)
    assert str(error).startswith("field 'country' of key 'p:0' holds ")
    assert "none of: DE, FR, US; `unknown:`" in str(error)


@pytest.mark.parametrize("text", [b"XX", b"", b"\xff", b"US"])
def test_another_text_counts_as_the_category_that_unknown_names(text: bytes) -> None:
    assert only(hashes("a", FALLIBLE), [b"1", text]).tolist() == [1.0, 2.0]


def test_an_absent_category_is_missing_not_unknown() -> None:
    assert isinstance(only(hashes("a", FALLIBLE), [b"1", None]), FieldMissing)


@pytest.mark.parametrize("value", [b"abc", b"", b"1_0", b"nan", b"inf", b"1e39", b"\xff", "٣"])
def test_what_is_no_number_is_named_with_field_and_key(value: object) -> None:
    error = only(hashes("a", "b"), [b"1", value])

    assert isinstance(error, NotANumber)
    assert str(error).startswith("field 'b' of key 'p:0' holds ")
    assert str(error).endswith("which is not a float32 number")


def test_a_missing_field_is_named() -> None:
    error = only(hashes("a", "b"), [b"1", None])

    assert isinstance(error, FieldMissing)
    assert error.details == {"key": "p:0", "field": "b"}


def test_a_hash_without_any_field_that_is_read_is_missing() -> None:
    error = only(hashes("a", "b"), [None, None])

    assert isinstance(error, KeyMissing)
    assert "key 'p:0' is not in Redis, or has none of the fields this model reads" in str(error)


def test_a_default_stands_in_and_is_told() -> None:
    found = assembled(hashes("a", {"name": "b", "default": 7}), [[b"1", None], [b"1", b"2"]])

    assert found.groups[0].feeds["x"].tolist() == [[1.0, 7.0], [1.0, 2.0]]
    assert found.filled == {0: ["b"]}


def test_a_key_that_is_not_there_is_filled_when_every_field_has_a_default() -> None:
    compiled = hashes({"name": "a", "default": 1}, {"name": "b", "default": 2})

    found = assembled(compiled, [[None, None]])

    assert found.groups[0].feeds["x"].tolist() == [[1.0, 2.0]]
    assert found.filled == {0: ["a", "b"]}


def test_a_row_that_fails_says_nothing_of_what_was_filled() -> None:
    found = assembled(hashes({"name": "a", "default": 1}, "b"), [[None, b"x"]])

    assert (list(found.errors), found.filled) == ([0], {})


@pytest.mark.parametrize(
    ("missing", "row"),
    [
        (0, [0.0, 0.0]),
        (9.5, [9.5, 9.5]),
        (True, [1.0, 1.0]),
        ({"a": 3}, [3.0, 2.0]),
        ({"a": "4", "b": 5}, [4.0, 5.0]),
    ],
)
def test_what_a_request_says_of_missing_values_goes_before_the_default(
    missing: Any, row: list[float]
) -> None:
    assert only(hashes("a", {"name": "b", "default": 2}), [None, None], missing).tolist() == row


def test_a_missing_value_for_another_field_helps_nobody() -> None:
    assert isinstance(only(hashes("a", "b"), [b"1", None], {"a": 1}), FieldMissing)


@pytest.mark.parametrize("missing", [float("nan"), float("inf"), 1e39, {"b": "abc"}, {"b": float("nan")}])
def test_a_stand_in_that_is_no_number_is_named_as_one(missing: Any) -> None:
    error = only(hashes("a", "b"), [b"1", None], missing)

    assert isinstance(error, NotANumber)
    assert str(error).startswith("the stand-in for field 'b' of key 'p:0' holds ")


@pytest.mark.parametrize(("missing", "number"), [("FR", 1.0), (2, 2.0), (0.0, 0.0)])
def test_a_stand_in_for_a_category_is_its_text_or_its_number(missing: Any, number: float) -> None:
    assert only(hashes("a", COUNTRY), [b"1", None], {"country": missing})[1] == number


@pytest.mark.parametrize(
    ("missing", "fault"),
    [("XX", UnknownCategory), (3, UnknownCategory), (-1, UnknownCategory), (0.5, NotANumber)],
)
def test_a_stand_in_that_is_no_category_is_refused(missing: Any, fault: type[FeatureError]) -> None:
    assert isinstance(only(hashes("a", COUNTRY), [b"1", None], {"country": missing}), fault)


def test_the_default_of_a_category_is_its_text() -> None:
    assert only(hashes({**COUNTRY, "default": "FR"}), [None]).tolist() == [1.0]


@pytest.mark.parametrize(
    "written",
    [
        str(NOW - 59).encode(),
        str(NOW).encode(),
        str(NOW + 299).encode(),
        datetime.fromtimestamp(NOW - 59, UTC).isoformat().encode(),
        datetime.fromtimestamp(NOW - 59, UTC).replace(tzinfo=None).isoformat().encode(),
    ],
)
def test_a_row_that_is_fresh_is_taken(written: bytes) -> None:
    assert only(hashes("a", **AGED), [b"1", written]).tolist() == [1.0]


def test_a_time_in_milliseconds_is_read_as_such() -> None:
    fresh = only(hashes("a", **AGED, time_unit="ms"), [b"1", str((NOW - 59) * 1000).encode()])
    stale = only(hashes("a", **AGED, time_unit="ms"), [b"1", str((NOW - 61) * 1000).encode()])

    assert fresh.tolist() == [1.0]
    assert isinstance(stale, Stale)


@pytest.mark.parametrize("written", [str(NOW - 61).encode(), b"0", b"2001-01-01", b"-1e300"])
def test_a_row_that_is_older_than_the_view_allows_is_refused(written: bytes) -> None:
    error = only(hashes("a", **AGED), [b"1", written])

    assert isinstance(error, Stale)
    assert "s ago, the view allows 60 s" in str(error)
    json.dumps(error.details, allow_nan=False)


@pytest.mark.parametrize("written", [str(NOW + 301).encode(), str(NOW * 1000).encode(), b"9999-01-01"])
def test_a_time_far_in_the_future_is_refused_not_taken_as_fresh(written: bytes) -> None:
    error = only(hashes("a", **AGED), [b"1", written])

    assert isinstance(error, Stale)
    assert "s in the future; check `time_unit` and the clocks" in str(error)


@pytest.mark.parametrize("written", [b"nan", b"inf", b"soon", b"", b"\xff"])
def test_what_is_no_time_is_named_with_its_field(written: bytes) -> None:
    error = only(hashes("a", **AGED), [b"1", written])

    assert isinstance(error, NotANumber)
    assert "field 'at' of key 'p:0' holds " in str(error)


def test_a_row_without_its_time_is_refused() -> None:
    error = only(hashes({"name": "a", "default": 1}, **AGED), [b"1", None])

    assert isinstance(error, FieldMissing)
    assert error.details["field"] == "at"


def test_a_key_that_is_not_there_has_no_age() -> None:
    assert only(hashes({"name": "a", "default": 1}, **AGED), [None, None]).tolist() == [1.0]
    assert isinstance(only(hashes("a", **AGED), [None, None]), KeyMissing)


def test_a_bad_row_among_many_fails_alone() -> None:
    replies: list[Any] = [
        [b"1", b"2"],
        [b"x", b"2"],
        [None, None],
        ResponseError("WRONGTYPE ..."),
        [b"3", b"4"],
    ]

    found = assembled(hashes("a", "b"), replies)

    assert [group.rows for group in found.groups] == [[0, 4]]
    assert found.groups[0].feeds["x"].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert {row: type(error) for row, error in found.errors.items()} == {
        1: NotANumber,
        2: KeyMissing,
        3: WrongType,
    }


@pytest.mark.parametrize(("make", "command"), [(hashes, "HMGET"), (documents, "JSON.GET")])
@pytest.mark.parametrize(
    ("refusal", "fault", "text"),
    [
        ("WRONGTYPE Operation against a key", WrongType, "is not of the type this model reads"),
        ("Existing key has wrong Redis type", WrongType, "is not of the type this model reads"),
        ("unknown command 'X', with args", SourceUnsupported, "this Redis does not have {command}"),
        ("ERR unknown command 'X'", SourceUnsupported, "this Redis does not have {command}"),
        ("NOPERM this user has no permissions", FeatureError, "cannot be read: NOPERM this user"),
    ],
)
def test_a_refusal_of_redis_is_told_for_what_it_is(
    make: Any, command: str, refusal: str, fault: type[FeatureError], text: str
) -> None:
    error = only(make("a"), ResponseError(refusal))

    assert type(error) is fault
    assert text.format(command=command) in str(error)


@pytest.mark.parametrize(
    "reply", [None, b"1", "1", 1, 1.5, True, {}, {"a": 1}, (b"1",), [], [b"1", b"2"], object()]
)
def test_a_reply_that_is_no_hash_of_the_fields_is_another_type(reply: object) -> None:
    assert isinstance(only(hashes("a"), reply), WrongType)


def test_a_json_document_is_asked_for_each_path_once() -> None:
    compiled = documents("age", {"name": "city", "path": "$.address.city"}, {"name": "same", "path": "$.age"}, "a b",
                         **AGED)  # fmt: skip

    assert compiled.prepare([{"id": 7}]).commands == [
        ("JSON.GET", "d:7", "$.age", "$.address.city", '$["a b"]', "$.at")
    ]


def reply(**matches: Any) -> bytes:
    return json.dumps({f"$.{name}": found for name, found in matches.items()}).encode()


def test_a_json_document_becomes_a_row() -> None:
    found = assembled(documents("a", "b"), [reply(a=[1], b=[2.5]), reply(a=["3"], b=[True])])

    assert found.groups[0].feeds["x"].tolist() == [[1.0, 2.5], [3.0, 1.0]]


def test_a_single_path_comes_back_as_a_list() -> None:
    assert only(documents("a"), b"[7]").tolist() == [7.0]
    assert only(documents({"name": "a", "path": "$.x"}, {"name": "b", "path": "$.x"}), b"[7]").tolist() == [
        7.0,
        7.0,
    ]
    assert isinstance(only(documents("a"), b"[]"), KeyMissing)


def test_of_several_matches_the_first_counts() -> None:
    assert only(documents({"name": "a", "path": "$..a"}), b"[7, 8]").tolist() == [7.0]


def test_a_document_that_is_not_there_is_missing() -> None:
    assert isinstance(only(documents("a", "b"), None), KeyMissing)


@pytest.mark.parametrize("absent", [[], [None]])
def test_an_absent_path_and_null_are_missing_fields(absent: list[Any]) -> None:
    error = only(documents("a", "b"), reply(a=[1], b=absent))

    assert isinstance(error, FieldMissing)
    assert error.details["field"] == "b"


def test_null_is_filled_like_an_absent_path() -> None:
    found = assembled(documents("a", {"name": "b", "default": 4}), [reply(a=[1], b=[None])])

    assert found.groups[0].feeds["x"].tolist() == [[1.0, 4.0]]
    assert found.filled == {0: ["b"]}


@pytest.mark.parametrize("value", [[1, 2], {"x": 1}, "abc", [], "1_0", 1e39])
def test_json_that_is_no_number_is_named(value: Any) -> None:
    error = only(documents("a", "b"), reply(a=[1], b=[value]))

    assert isinstance(error, NotANumber)
    assert str(error).startswith("field 'b' of key 'd:0' holds ")


def test_json_numbers_keep_all_digits_of_an_integer() -> None:
    row = only(documents("a", dtype="int64"), b"[9007199254740993]")

    assert row.tolist() == [9007199254740993]


@pytest.mark.parametrize(("value", "number"), [("DE", 0), ("XX", 2), (True, 2), (7, 2), ([1], 2)])
def test_a_category_in_json_is_read_by_its_text(value: Any, number: int) -> None:
    assert only(documents("a", FALLIBLE), reply(a=[1], country=[value])).tolist() == [1.0, number]


def test_json_text_values_are_written_as_json_writes_them() -> None:
    row = only(documents("a", "b", "c", dtype="string"), reply(a=[True], b=["ü"], c=[1.5]))

    assert row.tolist() == ["true", "ü", "1.5"]


def test_a_document_is_refused_when_it_is_too_old() -> None:
    compiled = documents("a", **AGED)

    assert only(compiled, reply(a=[1], at=[NOW - 59])).tolist() == [1.0]
    assert isinstance(only(compiled, reply(a=[1], at=[NOW - 61])), Stale)
    assert isinstance(only(compiled, reply(a=[1], at=[])), FieldMissing)
    assert isinstance(only(compiled, reply(a=[1], at=[True])), NotANumber | Stale)
    assert isinstance(only(compiled, None), KeyMissing)


def test_the_time_of_a_document_may_be_a_path() -> None:
    compiled = documents("a", time_field="$.meta.at", max_age_seconds=60)

    assert compiled.prepare([{"id": 1}]).commands == [("JSON.GET", "d:1", "$.a", "$.meta.at")]


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe\x00", b"nonsense", b"[" * 100_000, b"[" + b"1" * 5000 + b"]"],
                         ids=["empty", "cut", "bytes", "words", "deep", "digits"])  # fmt: skip
def test_json_that_python_cannot_read_is_that_rows_error(text: bytes) -> None:
    error = only(documents("a"), text)

    assert isinstance(error, FeatureError)
    assert "key 'd:0' holds JSON that cannot be read" in str(error)


@pytest.mark.parametrize("reply", [1, 1.5, True, [], {}, [b"1"], b"7", b'"x"', b"null", b"true", object()])
def test_a_reply_that_is_no_document_is_another_type(reply: object) -> None:
    assert isinstance(only(documents("a"), reply), WrongType)


def test_a_bad_document_among_many_fails_alone() -> None:
    replies: list[Any] = [
        reply(a=[1], b=[2]),
        b"{",
        reply(a=[3], b=[4]),
        None,
        "text",
        ResponseError("WRONGTYPE"),
    ]

    found = assembled(documents("a", "b"), replies)

    assert [group.rows for group in found.groups] == [[0, 2]]
    assert sorted(found.errors) == [1, 3, 4, 5]


CELLS = (
    st.none()
    | st.sampled_from(
        [b"1", b"2.5", b"-3", b"DE", b"XX", b"1_0", b"nan", b"3.4028235e+38", b"1e39", b"true", b" 7 "]
    )
    | st.floats(width=32).map(lambda value: repr(value).encode())
    | st.integers(-300, 300).map(lambda value: str(value).encode())
    | st.binary(max_size=4)
)


@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS).map(list), min_size=1, max_size=6),
    dtype=st.sampled_from(DTYPES),
    missing=st.none() | st.just(1),
    category=st.sampled_from([{}, COUNTRY, FALLIBLE]),
)
def test_rows_read_together_and_alone_are_the_same(
    rows: list[list[bytes | None]], dtype: str, missing: float | None, category: dict[str, Any]
) -> None:
    third: Any = category if category and dtype not in ("string", "bool") else "c"
    compiled = hashes("a", {"name": "b", "default": 1}, third, dtype=dtype)

    together = assembled(compiled, rows, missing)
    alone = [assembled(compiled, [row], missing) for row in rows]

    good = [at for at, found in enumerate(alone) if not found.errors]
    assert sorted(together.errors) == [at for at in range(len(rows)) if at not in good]
    assert [row for group in together.groups for row in group.rows] == good
    for error_row, error in together.errors.items():
        assert str(error).replace(f"'p:{error_row}'", "'p:0'") == str(alone[error_row].errors[0])
    if good:
        apart = np.concatenate([alone[at].groups[0].feeds["x"] for at in good])
        np.testing.assert_array_equal(together.groups[0].feeds["x"], apart)
