"""What is true of each row, read from Redis beside its features: labels, values, steps to come."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from redis.exceptions import RedisError

from models.errors import NotANumber, listed, shown
from models.number_marks import cured
from models.recipe import Recipe
from models.recipe_data import Fielded, FieldTarget, VectorTarget
from models.templates import KeyTemplate
from models.tensors import numpy_dtype
from models.values import number
from trainer.datasets.fields import fields_of
from trainer.errors import UnlabelledRow

Truth = float | NDArray[Any]
YES = ("1", "true", "yes", "True")
NO = ("0", "false", "no", "False", "")


class Targets(Protocol):
    """One kind of target: the command that reads it for a row, and what its reply says."""

    def command(self, placeholders: Mapping[str, str]) -> tuple[Any, ...] | None:
        """Return the command for one row; None where nothing is read beside the features."""

    def read(self, key: str, answer: Any) -> Truth:
        """Return what is true of the row at `key`.

        Raises: UnlabelledRow.
        """


class FieldTargets:
    """Fields of a hash or a document, each text read as the task wants it."""

    def __init__(self, recipe: Recipe, target: FieldTarget) -> None:
        self.recipe, self.target = recipe, target
        self.template = KeyTemplate(target.key)
        self.fields = fields_of(target)

    def command(self, placeholders: Mapping[str, str]) -> tuple[Any, ...]:
        """Return HMGET of the fields, or JSON.GET of their paths."""
        return self.fields.form.of(self.template.fill(placeholders))

    def read(self, key: str, answer: Any) -> Truth:
        """Return a class number, a value, several of them, or one 0 or 1 a label.

        Raises: UnlabelledRow, absent, a text the recipe does not know, or no number.
        """
        texts = []
        for field, value in zip(self.fields.names, self.fields.texts(checked(answer, key)), strict=True):
            if value is None:
                raise UnlabelledRow(
                    f"{shown(key)!r} has no target: no field {field!r} in {self.target.key!r}", key=shown(key)
                )
            texts.append(value)
        return truth_of(texts, key, self.recipe)


class StepTargets:
    """A vector of the steps to come."""

    def __init__(self, target: VectorTarget) -> None:
        self.template, self.target = KeyTemplate(target.key), target
        self.dtype = numpy_dtype(target.dtype)
        self.size = prod(target.shape) * self.dtype.itemsize

    def command(self, placeholders: Mapping[str, str]) -> tuple[Any, ...]:
        """Return GET of the vector."""
        return ("GET", self.template.fill(placeholders))

    def read(self, key: str, answer: Any) -> Truth:
        """Return the steps, (steps, channels).

        Raises: UnlabelledRow, absent, of another length, or a number that is not finite.
        """
        data = checked(answer, key)
        if data is None or len(data) != self.size:
            found = "nothing" if data is None else f"{len(data)} bytes"
            raise UnlabelledRow(
                f"the target of {shown(key)!r} is {found} where {self.size} bytes of {self.target.dtype} belong",
                key=shown(key),
            )
        with np.errstate(over="ignore"):  # what float32 does not reach is infinite to it
            steps = np.frombuffer(data, self.dtype).astype(np.float32)
        return finite(steps, key).reshape(self.target.steps)


class NoTargets:
    """Nothing that is read beside the features."""

    def command(self, placeholders: Mapping[str, str]) -> None:
        """Return no command."""

    def read(self, key: str, answer: Any) -> Truth:
        """Return a number that stands for nothing."""
        return 0.0


def targets_of(recipe: Recipe) -> Targets:
    """Return how a recipe's targets are read."""
    target = recipe.data.target
    if isinstance(target, FieldTarget):
        return FieldTargets(recipe, target)
    return StepTargets(target) if isinstance(target, VectorTarget) else NoTargets()


def checked(answer: Any, key: str) -> Any:
    """Return a reply that is no error.

    Raises: UnlabelledRow.
    """
    if isinstance(answer, RedisError):
        raise UnlabelledRow(f"the target of {shown(key)!r} cannot be read: {shown(answer)}", key=shown(key))
    return answer


def truth_of(texts: Sequence[str], key: str, recipe: Recipe) -> Truth:
    """Return what the stored texts of one row's target say.

    Raises: UnlabelledRow, a text the recipe does not know, or no number.
    """
    if recipe.task == "classification":
        return recipe.classes.index(label_of(texts[0], key, recipe))
    if recipe.task == "multilabel":
        return np.array(several(texts, key, recipe), np.float32)
    values = np.array([value_of(text, key) for text in texts], np.float32)
    return float(values[0]) if len(values) == 1 else values


def several(texts: Sequence[str], key: str, recipe: Recipe) -> list[float]:
    """Return 0 or 1 for each label."""
    target = recipe.data.target
    if isinstance(target, Fielded) and target.separator is not None:
        parts = (part.strip() for part in texts[0].split(target.separator))
        found = {label_of(part, key, recipe) for part in parts if part}
        return [float(label in found) for label in recipe.classes]
    for text in texts:
        if text not in (*YES, *NO):
            raise UnlabelledRow(
                f"a target of {shown(key)!r} is {shown(text)!r}; it should be 0 or 1", key=shown(key)
            )
    return [float(text in YES) for text in texts]


def label_of(text: str, key: str, recipe: Recipe) -> str:
    """Return the label that a stored text means."""
    if text not in recipe.labels:
        raise UnlabelledRow(
            f"the target of {shown(key)!r} is {shown(text)!r}, which is none of the recipe's labels "
            f"({listed(recipe.labels)})",
            key=shown(key),
        )
    return recipe.labels[text]


def value_of(text: str, key: str) -> float:
    """Return a stored number."""
    try:
        return float(number(text, "float32", "the target"))
    except NotANumber as error:
        raise UnlabelledRow(
            f"the target of {shown(key)!r} is {shown(text)!r}, no number{cured(text)}", key=shown(key)
        ) from error


def finite(values: NDArray[np.float32], key: str) -> NDArray[np.float32]:
    """Return numbers that are all finite.

    Raises: UnlabelledRow.
    """
    if not np.isfinite(values).all():
        raise UnlabelledRow(f"the target of {shown(key)!r} holds a number that is not finite", key=shown(key))
    return values
