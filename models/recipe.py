"""Recipe: how a model is trained, read from a YAML file; data only, no torch.

    Recipe > data (where the rows are) | features (FeatureView) | labels | network | training

Everything is checked when the file is read, before any work; a fault names the line, the value
and the cure. `models/recipes/` holds the recipes that are ready to run.
"""

from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from models.binding import row_shape
from models.documents import Document
from models.errors import BadFeatureView, BadRecipe, shown
from models.features import FeatureView, InputView
from models.keys import NAME, NAME_RULE
from models.layers import NetworkLayer, Number
from models.recipe_faults import fault, worded
from models.recipe_judging import (
    Decision,
    Fairness,
    Judge,
    Names,
    check_decision,
    check_fairness,
    check_private,
)
from models.sources import InlineSource
from models.templates import KeyTemplate

LABELS_LIMIT = 4096
LAYERS_LIMIT = 256
ROWS_LIMIT = 10_000_000

Rows = Annotated[int, Strict(), Field(ge=1, le=ROWS_LIMIT)]
Whole = Annotated[int, Strict()]
Text = Annotated[str, StringConstraints(min_length=1, max_length=512)]


class Section(BaseModel):
    """Immutable, a misspelt word is refused, and a field's docstring is its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class HashTarget(Section):
    """The field of a hash that holds what the network shall predict."""

    key: Text
    as_: Annotated[Literal["hash"], Field(alias="as")] = "hash"
    field: Text

    @field_validator("key")
    @classmethod
    def _template(cls, key: str) -> str:
        try:
            KeyTemplate(key)
        except BadFeatureView as error:
            raise fault(str(error)) from error
        return key


class RedisRows(Section):
    """Rows that lie in Redis, read through the recipe's own feature view."""

    source: Literal["redis"]
    match: Text
    """SCAN pattern of the keys that are rows; other keys it finds are passed over."""
    target: HashTarget
    max_rows: Rows = 100_000
    """When more keys match, this many are taken, always the same ones."""
    max_bad_share: Annotated[Number, Field(ge=0, le=1)] = 0.01
    """Share of the rows that may be unusable; more is an error."""
    dataset: Text | None = None
    """The ready data set that fills these keys."""


class Step(Section):
    """Multiplies the learning rate by `factor` after every `every` epochs."""

    every: Annotated[Whole, Field(ge=1, le=100_000)] = 30
    factor: Annotated[Number, Field(gt=0, lt=1)] = 0.3


class Training(Section):
    """How the network is fitted."""

    optimizer: Literal["sgd", "momentum", "adam", "adamw"] = "adamw"
    lr: Annotated[Number, Field(gt=0, le=100)] = 0.001
    """Learning rate."""
    momentum: Annotated[Number, Field(gt=0, lt=1)] = 0.9
    """Share of the last step that the next one keeps; for the optimizer `momentum`."""
    weight_decay: Annotated[Number, Field(ge=0, le=10)] = 0.0
    clip: Annotated[Number, Field(gt=0)] | None = None
    """Largest norm of the gradient."""
    schedule: Literal["none", "cosine", "step"] = "none"
    step: Step = Step()
    epochs: Annotated[Whole, Field(ge=1, le=1_000_000)] = 100
    """Times that every training row is seen, at most."""
    batch: Annotated[Whole, Field(ge=1, le=1 << 20)] = 64
    """Rows a step."""
    patience: Annotated[Whole, Field(ge=1, le=1_000_000)] | None = None
    """Epochs without a lower validation loss after which training stops."""
    validation: Annotated[Number, Field(ge=0, le=0.5)] = 0.15
    """Share of the rows that chooses the best epoch."""
    test: Annotated[Number, Field(gt=0, le=0.5)] = 0.2
    """Share of the rows that is held out: nothing is ever fitted or chosen on it."""
    stratified: bool = True
    """Whether every class has its share in each part."""
    seed: Annotated[Whole, Field(ge=0, lt=1 << 31)] = 0
    threads: Annotated[Whole, Field(ge=1, le=1024)] = 1
    """CPU threads; the same number gives the same model, bit for bit. More pay for large networks only."""

    @model_validator(mode="after")
    def _patience_needs_validation(self) -> Self:
        if self.patience is not None and self.validation == 0:
            raise fault("needs a validation share above 0 to look at", "patience")
        return self


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


class Recipe(Section):
    """A model and how it is made."""

    name: str
    description: Annotated[str, Field(max_length=4096)] = ""
    task: Literal["classification", "regression"]
    data: RedisRows
    features: FeatureView
    labels: Labels = {}
    """What is stored -> what a prediction says; the order gives the class numbers, from 0."""
    network: Annotated[tuple[NetworkLayer, ...], Field(max_length=LAYERS_LIMIT)]
    training: Training = Training()
    decision: Decision | None = None
    judge: Judge = Judge()
    fairness: Fairness | None = None
    private: Names = ()
    """Features that are called by an alias in cards, reports and messages."""

    @field_validator("name")
    @classmethod
    def _name(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise fault(f"is {shown(name)!r}; a model's name is {NAME_RULE}")
        return name

    @field_validator("features")
    @classmethod
    def _one_input(cls, view: FeatureView) -> FeatureView:
        if len(view.inputs) != 1:
            raise fault(
                f"has {len(view.inputs)} inputs, the network reads one; "
                "list every source under one input, they are concatenated",
                "inputs",
            )
        check_input(view.inputs[0])
        return view

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_labels(self.task, self.classes)
        check_templates(self.rows, self.features, self.data)
        check_decision(self.decision, self.classes, self.training.validation)
        check_fairness(self.fairness, self.features, self.rows)
        beside = self.fairness.fields if self.fairness else ()
        check_private(self.private, self.features, (self.data.target.field, *beside))
        return self

    @property
    def input(self) -> InputView:
        """The network's input."""
        return self.features.inputs[0]

    @cached_property
    def rows(self) -> KeyTemplate:
        """The template of the keys that are rows: the view's first."""
        return KeyTemplate(self.features.keyed[0].key)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The labels a prediction may have, by class number; none for regression."""
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
            text = path.read_text(encoding="utf-8")
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


def check_input(view: InputView) -> None:
    """Refuse an input that rows of Redis keys cannot fill or the network cannot take."""
    if view.dtype == "string":
        raise fault("is text; a network takes numbers, so give a field categories", "inputs", 0, "dtype")
    for index, source in enumerate(view.sources):
        if isinstance(source, InlineSource):
            raise fault(
                "is inline; rows in Redis have no request to read it from, store the fields under a key",
                *("inputs", 0, "sources", index),
            )
    if view.free_length and view.lengths is None:
        raise fault(
            f"reads a list of free length; name the input that takes each row's length "
            f"(lengths: {view.name}_length) or give the list pad: left or right",
            *("inputs", 0),
        )
    try:
        row_shape(view)
    except BadFeatureView as error:
        raise fault(f"does not fit together: {error}", "inputs", 0, "sources") from error


def check_labels(task: str, classes: tuple[str, ...]) -> None:
    """Refuse labels that do not fit the task."""
    if task == "regression" and classes:
        raise fault("are for classification; task is regression, take them out", "labels")
    if task == "classification" and len(classes) < 2:
        raise fault(
            f"name {len(classes)} classes, classification needs two or more; "
            "write {stored value: label} or a list",
            "labels",
        )


def check_templates(rows: KeyTemplate, view: FeatureView, data: RedisRows) -> None:
    """Refuse a key that the placeholders of a row's own key cannot fill."""
    keys: list[tuple[str, tuple[str | int, ...]]] = [
        (source.key, ("features", "inputs", number, "sources", index, "key"))
        for number, part in enumerate(view.inputs)
        for index, source in enumerate(part.sources)
        if not isinstance(source, InlineSource)
    ]
    for key, at in [*keys, (data.target.key, ("data", "target", "key"))]:
        unknown = set(KeyTemplate(key).placeholders) - set(rows.placeholders)
        if unknown:
            raise fault(
                f"is {key!r} and needs {', '.join(sorted(unknown))}, which the rows' key "
                f"{rows.text!r} does not give",
                *at,
            )


def ready_recipes() -> tuple[str, ...]:
    """Return the names of the recipes that come with the product."""
    found = (files("models") / "recipes").iterdir()
    return tuple(sorted(Path(str(entry)).stem for entry in found if entry.name.endswith(".yaml")))


def ready_recipe(name: str) -> Recipe:
    """Read a recipe that comes with the product.

    Raises: BadRecipe, no recipe of that name.
    """
    if name not in ready_recipes():
        raise BadRecipe(
            f"no ready recipe is called {shown(name)!r}; there are {', '.join(ready_recipes())}",
            name=shown(name),
        )
    text = (files("models") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
    return Recipe.parse(text, f"{name}.yaml")
