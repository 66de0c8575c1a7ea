"""The training section of a recipe: how a network is fitted."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.layers.layer import Number
from models.recipe_faults import fault
from models.recipe_sections import Section, Whole


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
