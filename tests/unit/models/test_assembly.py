"""A plan turns rows into commands and replies into tensors; every row is in one group or has an error."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from models.assembly import Plan
from models.errors import (
    BadFeatureView,
    BadRequest,
    FeatureError,
    InstanceIncomplete,
    KeyMissing,
    KeyNotAllowed,
    KeysNotEnough,
    NotANumber,
    RedisUnavailable,
    WrongLength,
)
from models.features import FeatureView
from tests.unit.models.views import NOW, assembled, plan

HASH = {"key": "p:{id}", "as": "hash", "fields": ["a", "b"]}
VECTOR = {"key": "v:{id}", "as": "vector", "shape": [2]}
STEPS = {"key": "u:{id}", "as": "list", "shape": [1], "last": 4}
INLINE = {"inline": True, "fields": ["hour"]}


def raw(*numbers: float) -> bytes:
    return np.array(numbers, "<f4").tobytes()


def two_inputs(first: dict[str, Any], second: dict[str, Any]) -> Plan:
    return Plan(FeatureView.read({"inputs": [{"name": "x", **first}, {"name": "y", **second}]}))


def test_the_keys_of_a_request_fill_every_source() -> None:
    compiled = plan(HASH, VECTOR)

    prepared = compiled.prepare_keys(["p:17", "p:18"])

    assert prepared.keys == [["p:17", "v:17"], ["p:18", "v:18"]]
    assert prepared.commands == [
        ("HMGET", "p:17", "a", "b"),
        ("GET", "v:17"),
        ("HMGET", "p:18", "a", "b"),
        ("GET", "v:18"),
    ]


@pytest.mark.parametrize("key", ["v:17", "p:", "p:1:2", "", "other", "p:\ud800", None, 17, b"p:17", ["p:17"]])
def test_any_other_key_is_that_rows_error(key: Any) -> None:
    prepared = plan(HASH, VECTOR).prepare_keys(["p:1", key, "p:2"])

    assert isinstance(prepared.errors[1], KeyNotAllowed)
    assert prepared.live == [0, 2]
    assert len(prepared.commands) == 4


@pytest.mark.parametrize(
    ("sources", "needed"),
    [
        ([HASH, INLINE], ["hour"]),
        ([HASH, {**VECTOR, "key": "v:{customer}"}], ["customer"]),
        ([HASH, {**VECTOR, "key": "v:{customer}"}, INLINE], ["customer", "hour"]),
    ],
)
def test_a_key_is_not_enough_where_the_request_must_say_more(sources: list[Any], needed: list[str]) -> None:
    prepared = plan(*sources).prepare_keys(["p:1"])

    error = prepared.errors[0]
    assert isinstance(error, KeysNotEnough)
    assert error.details == {"needed": needed}


def test_a_key_is_enough_when_what_the_request_says_has_a_default() -> None:
    compiled = plan(HASH, {"inline": True, "fields": [{"name": "hour", "default": 12}]})
    prepared = compiled.prepare_keys(["p:1"])

    found = compiled.assemble(prepared, [[b"1", b"2"]])

    assert found.groups[0].feeds["x"].tolist() == [[1.0, 2.0, 12.0]]
    assert found.filled == {0: ["hour"]}


def test_a_view_without_keys_takes_no_keys() -> None:
    compiled = plan(INLINE)

    with pytest.raises(BadFeatureView, match="reads no key; ask with `instances`"):
        compiled.prepare_keys(["p:1"])
    with pytest.raises(BadFeatureView, match="reads no key"):
        _ = compiled.template


@pytest.mark.parametrize(
    "instance", [{}, {"id": None}, {"id": "a:b"}, {"ID": "1"}, None, 5, "p:1", ["id"], [("id", 1)]]
)
def test_an_instance_that_gives_no_key_is_that_rows_error(instance: Any) -> None:
    prepared = plan(HASH).prepare([{"id": 1}, instance])

    assert isinstance(prepared.errors[1], InstanceIncomplete)
    assert prepared.live == [0]


def test_a_plan_tells_what_a_request_can_say() -> None:
    compiled = plan(HASH, {**VECTOR, "key": "{id}:{day}"}, INLINE)

    assert compiled.template.text == "p:{id}"
    assert compiled.placeholders == ("id", "day")
    assert [field.name for field in compiled.inline] == ["hour"]


@pytest.mark.parametrize("missing", [None, 0, 1.5, {}, {"a": 1}, {"v:{id}": 1, "u:{id}": 2, "hour": 3}])
def test_a_stand_in_may_be_given_for_whatever_the_view_reads(missing: Any) -> None:
    compiled = two_inputs({"sources": [HASH, VECTOR, INLINE]}, {"sources": [STEPS]})

    compiled.check_missing(missing)

    assert compiled.fillable == ("a", "b", "v:{id}", "hour", "u:{id}")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("hours", "did you mean 'hour'?"), ("id", "it reads a, b, hour"), ("\ud800", "it reads")],
)
def test_a_stand_in_for_what_the_view_does_not_read_is_refused(name: str, hint: str) -> None:
    with pytest.raises(BadRequest, match="which this model does not read; ") as caught:
        plan(HASH, INLINE).check_missing({"a": 1, name: 2})

    assert hint in str(caught.value)


def test_sources_are_joined_along_the_last_axis_in_order() -> None:
    found = assembled(plan(HASH, VECTOR, INLINE), [[b"1", b"2"], raw(3, 4)], None, [{"id": 1, "hour": 5}])

    assert found.groups[0].feeds["x"].tolist() == [[1.0, 2.0, 3.0, 4.0, 5.0]]


def test_whole_columns_are_joined_as_rows_are() -> None:
    compiled = plan(HASH, VECTOR)
    replies: list[Any] = [[b"1", b"2"], raw(3, 4), [b"5", b"6"], raw(7, 8)]

    together = assembled(compiled, replies).groups[0].feeds["x"]
    beside_a_bad_row = assembled(compiled, [*replies, [b"x", b"2"], raw(1, 2)]).groups[0].feeds["x"]

    assert together.tolist() == beside_a_bad_row.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_a_row_that_fails_in_one_source_is_out_of_all() -> None:
    replies: list[Any] = [
        [b"1", b"2"],
        raw(3, 4),
        [b"1", b"2"],
        None,
        [b"x", b"2"],
        None,
        [b"5", b"6"],
        raw(7, 8),
    ]

    found = assembled(plan(HASH, VECTOR), replies)

    assert [group.rows for group in found.groups] == [[0, 3]]
    assert {row: type(error) for row, error in found.errors.items()} == {1: KeyMissing, 2: NotANumber}


def test_a_row_that_fails_in_one_input_is_out_of_all() -> None:
    compiled = two_inputs({"sources": [HASH]}, {"sources": [VECTOR]})

    found = assembled(compiled, [[b"1", b"2"], None, [b"3", b"4"], raw(5, 6)])

    assert [group.rows for group in found.groups] == [[1]]
    assert found.groups[0].feeds["x"].tolist() == [[3.0, 4.0]]
    assert found.groups[0].feeds["y"].tolist() == [[5.0, 6.0]]
    assert list(found.errors) == [0]


def test_rows_that_were_never_read_keep_their_place() -> None:
    compiled = plan(HASH)
    prepared = compiled.prepare_keys(["bad", "p:1", "worse", "p:2"])

    found = compiled.assemble(prepared, [[b"1", b"2"], [None, b"2"]], {"a": 9})

    assert found.groups[0].rows == [1, 3]
    assert found.filled == {3: ["a"]}
    assert sorted(found.errors) == [0, 2]


@pytest.mark.parametrize("rows", [[], ["bad"], ["bad", "worse"]])
def test_no_row_that_can_be_read_is_no_group(rows: list[str]) -> None:
    compiled = plan(HASH, VECTOR)

    found = compiled.assemble(compiled.prepare_keys(rows), [])

    assert found.groups == []
    assert sorted(found.errors) == list(range(len(rows)))


def test_no_row_that_could_be_built_is_no_group() -> None:
    assert assembled(plan(HASH), [[None, None]]).groups == []


def test_the_shape_of_an_input_is_what_the_view_states() -> None:
    image = assembled(plan(VECTOR, VECTOR | {"key": "w:{id}"}, shape=[2, 2]), [raw(1, 2), raw(3, 4)])
    scalar = assembled(plan({**HASH, "fields": ["a"]}, shape=[]), [[b"1"], [b"2"]])
    by_row = assembled(plan({**HASH, "fields": ["a"]}, shape=[]), [[b"1"], [b"x"], [b"2"]])

    assert image.groups[0].feeds["x"].tolist() == [[[1.0, 2.0], [3.0, 4.0]]]
    assert scalar.groups[0].feeds["x"].tolist() == [1.0, 2.0]
    assert by_row.groups[0].feeds["x"].tolist() == [1.0, 2.0]


def test_rows_of_one_length_share_a_group() -> None:
    replies = [[raw(1)], [raw(1), raw(2)], [raw(3)], [raw(3), raw(4)], []]

    found = assembled(plan(STEPS), replies)

    assert [group.rows for group in found.groups] == [[0, 2], [1, 3]]
    assert found.groups[1].feeds["x"].tolist() == [[[1.0], [2.0]], [[3.0], [4.0]]]
    assert list(found.errors) == [4]


def test_rows_of_any_length_share_a_group_when_the_graph_takes_lengths() -> None:
    found = assembled(plan(STEPS, lengths="n"), [[raw(1)], [raw(1), raw(2)], [raw(3), raw(4), raw(5)]])

    (group,) = found.groups
    assert group.rows == [0, 1, 2]
    assert group.feeds["x"].tolist() == [[[1], [0], [0]], [[1], [2], [0]], [[3], [4], [5]]]
    assert group.feeds["n"].dtype == np.int64
    assert group.feeds["n"].tolist() == [1, 2, 3]


def test_two_sequences_of_one_input_are_joined_step_by_step() -> None:
    compiled = plan(STEPS, {**STEPS, "key": "w:{id}", "shape": [2]})

    found = assembled(compiled, [[raw(1), raw(2)], [raw(3, 4), raw(5, 6)], [raw(1)], [raw(3, 4), raw(5, 6)]])

    assert found.groups[0].feeds["x"].tolist() == [[[1.0, 3.0, 4.0], [2.0, 5.0, 6.0]]]
    assert isinstance(found.errors[1], WrongLength)
    assert (
        str(found.errors[1])
        == "key 'u:1, w:1' has 1 steps and 2 steps, the model wants sequences of one length"
    )


def test_two_inputs_of_free_length_are_grouped_by_both() -> None:
    compiled = two_inputs({"sources": [STEPS]}, {"sources": [{**STEPS, "key": "w:{id}"}]})
    one, two = [raw(1)], [raw(1), raw(2)]

    found = assembled(compiled, [one, one, one, two, one, one, two, two])

    assert [group.rows for group in found.groups] == [[0, 2], [1], [3]]


def test_an_input_with_lengths_beside_one_without_is_padded_in_each_group() -> None:
    compiled = two_inputs({"sources": [STEPS], "lengths": "n"}, {"sources": [{**STEPS, "key": "w:{id}"}]})
    one, two = [raw(1)], [raw(1), raw(2)]

    found = assembled(compiled, [one, one, two, one, two, two])

    assert [group.rows for group in found.groups] == [[0, 1], [2]]
    assert found.groups[0].feeds["n"].tolist() == [1, 2]
    assert found.groups[0].feeds["x"].shape == (2, 2, 1)


def test_another_number_of_replies_than_commands_is_a_fault_of_the_caller() -> None:
    compiled = plan(HASH)

    with pytest.raises(ValueError, match="1 replies to 2 commands"):
        compiled.assemble(compiled.prepare_keys(["p:1", "p:2"]), [[b"1", b"2"]])


def test_the_present_is_now_when_no_time_is_given() -> None:
    compiled = plan({**HASH, "time_field": "at", "max_age_seconds": 60})
    prepared = compiled.prepare_keys(["p:1"])

    found = compiled.assemble(prepared, [[b"1", b"2", str(NOW).encode()]])

    assert "was written" in str(found.errors[0])


@pytest.mark.parametrize(
    ("sources", "facts", "fault"),
    [
        ([HASH, {**VECTOR, "shape": [2, 2]}], {}, "cannot be joined along the last axis"),
        ([STEPS, VECTOR], {}, "cannot be joined along the last axis"),
        ([VECTOR], {"shape": [3]}, "has another number of elements"),
        ([VECTOR], {"dtype": "string"}, "takes text"),
        ([{**HASH, "fields": [{"name": "a", "default": "x"}]}], {}, "default of field 'a' is 'x'"),
        ([{**VECTOR, "default": 0.5}], {"dtype": "int8"}, "default of key 'v:{id}' is '0.5'"),
        (
            [{**STEPS, "pad": "left", "pad_value": 0.5}],
            {"dtype": "int8"},
            "pad_value of key 'u:{id}' is '0.5'",
        ),
    ],
)
def test_a_view_that_cannot_work_makes_no_plan(sources: list[Any], facts: dict[str, Any], fault: str) -> None:
    with pytest.raises(BadFeatureView, match=fault.replace("{", r"\{").replace("}", r"\}")):
        plan(*sources, **facts)


ANY_REPLY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats()
    | st.text(st.characters(), max_size=5)
    | st.binary(max_size=9)
    | st.sampled_from([raw(1, 2), raw(1), b"1", b"[1]", b'{"$.a": [1], "$.b": [2]}', b"1700000000"])
    | st.just(ResponseError("WRONGTYPE x"))
    | st.just(ConnectionResetError("gone")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=6,
)
SOURCES: list[dict[str, Any]] = [
    HASH,
    {**HASH, "time_field": "at", "max_age_seconds": 60},
    {
        **HASH,
        "fields": [{"name": "a", "categories": ["1", "2"], "unknown": "2"}, {"name": "b", "default": 1}],
    },
    {**HASH, "as": "json"},
    {**HASH, "as": "json", "fields": ["a"], "time_field": "at", "max_age_seconds": 60},
    VECTOR,
    {**VECTOR, "dtype": "bool", "shape": [9], "default": 1},
    STEPS,
    {**STEPS, "encoding": "text", "pad": "right"},
]


@given(
    source=st.sampled_from(SOURCES),
    replies=st.lists(ANY_REPLY, max_size=5),
    dtype=st.sampled_from(["bool", "int8", "uint64", "float16", "float32"]),
    missing=st.none()
    | st.just(1)
    | st.dictionaries(st.sampled_from(["a", "b", "v:{id}"]), st.floats() | st.text()),
    lengths=st.booleans(),
)
def test_whatever_redis_says_each_row_is_in_one_group_or_has_an_error(
    source: dict[str, Any], replies: list[Any], dtype: str, missing: Any, lengths: bool
) -> None:
    free = source["as"] == "list" and "pad" not in source
    compiled = plan(source, dtype=dtype, lengths="n" if lengths and free else None)

    found = assembled(compiled, replies, missing)

    grouped = [row for group in found.groups for row in group.rows]
    assert sorted([*grouped, *found.errors]) == list(range(len(replies)))
    assert all(isinstance(error, FeatureError) for error in found.errors.values())
    assert set(found.filled) <= set(grouped)
    for group in found.groups:
        assert all(len(feed) == len(group.rows) for feed in group.feeds.values())
        assert group.feeds["x"].dtype == np.dtype(dtype)
        assert np.isfinite(group.feeds["x"]).all()


REGULAR: dict[str, st.SearchStrategy[Any]] = {
    "hash": st.lists(st.integers(-999, 999).map(lambda value: b"%d" % value), min_size=2, max_size=2),
    "json": st.lists(st.integers(-999, 999), min_size=2, max_size=2).map(
        lambda pair: b'{"$.a": [%d], "$.b": [%d]}' % tuple(pair)
    ),
    "vector": st.lists(st.integers(-999, 999), min_size=2, max_size=2).map(lambda pair: raw(*pair)),
}
JSON = {"key": "d:{id}", "as": "json", "fields": ["a", "b"]}
COLUMNAR: list[list[dict[str, Any]]] = [
    [{"sources": [HASH]}],
    [{"sources": [VECTOR], "shape": [1, 2]}],
    [{"sources": [JSON], "dtype": "int32"}],
    [{"sources": [HASH, VECTOR]}],
    [{"sources": [VECTOR, JSON, HASH], "shape": [3, 2]}],
    [{"sources": [HASH]}, {"sources": [VECTOR], "dtype": "float64"}],
]


@given(inputs=st.sampled_from(COLUMNAR), rows=st.integers(1, 6), data=st.data())
def test_rows_of_many_requests_read_at_once_are_what_one_request_gives(
    inputs: list[dict[str, Any]], rows: int, data: st.DataObject
) -> None:
    named = [{"name": f"x{at}", **one} for at, one in enumerate(inputs)]
    compiled = Plan(FeatureView.read({"inputs": named}))
    kinds = [source["as"] for one in inputs for source in one["sources"]]
    replies = [data.draw(REGULAR[kind]) for _ in range(rows) for kind in kinds]

    together = compiled.columns(replies)
    (group,) = assembled(compiled, replies).groups

    assert compiled.columnar
    assert together is not None
    assert list(together) == list(group.feeds)
    for name, tensor in together.items():
        assert tensor.dtype == group.feeds[name].dtype
        np.testing.assert_array_equal(tensor, group.feeds[name])


@pytest.mark.parametrize("inputs", COLUMNAR[:5])
@pytest.mark.parametrize("odd", [None, ResponseError("WRONGTYPE x"), b"", [], [None, b"1"], 7])
def test_an_irregular_reply_keeps_rows_from_being_read_at_once(
    inputs: list[dict[str, Any]], odd: Any
) -> None:
    compiled = Plan(FeatureView.read({"inputs": [{"name": "x", **inputs[0]}]}))
    regular = {"hash": [b"1", b"2"], "json": b'{"$.a": [1], "$.b": [2]}', "vector": raw(1, 2)}
    replies: list[Any] = [regular[source["as"]] for source in inputs[0]["sources"]] * 2
    replies[-1] = odd

    assert compiled.columns(replies) is None


@pytest.mark.parametrize(
    ("source", "reply"),
    [
        (INLINE, b""),
        (STEPS, [raw(1)]),
        ({**STEPS, "pad": "left"}, [raw(1)] * 4),
        ({**HASH, "time_field": "at", "max_age_seconds": 60}, [b"1", b"2", b"1700000000"]),
        (
            {**JSON, "time_field": "at", "max_age_seconds": 60},
            b'{"$.a": [1], "$.b": [2], "$.at": [1700000000]}',
        ),
    ],
)
def test_what_has_to_be_looked_at_row_by_row_is_never_read_at_once(
    source: dict[str, Any], reply: Any
) -> None:
    compiled = plan(source)

    assert not compiled.columnar
    assert compiled.columns([reply]) is None


@pytest.mark.parametrize("source", [HASH, VECTOR, STEPS, JSON])
def test_what_kept_a_key_from_being_read_is_its_rows_error_as_it_is(source: dict[str, Any]) -> None:
    regular = {
        "hash": [b"1", b"2"],
        "vector": raw(1, 2),
        "list": [raw(1)],
        "json": b'{"$.a": [1], "$.b": [2]}',
    }
    away = RedisUnavailable("the node of this key is away")

    found = assembled(plan(source), [regular[source["as"]], away])

    assert [group.rows for group in found.groups] == [[0]]
    assert found.errors[1] is away


@given(
    st.lists(
        st.sampled_from([raw(1, 2), raw(3, 4), None, b"short", ResponseError("WRONGTYPE no")]), min_size=1
    )
)
def test_odd_rows_among_regular_ones_are_read_as_if_alone(replies: list[Any]) -> None:
    compiled = plan(VECTOR)

    found = assembled(compiled, replies)

    alone = [assembled(compiled, [reply]) for reply in replies]
    assert {row: str(error).replace(f"v:{row}", "v:0") for row, error in found.errors.items()} == {
        row: str(one.errors[0]) for row, one in enumerate(alone) if one.errors
    }
    whole = {
        row: feed.tolist()
        for group in found.groups
        for row, feed in zip(group.rows, group.feeds["x"], strict=True)
    }
    assert whole == {row: one.groups[0].feeds["x"][0].tolist() for row, one in enumerate(alone) if one.groups}


def test_the_ages_of_features_that_carry_a_time_are_told() -> None:
    compiled = plan({**HASH, "time_field": "at", "max_age_seconds": 60})

    found = assembled(compiled, [[b"1", b"2", b"%d" % (NOW - age)] for age in (5, 30, 90)])

    assert list(found.ages) == [5, 30, 90]
    assert list(found.errors) == [2]
    assert not assembled(plan(HASH), [[b"1", b"2"]]).ages


def test_a_cure_that_does_not_help_is_not_told_of_a_time_that_is_missing() -> None:
    compiled = plan({**HASH, "time_field": "at", "max_age_seconds": 60})

    found = compiled.assemble(compiled.prepare_keys(["p:1"]), [[b"1", b"2", None]], missing=0)

    assert "has no field 'at'; write it, or leave max_age_seconds out of the view" in str(found.errors[0])
    assert "default" not in str(found.errors[0])
