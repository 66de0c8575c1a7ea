"""The labels of a recipe: what is stored, and what a prediction says for it."""

from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from models.recipe_sections import Text

LABELS_LIMIT = 4096


def labels_spelled_out(value: object) -> object:
    """Read a list of labels as labels that are stored as they read; write every key as text."""
    if isinstance(value, list):
        value = dict.fromkeys(value) if all(isinstance(raw, str | int) for raw in value) else value
    if not isinstance(value, dict):
        raise PydanticCustomError("labels", "should be a list, or a mapping {stored value: label}")
    for raw in value:
        if not isinstance(raw, str | int) or isinstance(raw, bool):
            raise PydanticCustomError("label", "{raw} is no text in YAML; quote it", {"raw": repr(raw)})
    return {str(raw): str(raw) if text is None else text for raw, text in value.items()}


Labels = Annotated[dict[str, Text], BeforeValidator(labels_spelled_out), Field(max_length=LABELS_LIMIT)]
