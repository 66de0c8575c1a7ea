"""Whether what a recipe's training section asks for can be done with its inputs, labels and layers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from models.binding import row_shape
from models.features import InputView
from models.layers.layer import Layer
from models.recipe_faults import fault
from models.recipe_hiding import check_privacy
from models.recipe_training import Training
from models.sources import ListSource, VectorSource

Kind = Literal["vector", "series", "image"]
NAMES = ("embedding", "one_hot", "missing")  # between two numbers that are names there is nothing


def check_classes(training: Training, task: str, classes: Sequence[str]) -> None:
    """Refuse what only a classification has, and weights of labels that there are not."""
    for name in ("class_weights", "focal", "label_smoothing"):
        if task != "classification" and getattr(training, name):
            raise fault(f"is for classification; task is {task}, take it out", "training", name)
    if isinstance(training.class_weights, dict):
        given = training.class_weights
        for name in given:
            if name not in classes:
                raise fault(
                    f"is no label; there are: {', '.join(classes)}", "training", "class_weights", name
                )
        absent = [name for name in classes if name not in given]
        if absent:
            raise fault(f"has no weight for {', '.join(absent)}", "training", "class_weights")


def check_alterations(
    training: Training, inputs: Sequence[InputView], branches: Mapping[str, Sequence[Layer]]
) -> None:
    """Refuse augmentation without an input of its kind, and mixing where numbers are names."""
    kinds = {kind_of(one, branches[one.name]) for one in inputs}
    augment = training.augment
    for name, section, what in (
        ("image", augment.image, "an image: (height, width) read by conv2d, or (channels, height, width)"),
        ("series", augment.series, "a sequence: (steps, features)"),
    ):
        if section.model_dump(exclude_defaults=True) and name not in kinds:
            raise fault(f"has nothing to alter; no input of the view is {what}", "training", "augment", name)
    named = next((word for one in inputs for word in names_in(one, branches[one.name])), None)
    altering = "mixup" if training.mixup else "augment" if augment.series != type(augment.series)() else None
    if named and altering:
        raise fault(
            f"changes numbers, and {named} are numbers that stand for something; take one of the two out",
            *("training", altering),
        )


def names_in(view: InputView, layers: Sequence[Layer]) -> Iterator[str]:
    """Give what in an input are numbers that are names: fields with categories, and what layers look up."""
    for source in view.sources:
        fields = () if isinstance(source, VectorSource | ListSource) else source.fields
        yield from (f"the categories of {field.name}" for field in fields if field.categories)
    yield from (f"the numbers read by `{one.layer}`" for one in every_layer(layers) if one.layer in NAMES)


def check_batches(training: Training, layers: Sequence[Sequence[Layer]]) -> None:
    """Refuse batches of one row where a layer is measured on the rows of a batch."""
    if training.batch == 1 and any(one.layer == "batch_norm" for part in layers for one in every_layer(part)):
        raise fault(
            "is 1, and `batch_norm` has nothing to measure on one row; take 2 or more, or `layer_norm`",
            *("training", "batch"),
        )


def check_hiding(training: Training, task: str, layers: Sequence[Sequence[Layer]], search: object) -> None:
    """Refuse what a private training cannot have, a search among it: every trial would spend as much again."""
    check_privacy(training, task, [one.layer for part in layers for one in every_layer(part)])
    if training.privacy is not None and search is not None:
        raise fault(
            "spends the epsilon in every trial; search without training.privacy, or leave it out", "search"
        )


def kind_of(view: InputView, layers: Sequence[Layer]) -> Kind:
    """Return what a row of an input is, as the network reads it."""
    rank = len(row_shape(view))
    if rank == 2:
        return "image" if any(one.layer == "conv2d" for one in every_layer(layers)) else "series"
    return "image" if rank == 3 else "vector"


def every_layer(layers: Sequence[Layer]) -> Iterator[Layer]:
    """Give all layers, those inside others included."""
    for layer in layers:
        yield layer
        for value in (getattr(layer, name) for name in type(layer).model_fields):
            inside = list(value.values()) if isinstance(value, dict) else [value]
            for part in inside:
                if isinstance(part, tuple):
                    yield from every_layer([one for one in part if isinstance(one, Layer)])
