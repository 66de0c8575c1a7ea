"""What is wrong with a recipe, worded for the person who wrote it: line, value and cure."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from models.documents import Document
from models.errors import BadRecipe, listed, shown
from models.faults import Location, roots, rule
from models.layers.columns import COLUMN_LAYERS
from models.layers.network import LAYERS
from models.layers.presets import PRESET_KEYS

FAULTS_SHOWN = 5
SOURCES = ("redis", "csv", "parquet", "numpy", "python")
AS_COLUMNS = "as columns"  # pydantic's name for a target that has no kind; no file has it
TARGET_KINDS = ("hash", "json", "vector", "following", AS_COLUMNS)
# pydantic's names for the forms of a network; no file has them.
AS_LIST, AS_BRANCHES, AS_PRESET = "as a list", "as branches", "as a preset"
BRANCHES = "branches"
UNWRITTEN = (AS_LIST, AS_BRANCHES, AS_PRESET, BRANCHES)
RESIDUAL, COLUMNS = "residual", "columns"


def fault(problem: str, *at: str | int) -> PydanticCustomError:
    """Return the error of a check that pydantic cannot make, `at` a place below the model's."""
    return PydanticCustomError("fault", "{problem}", {"problem": problem, "at": at})


def worded(error: ValidationError, document: Document, where: str, model: type[BaseModel]) -> BadRecipe:
    """Return a validation error as the error a user reads."""
    found = roots(error.errors(include_url=False))
    faults = sorted({(document.line(location(detail)), problem(detail, model)) for detail in found})
    lines = [f"{where}, line {line}: {text}" for line, text in faults[:FAULTS_SHOWN]]
    if len(faults) > FAULTS_SHOWN:
        lines.append(f"and {len(faults) - FAULTS_SHOWN} more")
    every = [{"line": line, "problem": text} for line, text in faults]
    return BadRecipe("\n".join(lines), where=where, line=faults[0][0], faults=every)


def location(detail: ErrorDetails) -> Location:
    """Return where a fault is in the file, the place its check names included.

    Of the rows' kind, which pydantic puts behind `data`, the file has no step.
    """
    at = (*detail["loc"], *detail.get("ctx", {}).get("at", ()))
    if at == ("data",) and detail["type"] == "union_tag_invalid":
        return ("data", "source")
    return (at[0], *at[2:]) if at[:1] == ("data",) and at[1:2] and at[1] in SOURCES else at


def place(at: Location) -> str:
    """Return a location as text: `network, layer 4: conv2d.kernel`."""
    if at and at[0] == "network":
        return place_in_network(at[1:])
    # pydantic puts the kind of a source or a target between, the file does not
    steps = zip(("", "", *at), ("", *at), at, strict=False)
    written = (step for above, before, step in steps if above != "sources" and not is_kind(before, step))
    return ".".join(map(str, written)) or "the recipe"


def is_kind(before: int | str, step: int | str) -> bool:
    """Whether a step of a location is the kind of a target."""
    return before == "target" and step in TARGET_KINDS


def place_in_network(at: Location) -> str:
    """Return a place below `network` as text; a number is a layer's, counted from 1."""
    text, joint = "network", ", "
    for before, step in zip(("", *at), at, strict=False):
        if step in UNWRITTEN or (before, step) in ((RESIDUAL, "layers"), (COLUMNS, "fields")):
            continue
        if isinstance(step, int):
            text, joint = f"{text}, layer {step + 1}", ": "
        else:
            text, joint = f"{text}{joint}{'branch ' if before == BRANCHES else ''}{step}", "."
    return text


def problem(detail: ErrorDetails, model: type[BaseModel]) -> str:
    """Return one fault as a sentence."""
    at, kind = location(detail), detail["type"]
    if kind == "extra_forbidden":
        known = [key for key in keys(at, model) if key != at[-1]]
        return f"{place(at[:-1])} has no key {shown(str(at[-1]))!r}{meant(at[-1], known)}"
    if kind == "missing":
        return f"{place(at)} is missing; it has no default"
    if kind == "union_tag_invalid":
        tag = str(detail["ctx"]["tag"])
        known = [one.strip(" '") for one in str(detail["ctx"]["expected_tags"]).split(",")]
        return f"{place(at)}: {shown(tag)!r} is not known{meant(tag, known)}"
    if kind == "union_tag_not_found" or (kind == "model_attributes_type" and at[0] == "network"):
        return f"{place(at)}: {shape_of(at)} (got {given(detail['input'])})"
    if kind == "fault":
        return f"{place(at)} {detail['msg']}"
    return f"{place(at)}: {rule(detail['msg'])} (got {given(detail['input'])})"


def given(value: object) -> str:
    """Return a value as it was meant: text in quotes, a number without."""
    return repr(shown(value)) if isinstance(value, str) else shown(value)


def shape_of(at: Location) -> str:
    """Return how an entry that is of the wrong form is written."""
    if at[0] == "network":
        return "a layer is one word, or one word with its options: `- linear: 64`"
    return "its kind is missing: `as:` for a source of features, `source:` for data"


def meant(word: object, known: list[str]) -> str:
    """Return the likely word, or the list of those there are."""
    close = get_close_matches(str(word), known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there are: {listed(sorted(known))}" if known else "; it takes none"


def keys(at: Location, model: type[BaseModel]) -> list[str]:
    """Return the keys that could have been meant at a location."""
    if at[0] == "network":
        return keys_in_network(at)
    if len(at) == 1:
        return list(names(model))
    field = model.model_fields[str(at[0])]
    return sorted({name for part in models_in(field.annotation) for name in names(part)})


def keys_in_network(at: Location) -> list[str]:
    """Return the keys that could have been meant below `network`."""
    above = at[-2]
    layer = {**COLUMN_LAYERS, **LAYERS}.get(str(above))
    if COLUMNS in at and above in COLUMN_LAYERS:
        layer = COLUMN_LAYERS[str(above)]
    if layer is not None:
        return [name for name in layer.model_fields if name != "layer"]
    return PRESET_KEYS if above == AS_PRESET else ["branches", "then"]


def names(model: type[BaseModel]) -> Iterator[str]:
    """Give the keys of one model as a file writes them."""
    for name, field in model.model_fields.items():
        yield field.alias or name


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Give every model that a field's type is made of, however deep."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_in(field.annotation)
        return
    for part in get_args(annotation):
        yield from models_in(part)
