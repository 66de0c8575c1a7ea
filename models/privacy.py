"""Names that must not be read: what stands for a private feature wherever a person or a log looks.

A manifest's feature view keeps the real names, a server has to read them; nothing that is made
from it to be looked at does: cards, reports, findings, events, errors of a training.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from models.errors import InsituError
from models.features import FeatureView

ALIAS = "private"
# Objects of recipes and cards whose keys are names, or paths.
NAMED = ("columns", "branches", "space", "values")
QUALIFIER = re.compile(r"\[| \(| of |, source ")  # what follows a name in models/named_elements.py


class Privacy:
    """Stands an alias for each private name; the n-th name is always `private n`."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.aliases = {name: f"{ALIAS} {number}" for number, name in enumerate(dict.fromkeys(names), 1)}

    @classmethod
    def of(cls, recipe: object) -> "Privacy":
        """Return the privacy that a recipe asks for, given as plain data.

        Private are the names under `private:`, then the fields that say so themselves, in order.
        """
        listed = recipe.get("private", ()) if isinstance(recipe, dict) else ()
        return cls([*listed, *marked(recipe)])

    @classmethod
    def of_model(cls, recipe: object, view: FeatureView | None) -> "Privacy":
        """Return the privacy of a published model: what its recipe asks for, or its feature view where it has none."""
        return cls.of(recipe if recipe is not None or view is None else view.model_dump(mode="json"))

    def alias(self, name: str) -> str:
        """Return a feature's name as it may be shown; `income[3]` and `income (user:{id})` are of `income`."""
        if name in self.aliases:
            return self.aliases[name]
        ends = [found.start() for found in QUALIFIER.finditer(name) if name[: found.start()] in self.aliases]
        return self.aliases[name[: ends[-1]]] + name[ends[-1] :] if ends else name

    def text(self, text: str) -> str:
        """Return a text without private names, wherever they stand as words of their own."""
        if not self.aliases:
            return text
        return self._words.sub(lambda found: self.aliases[found[0]], text)

    def masked(self, value: Any) -> Any:
        """Return plain data without private names in its texts, nor in keys that are names; other keys stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {
                key: self.masked(self._keys_masked(one) if key in NAMED else one)
                for key, one in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.masked(one) for one in value]
        return value

    def _keys_masked(self, value: Any) -> Any:
        return {self.text(key): one for key, one in value.items()} if isinstance(value, dict) else value

    @contextmanager
    def in_errors(self) -> Iterator[None]:
        """Let no error say a private name, neither in its message nor in its details.

        Raises: what is raised within.
        """
        try:
            yield
        except InsituError as error:
            error.args, error.details = (self.text(str(error)),), self.masked(error.details)
            raise

    def masked_names(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return values by feature, an alias for each private name."""
        return {self.alias(name): value for name, value in values.items()}

    @cached_property
    def _words(self) -> re.Pattern[str]:
        longest_first = sorted(self.aliases, key=len, reverse=True)
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


OPEN = Privacy()  # nothing is private


def marked(value: object) -> Iterator[str]:
    """Give the names of fields that say `private: true`, however deep."""
    if isinstance(value, dict):
        if value.get("private") is True and isinstance(value.get("name"), str):
            yield value["name"]
        for one in value.values():
            yield from marked(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from marked(one)
