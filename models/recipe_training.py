"""The training section of a recipe: how a network is fitted."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PlainValidator, model_validator
from pydantic_core import PydanticCustomError

from models.keys import NAME, as_version
from models.layers.layer import Number
from models.names import ALIAS
from models.recipe_augmentation import Augmentation
from models.recipe_faults import fault
from models.recipe_privacy import Privacy
from models.recipe_sections import Section, Whole

Factor = Annotated[Number, Field(gt=0, lt=1)]
Epochs = Annotated[Whole, Field(ge=1, le=1_000_000)]
WEIGHT_LIMIT = 1_000_000


def class_weights(value: object) -> str | dict[str, float]:
    """Read `balanced`, or a weight for each label."""
    if value == "balanced":
        return "balanced"
    numbers = value.values() if isinstance(value, dict) else [None]
    right = [isinstance(one, int | float) and not isinstance(one, bool) for one in numbers]
    if isinstance(value, dict) and all(right) and all(0 < one <= WEIGHT_LIMIT for one in value.values()):
        return {str(label): float(weight) for label, weight in value.items()}
    raise PydanticCustomError(
        "class_weights", "should be balanced, or {label: number above 0} of every label"
    )


ClassWeights = Annotated[str | dict[str, float], PlainValidator(class_weights)]


class Step(Section):
    """Multiplies the learning rate by `factor` after every `every` epochs."""

    every: Annotated[Whole, Field(ge=1, le=100_000)] = 30
    factor: Factor = 0.3


class Plateau(Section):
    """Multiplies the learning rate by `factor` after `patience` epochs without a lower loss."""

    patience: Epochs = 5
    factor: Factor = 0.3


def start_of(reference: str) -> tuple[str, str]:
    """Return the model and the version or alias that a training begins with."""
    name, _, version = reference.partition(":")
    return name, version or "production"


def check_start(reference: str) -> str:
    """Refuse what names no version."""
    name, version = start_of(reference)
    if not NAME.fullmatch(name) or not (as_version(version) or ALIAS.fullmatch(version)):
        raise PydanticCustomError("start", "should be MODEL, MODEL:VERSION or MODEL:ALIAS, such as churn:3")
    return reference


class Training(Section):
    """How the network is fitted."""

    from_: Annotated[Annotated[str, AfterValidator(check_start)] | None, Field(alias="from")] = None
    """The published version whose weights it begins with."""
    freeze: Annotated[Whole, Field(ge=0, le=256)] = 0
    """Layers at the beginning of each branch that keep those weights."""

    optimizer: Literal["sgd", "momentum", "nesterov", "adam", "adamw"] = "adamw"
    lr: Annotated[Number, Field(gt=0, le=100)] = 0.001
    """Learning rate."""
    momentum: Factor = 0.9
    """Share of the last step that the next one keeps; for the optimizers `momentum` and `nesterov`."""
    weight_decay: Annotated[Number, Field(ge=0, le=10)] = 0.0
    clip: Annotated[Number, Field(gt=0)] | None = None
    """Largest norm of the gradient."""
    schedule: Literal["none", "cosine", "linear", "one_cycle", "step", "plateau"] = "none"
    step: Step = Step()
    plateau: Plateau = Plateau()
    warmup: Annotated[Number, Field(ge=0, le=1_000_000)] = 0.0
    """Epochs, or a part of one, over which the learning rate rises to what it shall be."""
    epochs: Epochs = 100
    """Times that every training row is seen, at most."""
    batch: Annotated[Whole, Field(ge=1, le=1 << 20)] = 64
    """Rows of one pass."""
    accumulate: Annotated[Whole, Field(ge=1, le=1 << 16)] = 1
    """Passes whose gradients make one step: large batches in little memory."""
    precision: Literal["float32", "mixed"] = "float32"
    """`mixed` computes in float16 where that is safe; on a CUDA device only."""
    ema: Factor | None = None
    """Decay of a running mean of the weights, which is what is judged and kept."""
    ensemble: Annotated[Whole, Field(ge=1, le=32)] = 1
    """Networks that are trained one after the other, each from numbers of its own; the mean of them is served."""
    class_weights: ClassWeights | None = None
    """How much a row of each label counts; `balanced` counts every label the same in all."""
    focal: Annotated[Number, Field(gt=0, le=10)] | None = None
    """Focal loss: how strongly rows that are right already are played down."""
    label_smoothing: Annotated[Number, Field(ge=0, le=0.5)] = 0.0
    """Share of the truth that is given to all labels alike."""
    augment: Augmentation = Augmentation()
    mixup: Annotated[Number, Field(gt=0, le=10)] | None = None
    """Rows are mixed in pairs, by a share drawn from Beta(mixup, mixup)."""
    privacy: Privacy | None = None
    """Differentially private training: how little one row may show in the weights."""
    patience: Epochs | None = None
    """Epochs without a better one after which training stops."""
    keep: Literal["loss", "metric"] = "loss"
    """What makes an epoch the best one, on the validation rows."""
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
    def _fits_together(self) -> Self:
        if self.freeze and self.from_ is None:
            raise fault("needs weights to keep; name the version that has them with `from`", "freeze")
        if self.patience is not None and self.validation == 0:
            raise fault("needs a validation share above 0 to look at", "patience")
        if self.keep == "metric" and self.validation == 0:
            raise fault("is metric, which needs a validation share above 0 to be measured on", "keep")
        if self.ensemble > 1 and self.privacy is not None:
            raise fault(
                "is one network where training is private: each more would tell more of a row", "ensemble"
            )
        if self.ensemble > 1 and self.from_ is not None:
            raise fault(
                "begins with a version's weights in one network only; leave it or `from` out", "ensemble"
            )
        if self.warmup and self.schedule == "one_cycle":
            raise fault("is for the other schedules; one_cycle rises by itself, leave it out", "warmup")
        if self.warmup >= self.epochs:
            raise fault(f"is {self.warmup:g} of {self.epochs} epochs; take fewer", "warmup")
        return self
