"""Fields of rows that the network does not see: read beside the target, for the comparison of groups."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.privacy import Privacy
from models.recipe import Recipe
from models.recipe_data import FieldTarget, VectorTarget
from models.recipe_judging import audit_key
from models.templates import KeyTemplate
from trainer.datasets.exchanges import Asked
from trainer.datasets.fields import Fields, fields_at
from trainer.errors import FieldAbsent

LETTERS_KEPT = 100


@dataclass(slots=True)
class Beside:
    """What the rows hold that were read so far: one list a field, None where a row has none."""

    recipe: Recipe
    values: dict[str, list[str | None]] = field(init=False)

    def __post_init__(self) -> None:
        self.values = {name: [] for name in self.names}

    @property
    def names(self) -> tuple[str, ...]:
        """The fields, none where the recipe names no sensitive ones."""
        return self.recipe.fairness.fields if self.recipe.fairness else ()

    def asked(self, keys: Sequence[str]) -> list[Asked]:
        """Return what reads the fields of each row, nothing where there are none."""
        if not self.names:
            return []
        template, form = KeyTemplate(self._where()), self._fields.form
        return [(form, template.fill(self.recipe.rows.read(key))) for key in keys]

    def take(self, reply: Any) -> None:
        """Keep what one row holds; a key of another type holds nothing."""
        for name, text in zip(self.names, self._fields.texts(reply), strict=True):
            self.values[name].append(text and text[:LETTERS_KEPT])

    @property
    def _fields(self) -> Fields:
        return fields_at(self.recipe, self._where(), self.names)

    def _where(self) -> str:
        target = self.recipe.data.target
        key = target.key if isinstance(target, FieldTarget | VectorTarget) else self.recipe.rows.text
        fairness = self.recipe.fairness
        return key if fairness is None else audit_key(fairness, self.recipe.features, key)

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return each field as an array of texts.

        Raises: FieldAbsent, one that no row has: the recipe names it wrongly.
        """
        for name, values in self.values.items():
            if not any(value is not None for value in values):
                raise FieldAbsent(Privacy.of(self.recipe.as_data()).alias(name), self._where())
        return {name: np.array(values, object) for name, values in self.values.items()}
