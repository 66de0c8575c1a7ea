"""A fault of a document is told with its place, its rule and its value."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.faults import explain


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: Annotated[int, Field(ge=1)] = 1
    mode: Literal["a", "b"] = "a"


class Outer(BaseModel):
    inner: Inner
    names: tuple[str, ...] = ()
    either: Inner | int = 0


def told(data: object, **how: object) -> str:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(data)
    return explain(caught.value, **how)  # type: ignore[arg-type]  # what each test gives


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({}, "inner: is missing"),
        (5, "top level: should be a mapping (got 5)"),
        ({"inner": {"size": 0}}, "inner.size: should be greater than or equal to 1 (got 0)"),
        ({"inner": {"mode": "c"}}, "inner.mode: should be 'a' or 'b' (got 'c')"),
        ({"inner": {"sise": 2}}, "inner.sise: is not known here"),
        ({"inner": {}, "names": "x"}, "names: should be a list (got 'x')"),
        ({"inner": {}, "names": [1]}, "names.0: should be text; quote it, YAML reads it otherwise (got 1)"),
        (
            {"inner": {}, "names": ["a\nb", None]},
            "names.1: should be text; quote it, YAML reads it otherwise (got None)",
        ),
    ],
)
def test_a_fault_is_place_rule_and_value(data: object, text: str) -> None:
    assert told(data) == text


def test_a_misspelt_word_is_told_with_the_one_it_is_close_to() -> None:
    assert (
        told({"inner": {"sise": 2}}, words=["size", "mode"])
        == "inner.sise: is not known here; did you mean 'size'?"
    )


def test_a_place_may_be_worded_by_the_caller() -> None:
    assert told({}, where=lambda at: f"line {len(at)}") == "line 1: is missing"


def test_a_large_value_is_shown_in_part() -> None:
    text = told({"inner": {}, "names": {"x" * 10_000: ["y"] * 10_000}})

    assert len(text) < 150


def test_a_fault_that_only_repeats_one_inside_it_is_left_out() -> None:
    assert "either: " not in told({"inner": {}, "either": {"size": 0}})
