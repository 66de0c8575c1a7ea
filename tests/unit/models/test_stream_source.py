"""The last entries of a stream become a sequence, or errors that name the entry and what is wrong with it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from models.assembly import Plan
from models.errors import (
    BadFeatureView,
    FeatureError,
    KeyMissing,
    NotANumber,
    SourceUnsupported,
    UnknownCategory,
    WrongType,
)
from models.features import FeatureView
from models.stream_errors import EntryFieldMissing, IdWithoutTime, SequenceStale
from models.stream_source import id_seconds
from tests.unit.models.views import NOW, assembled, plan, view

TEMP = {"name": "temp"}
MODE = {"name": "mode", "categories": ["idle", "run"]}


def streams(*fields: Any, to: str = "float32", lengths: str | None = None, **facts: Any) -> Plan:
    source = {"key": "s:{id}", "as": "stream", "fields": list(fields), "last": 3, **facts}
    return plan(source, dtype=to, **({"lengths": lengths} if lengths else {}))


def entry(number: int, *pairs: bytes) -> list[Any]:
    return [b"%d-0" % number, list(pairs)]


def only(compiled: Plan, reply: Any, missing: Any = None) -> Any:
    """The tensor of a single row, or its error."""
    found = assembled(compiled, [reply], missing)
    return found.errors[0] if found.errors else found.groups[0].feeds["x"][0]


def test_a_stream_is_asked_for_its_last_entries() -> None:
    assert streams("a", last=24).prepare([{"id": 7}]).commands == [
        ("XREVRANGE", "s:7", "+", "-", "COUNT", 24)
    ]


def test_entries_come_oldest_first_with_their_fields_in_the_order_of_the_view() -> None:
    newest_first = [
        entry(2, b"load", b"4", b"temp", b"3"),
        entry(1, b"temp", b"1", b"x", b"?", b"load", b"2"),
    ]

    assert only(streams("temp", "load"), newest_first).tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_entries_of_a_cluster_s_client_and_of_a_connection_say_the_same() -> None:
    twice = entry(1, b"temp", b"1", b"temp", b"2")

    assert only(streams("temp"), [twice]).tolist() == [[2.0]]
    assert only(streams("temp"), [(b"1-0", {b"temp": b"2"})]).tolist() == [[2.0]]


def test_a_reply_stays_as_it_was() -> None:
    reply = [entry(2, b"temp", b"2"), entry(1, b"temp", b"1")]

    assert only(streams("temp"), reply).tolist() == only(streams("temp"), reply).tolist()


@pytest.mark.parametrize(
    ("pad", "expected"),
    [
        ("none", [[1.0], [2.0]]),
        ("left", [[-1.0], [1.0], [2.0]]),
        ("right", [[1.0], [2.0], [-1.0]]),
    ],
)
def test_padding_fills_up_to_the_number_of_steps(pad: str, expected: list[list[float]]) -> None:
    compiled = streams("temp", pad=pad, pad_value=-1)

    assert only(compiled, [entry(2, b"temp", b"2"), entry(1, b"temp", b"1")]).tolist() == expected


def test_rows_of_different_lengths_share_a_batch_where_the_graph_takes_the_lengths() -> None:
    replies = [[entry(1, b"temp", b"5")], [entry(2, b"temp", b"2"), entry(1, b"temp", b"1")]]

    (group,) = assembled(streams("temp", lengths="n"), replies).groups

    assert group.feeds["x"].tolist() == [[[5.0], [0.0]], [[1.0], [2.0]]]
    assert group.feeds["n"].tolist() == [1, 2]


def test_rows_of_different_lengths_are_groups_of_their_own_without_lengths() -> None:
    replies = [[entry(1, b"temp", b"5")], [entry(2, b"temp", b"2"), entry(1, b"temp", b"1")]]

    assert [group.rows for group in assembled(streams("temp"), replies).groups] == [[0], [1]]


@pytest.mark.parametrize(
    ("to", "text", "value"),
    [("int64", b"9007199254740993", 2**53 + 1), ("bool", b"true", True), ("float64", b"1e300", 1e300)],
)
def test_values_are_read_as_the_input_s_own_type(to: str, text: bytes, value: object) -> None:
    assert only(streams("temp", to=to), [entry(1, b"temp", text)]).tolist() == [[value]]


def test_a_category_is_its_number() -> None:
    read = only(streams("temp", MODE), [entry(1, b"temp", b"1", b"mode", b"run")])

    assert read.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(
    ("field", "missing", "value"),
    [
        ({"name": "load", "default": 0.25}, None, 0.25),
        ({"name": "load", "default": "0.25"}, None, 0.25),
        ({"name": "load", "default": 1}, {"load": 2}, 2.0),
        ("load", 7, 7.0),
        ({**MODE, "name": "load", "default": "run"}, None, 1.0),
        ({**MODE, "name": "load"}, {"load": 1}, 1.0),
    ],
)
def test_what_an_entry_lacks_is_filled_in_and_told_once(field: Any, missing: Any, value: float) -> None:
    reply = [entry(at, b"temp", b"1") for at in (3, 2, 1)]

    found = assembled(streams("temp", field), [reply], missing)

    assert found.groups[0].feeds["x"][0].tolist() == [[1.0, value]] * 3
    assert found.filled == {0: ["load"]}


def test_a_stand_in_keeps_what_other_entries_say() -> None:
    reply = [entry(2, b"load", b"5", b"temp", b"2"), entry(1, b"temp", b"1")]

    assert only(streams("temp", {"name": "load", "default": 0}), reply).tolist() == [[1.0, 0.0], [2.0, 5.0]]


def test_a_field_that_an_entry_lacks_is_named_with_the_oldest_such_entry() -> None:
    error = only(streams("temp", "load"), [entry(2, b"temp", b"1"), entry(1, b"temp", b"1")])

    assert isinstance(error, EntryFieldMissing)
    assert error.code == "field_missing"
    assert error.details == {"key": "s:0", "entry": "1-0", "field": "load"}
    assert str(error) == (
        "entry 1-0 of key 's:0' has no field 'load'; give the field a default, or ask with `missing`"
    )


@pytest.mark.parametrize("word", [b"x", b"", b"1_0", b"nan", b"1e39", b"\xff", b"0x1"])
def test_a_text_that_is_no_number_is_named_with_its_entry(word: bytes) -> None:
    error = only(streams("temp"), [entry(2, b"temp", word), entry(1, b"temp", b"1")])

    assert isinstance(error, NotANumber)
    assert str(error).startswith("field 'temp' of entry 2-0 of key 's:0' holds ")


def test_a_text_that_is_no_category_is_named_with_its_entry() -> None:
    error = only(streams(MODE), [entry(1, b"mode", b"off")])

    assert isinstance(error, UnknownCategory)
    assert str(error).startswith("field 'mode' of entry 1-0 of key 's:0' holds 'off'")


def test_a_stand_in_that_is_no_number_is_named() -> None:
    error = only(streams("temp"), [entry(1, b"x", b"1")], {"temp": "warm"})

    assert str(error).startswith("the stand-in for field 'temp' of key 's:0' holds 'warm'")


def test_a_stream_without_entries_is_a_missing_key() -> None:
    error = only(streams("temp"), [])

    assert isinstance(error, KeyMissing)
    assert str(error).startswith("key 's:0' is not in Redis; write it")


def test_a_default_is_one_step_and_is_padded_like_any() -> None:
    found = assembled(streams("temp", "load", default=7, pad="left"), [[]])

    assert found.groups[0].feeds["x"][0].tolist() == [[0.0, 0.0], [0.0, 0.0], [7.0, 7.0]]
    assert found.filled == {0: ["s:{id}"]}


def test_a_request_fills_a_stream_by_its_key_template() -> None:
    assert only(streams("temp", MODE, default=0), [], {"s:{id}": 1}).tolist() == [[1.0, 1.0]]
    assert "the stand-in for key 's:0' holds '5" in str(only(streams(MODE), [], {"s:{id}": 5}))


def test_a_request_may_name_the_stream_and_its_fields() -> None:
    assert streams("temp", MODE).fillable == ("s:{id}", "temp", "mode")


@pytest.mark.parametrize(
    ("refusal", "fault"),
    [("WRONGTYPE Operation", WrongType), ("unknown command", SourceUnsupported), ("NOPERM x", FeatureError)],
)
def test_a_refusal_of_redis_is_told_for_what_it_is(refusal: str, fault: type[FeatureError]) -> None:
    assert type(only(streams("temp"), ResponseError(refusal))) is fault


@pytest.mark.parametrize(
    "reply",
    [
        None, "text", b"bytes", 1, {}, (entry(1, b"temp", b"1"),), [None], [b"1-0"], [[b"1-0"]], [["1-0", []]],
        [[b"1-0", None]], [[b"1-0", [b"temp"]]], [[None, [b"temp", b"1"]]], [[b"\xff-0", [b"temp", b"1"]]],
        [entry(at, b"temp", b"1") for at in (4, 3, 2, 1)],
    ],
)  # fmt: skip
def test_a_reply_that_is_no_list_of_entries_is_another_type(reply: object) -> None:
    assert isinstance(only(streams("temp"), reply), WrongType)


def at_age(seconds: float) -> list[list[Any]]:
    newest = int((NOW - seconds) * 1000)
    return [entry(newest, b"temp", b"2"), entry(newest - 900_000, b"temp", b"1")]


@pytest.mark.parametrize("seconds", [-299, 0, 60])
def test_a_sequence_is_as_old_as_its_newest_entry(seconds: float) -> None:
    found = assembled(streams("temp", max_age_seconds=60), [at_age(seconds)])

    assert found.groups[0].feeds["x"][0].tolist() == [[1.0], [2.0]]
    assert found.ages == [seconds]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (61, "1699999939000-0, was added 61.0 s ago, the view allows 60 s; add a new one"),
        (-301, "1700000301000-0, says it was added 301.0 s in the future; check the clocks, and that ids are in ms"),
    ],
)  # fmt: skip
def test_a_sequence_whose_newest_entry_is_too_old_or_of_the_future_is_refused(
    seconds: int, told: str
) -> None:
    error = only(streams("temp", max_age_seconds=60), at_age(seconds))

    assert isinstance(error, SequenceStale)
    assert error.code == "stale"
    assert str(error) == f"key 's:0': its newest entry, {told}"


@pytest.mark.parametrize("newest", [b"1-1", b"0-7", b"1700000000-0"])
def test_an_id_that_is_no_time_is_refused_where_age_counts_and_nowhere_else(newest: bytes) -> None:
    reply = [[newest, [b"temp", b"1"]]]

    error = only(streams("temp", max_age_seconds=60), reply)

    assert isinstance(error, IdWithoutTime)
    assert f"the id of its newest entry, {newest.decode()}, is no time in milliseconds" in str(error)
    assert only(streams("temp"), reply).tolist() == [[1.0]]


def test_an_id_is_a_time_in_milliseconds() -> None:
    assert id_seconds("1700000000500-3") == 1_700_000_000.5
    assert id_seconds("1700000000-0") is None


def test_a_stream_says_when_features_were_written() -> None:
    source = {"key": "s:{id}", "as": "stream", "fields": ["temp"], "last": 3}

    assert view(source).timed == view(source).keyed[0]


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        ({"fields": []}, "fields: the list should have at least 1 item"),
        ({"fields": ["a", "a"]}, "field 'a' is listed twice"),
        ({"last": 0}, "last: should be greater than or equal to 1"),
        ({"last": 65_537}, "last: should be less than or equal to 65536"),
        ({"fields": [f"f{at}" for at in range(1025)], "last": 65_536}, "last times fields is over 67108864"),
        ({"max_age_seconds": 0}, "max_age_seconds: should be greater than 0"),
        ({"time_field": "at"}, "the time of a stream is in its ids; leave time_field and time_unit out"),
        ({"pad": "middle"}, "pad: should be 'none', 'left' or 'right'"),
        ({"shape": [2]}, "shape: is not known here"),
        ({"lasts": 2}, "lasts: is not known here; did you mean 'last'?"),
    ],
)
def test_a_source_that_is_wrong_is_refused_at_its_place(facts: dict[str, Any], fault: str) -> None:
    source = {"key": "s:{id}", "as": "stream", "fields": ["a"], "last": 3, **facts}

    with pytest.raises(BadFeatureView) as caught:
        FeatureView.read({"inputs": [{"name": "x", "sources": [source]}]})

    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "to", "facts", "fault"),
    [
        (["a"], "string", {}, "takes text; a vector, list or stream gives numbers"),
        (["a"], "int64", {"default": 0.5}, "default of key 's:{id}' is '0.5', which is no int64 number"),
        (["a"], "int64", {"pad": "left", "pad_value": 0.5}, "pad_value of key 's:{id}' is '0.5'"),
        ([{"name": "a", "default": "x"}], "float32", {}, "default of field 'a' is 'x'"),
        (["a", MODE], "float32", {"default": 2}, "is 2, which is the number of no category of field 'mode'; its"),
        ([MODE], "float32", {"default": 0.5}, "is 0.5, which is the number of no category of field 'mode'"),
    ],
)  # fmt: skip
def test_what_the_input_does_not_take_is_refused_before_anything_is_read(
    fields: list[Any], to: str, facts: dict[str, Any], fault: str
) -> None:
    with pytest.raises(BadFeatureView) as caught:
        streams(*fields, to=to, **facts)

    assert fault in str(caught.value)


def test_what_is_stored_of_a_view_with_a_stream_reads_back() -> None:
    source = {"key": "s:{id}", "as": "stream", "fields": ["temp", MODE], "last": 3, "max_age_seconds": 60}
    made = view(source, lengths="n")

    assert FeatureView.model_validate_json(made.model_dump_json(by_alias=True)) == made


@given(
    steps=st.lists(
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=2),
        min_size=1,
        max_size=5,
    )
)
def test_numbers_come_back_as_they_were_added(steps: list[list[float]]) -> None:
    reply = [
        entry(at, b"a", repr(one[0]).encode(), b"b", repr(one[1]).encode()) for at, one in enumerate(steps, 1)
    ][::-1]

    np.testing.assert_array_equal(only(streams("a", "b", last=5), reply), np.array(steps, np.float32))
