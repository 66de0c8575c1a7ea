"""The search section of a recipe: values to be tried, by their place, and what makes one the best.

search: {trials: 20, space: {training.lr: {log: [0.0003, 0.03]}, network.dropout: [0.1, 0.3, 0.5]}}
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from models.errors import BadRecipe, shown
from models.layers.layer import Number
from models.recipe_changes import changed
from models.recipe_faults import fault
from models.recipe_sections import Section, Whole

SEARCHED = ("training", "network")
PARTING = ("training.seed", "training.validation", "training.test", "training.stratified", "training.from")
# What the loss is follows from these: losses under two of their values are not compared.
MEASURING = ("training.class_weights", "training.focal", "training.label_smoothing")
FORMS = "a list of values, {log: [from, to]}, {uniform: [from, to]} or {int: [from, to]}"


class Range(Section):
    """Values that may be tried: those listed, or all between two."""

    kind: Literal["choice", "log", "uniform", "int"]
    values: tuple[Any, ...]

    def ends(self) -> tuple[Any, ...]:
        """Return every listed value, or the two ends."""
        return self.values


def is_number(value: object, whole: bool) -> bool:
    """Whether a value is a number, and not yes or no."""
    return isinstance(value, int if whole else int | float) and not isinstance(value, bool)


def read_range(value: object) -> object:
    """Read a list, or a mapping of one word to two numbers."""
    if isinstance(value, list) and value:
        return {"kind": "choice", "values": value}
    if isinstance(value, dict) and {"kind", "values"} == set(value):
        return value
    single = isinstance(value, dict) and len(value) == 1
    kind, ends = next(iter(value.items())) if isinstance(value, dict) and single else ("", [])
    numbers = isinstance(ends, list) and len(ends) == 2 and all(is_number(end, kind == "int") for end in ends)
    if kind not in ("log", "uniform", "int") or not numbers:
        raise PydanticCustomError("range", "should be {forms}", {"forms": FORMS})
    low, high = ends
    if not low < high or (kind == "log" and low <= 0):
        raise PydanticCustomError("range", "should rise from the first number to the second; a log above 0")
    return {"kind": kind, "values": ends}


class Search(Section):
    """A search over named values, on the validation rows."""

    trials: Annotated[Whole, Field(ge=1, le=10_000)] = 20
    by: Literal["loss", "metric"] = "loss"
    """What the best trial has: the lowest validation loss, or the best metric."""
    prune: bool = True
    """Whether a trial that does worse than most at the same epoch is given up."""
    minutes: Annotated[Number, Field(gt=0)] | None = None
    """Time after which no trial is begun."""
    space: Annotated[
        dict[str, Annotated[Range, BeforeValidator(read_range)]], Field(min_length=1, max_length=32)
    ]


def check_search(recipe: BaseModel, search: Search, validation: float) -> None:
    """Refuse a place that cannot be searched, and values that could not stand there."""
    if not validation:
        raise fault("needs a validation share above 0 to compare trials on", "search")
    for path, values in search.space.items():
        if path.partition(".")[0] not in SEARCHED or path in PARTING:
            raise fault(
                f"cannot be searched; it is a value of {' or '.join(SEARCHED)} that changes neither rows nor parts",
                *("search", "space", path),
            )
        if path == "training.ensemble":
            raise fault(
                "cannot be searched; trials are judged by single networks, and more of them are seldom worse",
                *("search", "space", path),
            )
        if search.by == "loss" and path.startswith(MEASURING):
            raise fault(
                "changes what the validation loss is, so its trials cannot be compared by it; say by: metric",
                *("search", "space", path),
            )
        for problem in unfit(recipe, path, values):
            raise fault(problem, "search", "space", path)


def unfit(recipe: BaseModel, path: str, values: Range) -> Iterator[str]:
    """Give what is wrong with the ends of a range."""
    for value in values.ends():
        try:
            changed(recipe, {path: value, "search": None}, "with this value")
        except BadRecipe as error:
            yield f"cannot be {shown(value)}: {error}"
