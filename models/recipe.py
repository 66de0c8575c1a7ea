"""Recipe: how a model is trained, read from a YAML file; data only, no torch.

    Recipe > data (where the rows are) | features (FeatureView) | labels | network | split | training

Everything is checked when the file is read, before any work; a fault names the line, the value
and the cure. `models/recipes/` holds the recipes that are ready to run; each section has a
module of its own: recipe_data, recipe_labels, recipe_network,
recipe_split, recipe_training.
"""

from difflib import get_close_matches
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from models.documents import DOCUMENT_LIMIT_BYTES, Document
from models.errors import BadRecipe, shown
from models.feast_keys import template_of
from models.features import FeatureView
from models.keys import NAME, NAME_RULE
from models.layers.layer import Layer, Number
from models.recipe_data import Data, Fielded
from models.recipe_faults import fault, worded
from models.recipe_features import check_input, check_rows, check_split
from models.recipe_fitting import check_alterations, check_batches, check_classes, check_hiding
from models.recipe_hiding import check_within
from models.recipe_judging import (
    Decision,
    Fairness,
    Judge,
    Names,
    check_decision,
    check_fairness,
    check_private,
)
from models.recipe_labels import Labels
from models.recipe_network import Branches, NetworkSection, check_network, layers_of
from models.recipe_quantization import Quantize
from models.recipe_search import Search, check_search
from models.recipe_sections import Section
from models.recipe_split import Split
from models.recipe_tasks import Quantiles, Task, check_labels, check_options, check_series, check_target
from models.recipe_training import Training
from models.templates import KeyTemplate

UNKEYED = "row:{row}"  # what stands for a row's key where a request carries all there is


class Recipe(Section):
    """A model and how it is made."""

    name: str
    description: Annotated[str, Field(max_length=4096)] = ""
    task: Task
    data: Data
    features: FeatureView
    labels: Labels = Field(default={})
    """What is stored -> what a prediction says; the order gives the class numbers, from 0."""
    quantiles: Quantiles = ()
    """Of a regression: the value comes with these quantiles, 0.5 among them."""
    threshold: Annotated[Number, Field(gt=0, lt=1)] | None = None
    """Of an anomaly score: the share of the training rows that lies below what counts as an anomaly."""
    network: NetworkSection
    split: Split = Split()
    training: Training = Training()
    decision: Decision | None = None
    judge: Judge = Judge()
    fairness: Fairness | None = None
    private: Names = ()
    """Features that are called by an alias in cards, reports and messages."""
    quantize: Quantize | None = None
    search: Search | None = None

    @field_validator("name")
    @classmethod
    def _name(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise fault(f"is {shown(name)!r}; a model's name is {NAME_RULE}")
        return name

    @field_validator("features")
    @classmethod
    def _readable(cls, view: FeatureView) -> FeatureView:
        for number, one in enumerate(view.inputs):
            check_input(one, number)
        return view

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_target(self.task, self.data.target)
        check_labels(self.task, self.data.target, tuple(self.labels))
        check_options(self.task, self.quantiles, self.threshold)
        check_series(self.data.target, self.features)
        check_rows(self.rows, self.features, self.data)
        check_split(self.rows, self.split, self.data)
        if self.task == "anomaly" and self.split.folds:
            raise fault("are scored by what is true of rows; an anomaly score has nothing", "split", "folds")
        if self.task == "anomaly" and self.training.ensemble > 1:
            raise fault("is for what has a target; an anomaly score has one network", "training", "ensemble")
        check_network(self.network, self.features, self.task)
        check_classes(self.training, self.task, self.classes)
        check_alterations(self.training, self.features.inputs, self.branches)
        check_batches(self.training, [*self.branches.values(), self.then])
        check_within(self.training, self.task, self.data.target)
        check_hiding(self.training, self.task, [*self.branches.values(), self.then], self.search)
        check_decision(self.decision, self.classes, self.training.validation)
        check_fairness(self.fairness, self.features, self.rows)
        target = self.data.target.names if isinstance(self.data.target, Fielded) else ()
        beside = self.fairness.fields if self.fairness else ()
        check_private(self.private, self.features, (*target, *beside))
        if self.search is not None:
            check_search(self, self.search, self.training.validation)
        return self

    @property
    def branches(self) -> dict[str, tuple[Layer, ...]]:
        """The layers of each input's branch, in the order of the view, presets written out."""
        return {one.name: layers_of(self.network, one, self.task) for one in self.features.inputs}

    @property
    def then(self) -> tuple[Layer, ...]:
        """The layers over what the branches end in."""
        return self.network.then if isinstance(self.network, Branches) else ()

    @cached_property
    def rows(self) -> KeyTemplate:
        """The template of the keys that are rows: the view's first, or a number where it reads none."""
        keyed = self.features.keyed
        return template_of(keyed[0]) if keyed else KeyTemplate(UNKEYED)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The labels a prediction may have, by class number; none where it says numbers."""
        target = self.data.target
        if self.task == "multilabel" and isinstance(target, Fielded) and target.fields:
            return target.fields
        return tuple(dict.fromkeys(self.labels.values()))

    def as_data(self) -> dict[str, Any]:
        """Return the recipe as plain data, as the file says it and a manifest keeps it."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    @classmethod
    def load(cls, path: Path) -> "Recipe":
        """Read a recipe file.

        Raises: BadRecipe, no such file, or naming the line, the value and the cure.
        """
        try:
            with path.open(encoding="utf-8") as file:
                text = file.read(DOCUMENT_LIMIT_BYTES + 1)  # a device may have no end
        except (OSError, UnicodeDecodeError) as error:
            ready = ", ".join(ready_recipes())
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise BadRecipe(
                f"recipe {shown(str(path))!r} cannot be read ({reason}); ready recipes: {ready}",
                where=str(path),
            ) from error
        return cls.parse(text, path.name)

    @classmethod
    def parse(cls, text: str, where: str = "recipe") -> "Recipe":
        """Read a recipe from YAML text; `where` names it in errors.

        Raises: BadRecipe, naming the line, the value and the cure.
        """
        document = Document(text, where)
        try:
            return cls.model_validate(document.data)
        except ValidationError as error:
            raise worded(error, document, where, cls) from error


def ready_recipes() -> tuple[str, ...]:
    """Return the names of the recipes that come with the product."""
    found = (files("models") / "recipes").iterdir()
    return tuple(sorted(Path(str(entry)).stem for entry in found if entry.name.endswith(".yaml")))


def ready_recipe(name: str) -> Recipe:
    """Read a recipe that comes with the product.

    Raises: BadRecipe, no recipe of that name.
    """
    if name not in ready_recipes():
        near = get_close_matches(name, ready_recipes(), n=1)
        meant = f"did you mean {near[0]!r}? " if near else ""
        raise BadRecipe(
            f"no ready recipe is called {shown(name)!r}; {meant}there are {', '.join(ready_recipes())}",
            name=shown(name),
        )
    text = (files("models") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
    return Recipe.parse(text, f"{name}.yaml")
