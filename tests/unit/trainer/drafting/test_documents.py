"""JSON documents as a draft sees them: members that hold one value, each with its path."""

import json
from typing import Any

import pytest

from trainer.drafting.look_json import PATHS_MOST, Documents, Held
from trainer.errors import BadData


def held(*documents: Any) -> Held:
    found = Documents()
    for one in documents:
        found.add(None if one is None else json.dumps(one).encode())
    return found.held()


def test_members_are_found_at_any_depth_and_read_at_their_paths() -> None:
    found = held({"age": 41, "at": {"city": "Rome", "zip code": 7}, "$x": 1}, {"age": None}, None)

    assert found.paths == {
        "age": "$.age",
        "at.city": "$.at.city",
        "at.zip code": '$.at["zip code"]',
        "$x": '$["$x"]',
    }
    assert {name: facts.missing for name, facts in found.columns.items()} == dict.fromkeys(found.columns, 2)
    assert all(facts.rows == 3 for facts in found.columns.values())


def test_two_members_of_one_name_are_two_columns() -> None:
    found = held({"a.b": 1, "a": {"b": 2}})

    assert found.paths == {"a.b": '$["a.b"]', "$.a.b": "$.a.b"}


def test_a_truth_is_a_label_and_a_feature_of_0_and_1() -> None:
    found = held({"left": True}, {"left": False})

    assert dict(found.truth("left").values or {}) == {"true": 1, "false": 1}
    assert (found.columns["left"].low, found.columns["left"].high) == (0, 1)


def test_numbers_keep_their_digits_and_lists_are_told() -> None:
    found = held({"id": 12345678901234567890, "price": 1.10, "orders": [1, 2]})

    assert [*(found.columns["id"].values or ())] == ["12345678901234567890"]
    assert [*(found.columns["price"].values or ())] == ["1.1"]
    assert [name for name, _ in found.left_out] == ["orders"]


@pytest.mark.parametrize("target", ["about.left", "$.about.left"])
def test_a_target_is_named_by_its_name_or_its_path(target: str) -> None:
    found = held({"about": {"left": 1}})

    own = found.named(target)

    assert own is not None
    assert found.where("user:{id}", own) == {"key": "user:{id}", "as": "json", "field": "$.about.left"}
    assert held({"left": 1}).where("u", "left")["field"] == "left"


def test_members_that_are_values_are_told() -> None:
    with pytest.raises(BadData, match="the names of some seem to be values"):
        held({str(number): 1 for number in range(PATHS_MOST + 1)})
