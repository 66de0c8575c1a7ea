"""A view is fitted to the graph's signature, or what does not fit is named."""

import re
from typing import Any

import pytest

from models.binding import bind
from models.errors import BadFeatureView
from models.features import FeatureView
from models.tensors import TensorSpec
from tests.unit.models.views import view

HASH = {"key": "p:{id}", "as": "hash", "fields": ["a", "b"]}
VECTOR = {"key": "v:{id}", "as": "vector", "shape": [2]}
STEPS = {"key": "u:{id}", "as": "list", "shape": [3], "last": 5}
PADDED = {**STEPS, "pad": "left"}
MATRIX = {**VECTOR, "shape": [2, 3]}


def graph(*shape: int | str, dtype: Any = "float32", name: str = "x") -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=("batch", *shape))


def with_categories(count: int, **facts: Any) -> dict[str, Any]:
    return {**HASH, "fields": [{"name": "c", "categories": [str(at) for at in range(count)], **facts}]}


@pytest.mark.parametrize(
    ("sources", "spec"),
    [
        ([HASH], graph(2)),
        ([HASH], graph("features")),
        ([HASH, VECTOR], graph(4)),
        ([HASH, VECTOR, {"inline": True, "fields": ["hour"]}], graph(5)),
        ([{"inline": True, "fields": [{"name": "image", "shape": [8, 8]}]}], graph(8, 8)),
        ([MATRIX, {**MATRIX, "key": "w:{id}", "shape": [2, 1]}], graph(2, 4)),
        ([STEPS], graph("steps", 3)),
        ([STEPS, {**STEPS, "key": "w:{id}", "shape": [1]}], graph("steps", 4)),
        ([PADDED], graph(5, 3)),
        ([PADDED], graph("steps", "channels")),
        ([{**HASH, "as": "json"}], graph(2)),
        ([HASH], graph(2, dtype="string")),
        ([with_categories(3)], graph(1, dtype="int64")),
        ([with_categories(128)], graph(1, dtype="int8")),
        ([with_categories(2)], graph(1, dtype="bool")),
    ],
)
def test_a_view_that_fits_takes_over_the_type(sources: list[Any], spec: TensorSpec) -> None:
    bound = bind(view(*sources), [spec])

    assert bound.inputs[0].dtype == spec.dtype
    assert bound.inputs[0].sources == view(*sources).inputs[0].sources


def test_a_type_that_the_view_states_is_kept() -> None:
    assert bind(view(HASH, dtype="float64"), [graph(2, dtype="float64")]).inputs[0].dtype == "float64"


def test_a_single_field_becomes_a_scalar_where_the_graph_takes_one() -> None:
    single = {**HASH, "fields": ["a"]}

    assert bind(view(single), [graph()]).inputs[0].shape == ()
    assert bind(view(single), [graph(1)]).inputs[0].shape is None


def test_a_shape_of_as_many_elements_is_taken() -> None:
    assert bind(view({**VECTOR, "shape": [64]}, shape=[1, 8, 8]), [graph(1, 8, 8)]).inputs[0].shape == (
        1,
        8,
        8,
    )


@pytest.mark.parametrize("size", [3, 1])
def test_an_input_of_a_fixed_size_beside_rows_is_given_by_no_view(size: int) -> None:
    weight = TensorSpec(name="w", dtype="float32", shape=(size, 2))
    both = FeatureView.model_validate(
        {"inputs": [{"name": "x", "sources": [HASH]}, {"name": "w", "sources": [VECTOR]}]}
    )

    if size == 1:  # the one row
        assert [one.name for one in bind(both, [weight, graph(2)]).inputs] == ["x", "w"]
        return
    for specs in ([weight, graph(2)], [graph(2), weight]):
        with pytest.raises(
            BadFeatureView, match="input 'w' has a first axis of 3 in the graph, which is not that"
        ):
            bind(both, specs)


def test_lengths_are_one_int64_a_row() -> None:
    lengths = TensorSpec(name="n", dtype="int64", shape=("batch",))

    assert bind(view(STEPS, lengths="n"), [graph("steps", 3), lengths]).inputs[0].lengths == "n"


@pytest.mark.parametrize(("dtype", "shape"), [("int32", ("batch",)), ("int64", ("batch", 1)), ("int64", ())])
def test_lengths_of_another_kind_are_refused(dtype: Any, shape: tuple[Any, ...]) -> None:
    lengths = TensorSpec(name="n", dtype=dtype, shape=shape)

    with pytest.raises(
        BadFeatureView, match=r"lengths input 'n' is .*; it must be int64 with one value a row"
    ):
        bind(view(STEPS, lengths="n"), [graph("steps", 3), lengths])


@pytest.mark.parametrize(
    ("sources", "facts", "spec", "fault"),
    [
        ([HASH], {}, graph(2, name="z"), "the graph's inputs are z; the feature view also names x; leaves out z"),
        ([HASH], {"dtype": "int64"}, graph(2), "input 'x' is float32 in the graph, not int64"),
        ([HASH], {}, graph(3), "input 'x': the view gives rows of shape [2], the graph takes [3]"),
        ([HASH], {}, graph(), "rows of shape [2], the graph takes []"),
        ([HASH], {}, graph(2, 1), "rows of shape [2], the graph takes [2, 1]"),
        ([STEPS], {}, graph(5, 3), "rows of shape ['?', 3], the graph takes [5, 3]; `pad: left` or `right` fixes"),
        ([PADDED], {}, graph(4, 3), "rows of shape [5, 3], the graph takes [4, 3]"),
        ([VECTOR], {"shape": [3]}, graph(3), "shape [3] has another number of elements than the sources, [2]"),
        ([HASH, MATRIX], {}, graph(4), "sources of shapes [2], [2, 3] cannot be joined along the last axis"),
        ([MATRIX, {**MATRIX, "shape": [3, 3]}], {}, graph(2, 6), "sources of shapes [2, 3], [3, 3] cannot be joined"),
        ([STEPS, PADDED], {}, graph("steps", 6), "cannot be joined along the last axis"),
        ([VECTOR], {}, graph(2, dtype="string"), "takes text; a vector, list or stream gives numbers, use a hash"),
        ([STEPS], {}, graph("t", 3, dtype="string"), "input 'x' takes text"),
        ([with_categories(3)], {}, graph(1, dtype="string"), "field 'c' has categories, which are numbers, but"),
        ([with_categories(129)], {}, graph(1, dtype="int8"), "field 'c' has 129 categories, too many for int8"),
        ([with_categories(3)], {}, graph(1, dtype="bool"), "field 'c' has 3 categories, too many for bool"),
        (
            [{**HASH, "fields": [{"name": "a", "default": "x"}]}],
            {},
            graph(1),
            "default of field 'a' is 'x', which is no float32 number; give a number, or categories",
        ),
        (
            [{**HASH, "fields": [{"name": "a", "default": 1.5}]}],
            {},
            graph(1, dtype="int64"),
            "default of field 'a' is '1.5', which is no int64 number",
        ),
        (
            [{"inline": True, "fields": [{"name": "a", "default": 1e39}]}],
            {},
            graph(1),
            "default of field 'a' is '1e+39', which is no float32 number",
        ),
        ([{**VECTOR, "default": 300}], {}, graph(2, dtype="uint8"), "default of key 'v:{id}' is '300.0'"),
        ([{**PADDED, "pad_value": -1}], {}, graph(5, 3, dtype="uint8"), "pad_value of key 'u:{id}' is '-1.0'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_does_not_fit_the_graph_is_named(
    sources: list[Any], facts: dict[str, Any], spec: TensorSpec, fault: str
) -> None:
    with pytest.raises(BadFeatureView, match=re.escape(fault)):
        bind(view(*sources, **facts), [spec])


def test_text_may_stand_in_where_the_graph_takes_text() -> None:
    source = {**HASH, "fields": [{"name": "a", "default": "x"}]}

    assert bind(view(source), [graph(1, dtype="string")]).inputs[0].dtype == "string"


def test_a_pad_value_that_is_never_used_does_no_harm() -> None:
    assert (
        bind(view({**STEPS, "pad_value": -1}), [graph("steps", 3, dtype="uint8")]).inputs[0].dtype == "uint8"
    )


def test_several_inputs_are_each_fitted_to_their_own() -> None:
    both = FeatureView.read(
        {"inputs": [{"name": "x", "sources": [HASH]}, {"name": "y", "sources": [VECTOR | {"dtype": "int8"}]}]}
    )

    bound = bind(both, [graph(2, name="y", dtype="int64"), graph(2)])

    assert [one.dtype for one in bound.inputs] == ["float32", "int64"]
