"""Features are what Feast answers for the same entities, and what is not there or no number is named."""

from typing import Any

import numpy as np
import pytest
from redis.exceptions import ResponseError

from models.assembly import Assembled, Plan
from models.errors import FeatureError
from models.tensors import Tensor
from tests.feast_store import answers, hashes
from tests.unit.models.views import view

HASHES = hashes()
ANSWERS = answers()
NOW = 1_795_350_600.0  # half an hour after the newest was written
STATS: dict[str, Any] = {
    "as": "feast",
    "project": "probe_repo",
    "view": "driver_hourly_stats",
    "entity": {"driver_id": "int64"},
}
NAMES = ["driver_id:1001", "driver_id:1002", "driver_id:1003", "driver_id:-1", "driver_id:1009"]


def stats(*fields: Any, dtype: str = "float64", **facts: Any) -> Plan:
    return Plan(view(STATS | {"fields": list(fields)} | facts, dtype=dtype))


def replies(plan: Plan, names: list[str]) -> list[Any]:
    commands: Any = plan.prepare_keys(names).commands
    return [[HASHES.get(key, {}).get(name) for name in fields] for _, key, *fields in commands]


def read(plan: Plan, *names: str, missing: Any = None, now: float = NOW) -> Assembled:
    return plan.assemble(plan.prepare_keys(names), replies(plan, [*names]), missing, now=now)


def row(found: Assembled) -> Tensor:
    assert found.errors == {}
    return found.groups[0].feeds["x"][0]


def fault(found: Assembled) -> FeatureError:
    error = found.errors[0]
    assert isinstance(error, FeatureError)
    return error


@pytest.mark.parametrize(
    "name", ["conv_rate", "acc_rate", "avg_daily_trips", "late_trips", "active", "signed_up"]
)
@pytest.mark.parametrize("facts", [{}, {"max_age_seconds": 10 * 86_400}])
def test_numbers_are_those_that_feast_answers(name: str, facts: dict[str, Any]) -> None:
    plan = stats(name, **facts)

    found = read(plan, *NAMES)

    answered = ANSWERS["driver_hourly_stats"]["answered"][name]
    there = [at for at, value in enumerate(answered) if value is not None]
    assert found.groups[0].rows == there
    assert found.groups[0].feeds["x"][:, 0].tolist() == [float(answered[at]) for at in there]
    assert sorted(found.errors) == sorted(set(range(len(NAMES))) - set(there))


@pytest.mark.parametrize(
    ("name", "size"),
    [("embedding", 3), ("weekly", 2), ("steps", 3), ("counts", 2), ("shifts", 3), ("seen", 2)],
)
def test_lists_are_those_that_feast_answers(name: str, size: int) -> None:
    found = read(stats({"name": name, "shape": [size]}), "driver_id:1001")

    assert row(found).tolist() == [float(one) for one in ANSWERS["driver_hourly_stats"]["answered"][name][0]]


def test_texts_are_categories_or_what_the_graph_takes() -> None:
    tier = {"name": "tier", "categories": ["silver", "gold"]}
    texts = stats("tier", "conv_rate", {"name": "tags", "shape": [2]}, dtype="string")

    assert row(read(stats(tier), "driver_id:1001")).tolist() == [1.0]
    assert row(read(texts, "driver_id:1002")).tolist() == ["silver", "0.25", "a", "größe"]


def test_fields_and_lists_lie_side_by_side_in_the_order_of_the_view() -> None:
    plan = stats("late_trips", {"name": "steps", "shape": [3]}, "active", dtype="int64")

    assert row(read(plan, "driver_id:1001")).tolist() == [-3, 1, -2, 300, 1]


def test_a_list_takes_the_shape_of_the_view() -> None:
    plan = stats({"name": "embedding", "shape": [3, 1]})

    assert row(read(plan, "driver_id:1001")).tolist() == [[0.5], [-0.25], [1.5]]


def test_many_rows_are_read_at_once() -> None:
    plan = stats("conv_rate", "avg_daily_trips")
    names = ["driver_id:1001", "driver_id:1002"]

    feeds = plan.columns(replies(plan, names))

    assert feeds is not None
    assert np.array_equal(feeds["x"], read(plan, *names).groups[0].feeds["x"])
    assert plan.columnar
    assert not stats("conv_rate", max_age_seconds=1).columnar
    assert stats({"name": "embedding", "shape": [3]}).readers[0].columns([[b""]]) is None


@pytest.mark.parametrize("other", [None, [b"\x20"], [b""], [b"\x4a\x00"]])
def test_a_row_that_is_irregular_is_looked_at_alone(other: Any) -> None:
    plan = stats("conv_rate")

    assert plan.columns([*replies(plan, ["driver_id:1001"]), other]) is None


@pytest.mark.parametrize(
    ("fields", "filled", "expected"),
    [
        ([{"name": "conv_rate", "default": 7}], ["conv_rate"], [7.0]),
        ([{"name": "tier", "categories": ["gold", "none"], "default": "none"}], ["tier"], [1.0]),
        ([{"name": "embedding", "shape": [3], "default": 2}], ["embedding"], [2.0, 2.0, 2.0]),
        ([{"name": "signed_up", "default": 0}, "late_trips"], ["signed_up"], [0.0, -3.0]),
    ],
)
def test_a_null_is_filled_by_the_default(fields: list[Any], filled: list[str], expected: list[float]) -> None:
    found = read(stats(*fields), "driver_id:1003")

    assert (row(found).tolist(), found.filled) == (expected, {0: filled})


def test_an_entity_that_is_not_there_is_filled_too_and_its_age_is_nobodys() -> None:
    plan = stats({"name": "conv_rate", "default": 7}, max_age_seconds=60)

    assert row(read(plan, "driver_id:1009")).tolist() == [7.0]
    assert row(read(stats("conv_rate"), "driver_id:1009", missing=1)).tolist() == [1.0]


@pytest.mark.parametrize(
    ("fields", "name", "code", "message"),
    [
        (
            ["conv_rate"],
            "driver_id:1003",
            "field_missing",
            (
                "key 'driver_id:1003' has no feature 'driver_hourly_stats:conv_rate': it is null in Feast, or was "
                "never written; give the field a default, or ask with `missing`"
            ),
        ),
        (
            ["conv_rate"],
            "driver_id:1009",
            "key_missing",
            (
                "key 'driver_id:1009': view 'driver_hourly_stats' of Feast project 'probe_repo' has no features for "
                "this entity in Redis; materialize them, or set project, view and entity as they are in Feast; "
                "a default or `missing` stands in for them"
            ),
        ),
        (
            ["tier"],
            "driver_id:1001",
            "not_a_number",
            "feature 'driver_hourly_stats:tier' of key 'driver_id:1001' holds 'gold', which is not a float64 number",
        ),
        (
            [{"name": "tier", "categories": ["silver"]}],
            "driver_id:1001",
            "unknown_category",
            (
                "feature 'driver_hourly_stats:tier' of key 'driver_id:1001' holds 'gold', which is none of: silver; "
                "`unknown:` in the view can name a category for the rest"
            ),
        ),
        (
            ["embedding"],
            "driver_id:1001",
            "wrong_feature",
            (
                "feature 'driver_hourly_stats:embedding' of key 'driver_id:1001' is a list of 3; give the field "
                "`shape: [3]`"
            ),
        ),
        (
            [{"name": "conv_rate", "shape": [3]}],
            "driver_id:1001",
            "wrong_feature",
            (
                "feature 'driver_hourly_stats:conv_rate' of key 'driver_id:1001' is no list, and the view gives it a "
                "shape; take the shape out"
            ),
        ),
        (
            [{"name": "embedding", "shape": [4]}],
            "driver_id:1001",
            "wrong_length",
            "key 'driver_id:1001' has 3 elements in feature driver_hourly_stats:embedding, the model wants 4 ([4])",
        ),
        (
            [{"name": "tags", "shape": [2]}],
            "driver_id:1001",
            "not_a_number",
            "feature 'driver_hourly_stats:tags' of key 'driver_id:1001' holds 'a', which is not a float64 number",
        ),
    ],
)
def test_what_cannot_be_read_is_named(fields: list[Any], name: str, code: str, message: str) -> None:
    error = fault(read(stats(*fields), name))

    assert (error.code, str(error)) == (code, message)


def test_a_number_that_the_input_does_not_take_is_named() -> None:
    plan = stats({"name": "embedding", "shape": [3]}, dtype="int64")

    assert "element 0 of feature 'driver_hourly_stats:embedding'" in str(fault(read(plan, "driver_id:1001")))


def test_what_is_older_than_the_view_allows_is_stale() -> None:
    plan = stats("conv_rate", max_age_seconds=86_400)

    found = read(plan, "driver_id:1002", "driver_id:1001")

    assert str(found.errors[0]) == (
        "key 'driver_id:1002' was written 174600.0 s ago, the view allows 86400 s; write it again"
    )
    assert found.ages == [174_600.0, 1800.0]


def answered(plan: Plan, reply: Any) -> FeatureError:
    return fault(plan.assemble(plan.prepare_keys(["driver_id:1"]), [reply], now=NOW))


def test_bytes_that_are_no_value_or_no_time_are_named() -> None:
    plan = stats("conv_rate", max_age_seconds=60)

    assert str(answered(plan, [b"\x20", b"\x08\x01"])).startswith("key 'driver_id:1' was written ")
    assert str(answered(stats("conv_rate"), [b"\x20"])) == (
        "feature 'driver_hourly_stats:conv_rate' of key 'driver_id:1' has a varint without an end"
    )
    assert str(answered(plan, [b"", b"\x18\x01"])) == (
        "feature 'driver_hourly_stats:_ts:driver_hourly_stats' of key 'driver_id:1' is no timestamp"
    )
    assert answered(plan, [b"\x20\x01", None]).code == "field_missing"


@pytest.mark.parametrize(
    "reply", [b"text", [], [b"", b""], ResponseError("WRONGTYPE Operation against a key")]
)
def test_a_key_that_is_no_hash_is_of_the_wrong_type(reply: Any) -> None:
    assert str(answered(stats("conv_rate"), reply)) == (
        "key 'driver_id:1' is not of the type this model reads (a hash of Feast)"
    )


def test_two_views_of_one_entity_and_other_sources_make_one_row() -> None:
    profile = STATS | {"view": "driver_profile", "fields": ["rating"]}
    plan = Plan(
        view(
            STATS | {"fields": ["late_trips"]},
            profile,
            {"key": "trip:{driver_id}", "as": "hash", "fields": ["km"]},
            {"inline": True, "fields": ["hour"]},
        )
    )
    prepared = plan.prepare([{"driver_id": 1001, "hour": 8}])
    stats_of, profile_of, hashed = prepared.commands

    found = plan.assemble(prepared, [*replies_of(stats_of, profile_of), [b"3.5"]], now=NOW)

    assert stats_of[1] == profile_of[1]
    assert hashed == ("HMGET", "trip:1001", "km")
    assert row(found).tolist() == [-3.0, 4.5, 3.5, 8.0]


def replies_of(*commands: Any) -> list[Any]:
    return [[HASHES[key].get(name) for name in names] for _, key, *names in commands]
