"""What is wrong with a document, worded for whoever wrote it: place, value and rule."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from models.errors import listed, shown

FAULTS_SHOWN = 3
Location = tuple[int | str, ...]


def explain(
    error: ValidationError,
    words: Iterable[str] = (),
    where: Callable[[Location], str] | None = None,
) -> str:
    """Return a validation error as one line: the first few faults.

    `words` are those a misspelt one may have meant; `where` words a place, by its path if not given.
    """
    faults = roots(error.errors(include_url=False))
    told = [said(fault, words, where or path) for fault in faults[:FAULTS_SHOWN]]
    more = f"; and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else ""
    return "; ".join(told) + more


def said(fault: ErrorDetails, words: Iterable[str], where: Callable[[Location], str]) -> str:
    """Return one fault with its place; what concerns the whole has none to name."""
    at = place(fault)
    sentence = worded(fault, words)
    return sentence if about_the_whole(fault) and where is path else f"{where(at)}: {sentence}"


def about_the_whole(fault: ErrorDetails) -> bool:
    """Whether a fault is of parts that do not go together: its rule names them, the whole is no value."""
    return not fault["loc"] and fault["type"] == "value_error"


def roots(faults: list[ErrorDetails]) -> list[ErrorDetails]:
    """Leave out faults that only repeat one inside them."""
    places = [fault["loc"] for fault in faults]

    def repeats(at: Location) -> bool:
        return any(len(at) < len(other) and other[: len(at)] == at for other in places)

    return [fault for fault in faults if not repeats(fault["loc"])]


def place(fault: ErrorDetails) -> Location:
    """Return where a fault is, without the kinds of sources that pydantic puts between."""
    at = fault["loc"]
    return tuple(step for before, step in zip(("", "", *at), at, strict=False) if before != "sources")


def path(at: Location) -> str:
    """Return a place as text: `inputs.0.sources.1.key`."""
    return ".".join(map(str, at)) or "top level"


def worded(fault: ErrorDetails, words: Iterable[str]) -> str:
    """Return one fault as a sentence."""
    kind, context = fault["type"], fault.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        name, known = str(fault["loc"][-1]), list(words)
        # what is a word elsewhere was meant as it is written, and only its place is wrong
        close = [] if name in known else get_close_matches(name, known, n=1)
        return "is not known here" + (f"; did you mean {close[0]!r}?" if close else "")
    if kind == "union_tag_not_found":
        what = (
            "; it says what the source is: hash, json, vector, list, stream, feast or inline"
            if word(context) == "as"
            else ""
        )
        return f"`{word(context)}` is missing{what}"
    if kind == "union_tag_invalid":
        tags = [tag.strip("' ") for tag in str(context["expected_tags"]).split(",")]
        return f"`{word(context)}` is {shown(context['tag'])!r}; it is one of: {listed(tags)}"
    quote = "; quote it, YAML reads it otherwise" if kind == "string_type" else ""
    if about_the_whole(fault):
        return rule(fault["msg"]) + quote
    given = shown(fault["input"])
    return f"{rule(fault['msg'])}{quote} (got {repr(given) if isinstance(fault['input'], str) else given})"


def word(context: Mapping[str, Any]) -> str:
    """Return the word of a document that tells its kinds apart."""
    return str(context["discriminator"]).rpartition(" | ")[2].strip("'")


def rule(message: str) -> str:
    """Return pydantic's sentence in the words of a document."""
    message = message.removeprefix("Value error, ")
    for ours, theirs in (
        ("should be a mapping", "Input should be a valid dictionary or instance of"),
        ("should be a mapping", "Input should be a valid dictionary or object to extract fields from"),
        ("should be a list", "Input should be a valid tuple"),
        ("should be text", "Input should be a valid string"),
        ("the list should", "Tuple should"),
        ("should", "String should"),
        ("should", "Input should"),
    ):
        if message.startswith(theirs):
            return ours if ours == "should be a mapping" else ours + message.removeprefix(theirs)
    return message
