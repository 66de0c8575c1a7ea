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
    for raw, text in value.items():
        check_text(raw)
        if isinstance(text, bool):
            check_text(text)
    return {str(raw): str(raw) if text is None else text for raw, text in value.items()}


def check_text(raw: object) -> None:
    """Refuse what YAML does not take for text, saying how it is written.

    Raises: PydanticCustomError.
    """
    if isinstance(raw, bool):
        word, words = ("yes", "yes, on and true") if raw else ("no", "no, off and false")
        said = f'{raw} is no text in YAML, which reads {words} so; quote the label, "{word}"'
        raise PydanticCustomError("label", "{said}", {"said": said})
    if not isinstance(raw, str | int):
        raise PydanticCustomError("label", "{raw} is no text in YAML; quote it", {"raw": repr(raw)})


Labels = Annotated[dict[str, Text], BeforeValidator(labels_spelled_out), Field(max_length=LABELS_LIMIT)]
