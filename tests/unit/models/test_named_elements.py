"""Which elements of a row belong to which feature."""

from typing import Any

import numpy as np
import pytest

from models.features import FeatureView
from models.named_elements import NamedFeature, features_of

Shapes = dict[str, tuple[int, ...]]


def view(*sources: dict[str, Any], **said: Any) -> FeatureView:
    return FeatureView.read({"inputs": [{"name": "x", "sources": list(sources), **said}]})


def hashed(*fields: Any, key: str = "customer:{id}") -> dict[str, Any]:
    return {"key": key, "as": "hash", "fields": list(fields)}


def vector(*shape: int, key: str = "digit:{id}") -> dict[str, Any]:
    return {"key": key, "as": "vector", "shape": shape}


def steps(*shape: int, last: int, key: str = "clicks:{id}", **said: Any) -> dict[str, Any]:
    return {"key": key, "as": "list", "shape": shape, "last": last, **said}


def named(found: tuple[NamedFeature, ...]) -> dict[str, list[int]]:
    return {one.name: one.places.tolist() for one in found}


def test_a_field_is_a_feature_by_its_name() -> None:
    found = features_of({"x": (2,)}, view(hashed("age", {"name": "plan", "categories": ["free", "paid"]})))

    assert named(found) == {"age": [0], "plan": [1]}
    assert [one.categories for one in found] == [(), ("free", "paid")]
    assert all(one.single for one in found)


def test_sources_follow_one_another_along_the_last_axis() -> None:
    found = features_of(
        {"x": (5,)}, view(hashed("age"), vector(3, key="ref:{id}"), {"inline": True, "fields": ["hour"]})
    )

    assert named(found) == {
        "age": [0],
        "ref:{id}[0]": [1],
        "ref:{id}[1]": [2],
        "ref:{id}[2]": [3],
        "hour": [4],
    }


def test_the_shape_of_a_view_changes_no_place() -> None:
    found = features_of({"x": (1, 2, 2)}, view(vector(4), shape=[1, 2, 2]))

    assert named(found) == {f"digit:{{id}}[{at}]": [at] for at in range(4)}


def test_a_row_of_one_number_without_an_axis_is_one_feature() -> None:
    assert named(features_of({"x": ()}, view(hashed("age"), shape=[]))) == {"age": [0]}
    assert named(features_of({"x": ()}, None)) == {"x": [0]}


@pytest.mark.parametrize(
    ("shape", "count", "first", "last"),
    [
        ((8, 8), 64, "[0,0]", "[7,7]"),
        ((28, 28), 49, "[0-3,0-3]", "[24-27,24-27]"),
        ((1, 28, 28), 49, "[0,0-3,0-3]", "[0,24-27,24-27]"),
        ((65,), 33, "[0-1]", "[64]"),
        ((3, 40, 1), 60, "[0,0-1]", "[2,38-39]"),
    ],
)
def test_many_elements_without_names_are_blocks_of_neighbours(
    shape: tuple[int, ...], count: int, first: str, last: str
) -> None:
    found = features_of({"x": shape}, view(vector(*shape)))

    assert len(found) == count
    assert (found[0].name, found[-1].name) == (f"digit:{{id}}{first}", f"digit:{{id}}{last}")
    assert sorted(np.concatenate([one.places for one in found])) == list(range(np.prod(shape)))


def test_a_list_is_explained_by_its_steps_with_all_their_channels() -> None:
    found = features_of({"x": (3, 2)}, view(steps(2, last=9)))

    assert named(found) == {"clicks:{id}[0]": [0, 1], "clicks:{id}[1]": [2, 3], "clicks:{id}[2]": [4, 5]}
    assert not found[0].single


def test_many_steps_are_blocks_of_steps() -> None:
    found = features_of({"x": (130, 2)}, view(steps(2, last=130, pad="left")))

    assert len(found) == 44
    assert found[0].name == "clicks:{id}[0-2]"
    assert found[-1].name == "clicks:{id}[129]"


def stream(*fields: Any, last: int = 9) -> dict[str, Any]:
    return {"key": "sensor:{id}", "as": "stream", "fields": list(fields), "last": last}


def test_a_stream_is_explained_by_its_fields_step_by_step() -> None:
    mode = {"name": "mode", "categories": ["idle", "run"]}

    found = features_of({"x": (3, 2)}, view(stream("temp", mode)))

    assert named(found) == {
        "temp[0]": [0], "temp[1]": [2], "temp[2]": [4], "mode[0]": [1], "mode[1]": [3], "mode[2]": [5],
    }  # fmt: skip
    assert [one.categories for one in found] == [()] * 3 + [("idle", "run")] * 3
    assert {one.source for one in found} == {"sensor:{id}"}


@pytest.mark.parametrize(
    ("steps", "fields", "count", "first"),
    [(24, 2, 48, "f0[0]"), (40, 2, 40, "f0[0-1]"), (1, 70, 70, "f0"), (9, 64, 64, "f0")],
)
def test_many_steps_of_a_stream_are_blocks_of_steps(steps: int, fields: int, count: int, first: str) -> None:
    source = stream(*[f"f{at}" for at in range(fields)], last=steps)

    found = features_of({"x": (steps, fields)}, view(source))

    assert (len(found), found[0].name) == (count, first)
    assert sorted(np.concatenate([one.places for one in found])) == list(range(steps * fields))
    assert not any(one.categories for one in found)


def test_two_lists_of_one_input_are_told_apart_step_by_step() -> None:
    found = features_of({"x": (2, 3)}, view(steps(1, last=2), steps(2, last=2, key="views:{id}")))

    assert named(found) == {
        "clicks:{id}[0]": [0],
        "clicks:{id}[1]": [3],
        "views:{id}[0]": [1, 2],
        "views:{id}[1]": [4, 5],
    }


def test_a_value_of_the_request_with_a_shape_is_explained_by_element() -> None:
    inline = {"inline": True, "fields": ["hour", {"name": "track", "shape": [2]}]}

    assert named(features_of({"x": (3,)}, view(inline))) == {"hour": [0], "track[0]": [1], "track[1]": [2]}


def test_lengths_are_no_feature() -> None:
    assert named(features_of({"x": (1, 2), "n": ()}, view(steps(2, last=9), lengths="n"))) == {
        "clicks:{id}": [0, 1]
    }


def test_without_a_view_inputs_name_their_elements() -> None:
    assert list(named(features_of({"x": (2,), "ids": (1,)}, None))) == ["x[0]", "x[1]", "ids"]


def test_features_of_one_name_are_told_apart_by_their_source_and_input() -> None:
    both = FeatureView.read(
        {
            "inputs": [
                {"name": "a", "sources": [hashed("age", "spend"), hashed("age", key="parent:{id}")]},
                {"name": "b", "sources": [hashed("age")]},
            ]
        }
    )

    assert list(named(features_of({"a": (3,), "b": (1,)}, both))) == [
        "age (customer:{id}) of a",
        "spend",
        "age (parent:{id})",
        "age (customer:{id}) of b",
    ]


def test_every_step_of_two_inputs_from_one_list_says_which_input_it_is_of() -> None:
    """walk[2] of the longer one would otherwise look like the third step of both."""
    both = FeatureView.read(
        {
            "inputs": [
                {"name": "short", "sources": [steps(1, last=2)]},
                {"name": "long", "sources": [steps(1, last=3)]},
            ]
        }
    )

    found = features_of({"short": (2, 1), "long": (3, 1)}, both)

    assert [one.name for one in found] == [
        "clicks:{id}[0] of short",
        "clicks:{id}[1] of short",
        "clicks:{id}[0] of long",
        "clicks:{id}[1] of long",
        "clicks:{id}[2] of long",
    ]


def test_a_source_that_one_input_reads_twice_is_counted() -> None:
    found = features_of({"x": (3,)}, view(hashed("age", "spend"), hashed("age")))

    assert named(found) == {
        "age (customer:{id}) of x, source 1": [0],
        "spend": [1],
        "age (customer:{id}) of x, source 2": [2],
    }
