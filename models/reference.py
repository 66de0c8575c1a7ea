"""Reference rows: what explanations of a version compare a row with; kept in its model card.

    card["reference"] = {"of": "median of 398 training rows", "inputs": {"x": [[13.2, 18.7, ...]]}}

`inputs` holds tensors by the name of the graph's input, as nested lists, rows first. An axis of
one element stands for as many as the row that is explained has: one step for a sequence of any
length, one value for a whole image.
"""

from collections.abc import Mapping
from typing import Any

ENTRY = "reference"


def as_entry(of: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the card's entry: what the rows are in words, and nested lists by input."""
    return {"of": of, "inputs": dict(inputs)}


def from_card(card: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the nested lists by input of a card; None where it has none that can be read."""
    entry = card.get(ENTRY)
    inputs = entry.get("inputs") if isinstance(entry, Mapping) else None
    return inputs if isinstance(inputs, Mapping) and inputs else None


def in_words(card: Mapping[str, Any]) -> str:
    """Return what the reference rows of a card are."""
    entry = card.get(ENTRY)
    return str(entry.get("of") or "stored rows") if isinstance(entry, Mapping) else "stored rows"
