"""Whether a recipe's task, its target, its labels and the options of its task go together.

classification  a field, labels                        a label
multilabel      fields, or a field and a separator     every label that holds
regression      a field or fields, quantiles           a value, or one a field
forecasting     the steps that follow a series         those steps
anomaly         nothing                                how unlike the training rows
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from models.answers import MEDIAN
from models.features import FeatureView
from models.layers.layer import Number
from models.recipe_data import ColumnTarget, Fielded, FieldTarget, FollowingTarget, Target, VectorTarget
from models.recipe_faults import fault
from models.sources import SequenceSource

AnyTarget = Target | ColumnTarget
Task = Literal["classification", "multilabel", "regression", "forecasting", "anomaly"]
KINDS: dict[str, tuple[type, ...]] = {
    "classification": (FieldTarget, ColumnTarget),
    "multilabel": (FieldTarget, ColumnTarget),
    "regression": (FieldTarget, ColumnTarget),
    "forecasting": (FollowingTarget, VectorTarget, ColumnTarget),
    "anomaly": (),
}
WANTED = {
    "classification": "{key: ..., as: hash, field: ...}, or in a file {column: ...}",
    "multilabel": "{key: ..., as: hash, fields: [...]}, or a field and its separator",
    "regression": "{key: ..., as: hash, field: ...} or fields, or in a file {column: ...} or columns",
    "forecasting": "{as: following, steps: N}, or {key: ..., as: vector, shape: [N]}, "
    "or in a file {column: ..., shape: [N]} or columns",
}
LABELLED = ("classification", "multilabel")


def ascending(value: object) -> object:
    """Put quantiles in order; what is no list is told of by its type."""
    numbers = isinstance(value, list) and all(isinstance(one, int | float) for one in value)
    return sorted(value) if isinstance(value, list) and numbers else value


Quantiles = Annotated[
    tuple[Annotated[Number, Field(gt=0, lt=1)], ...], Field(max_length=99), BeforeValidator(ascending)
]


def check_target(task: str, target: AnyTarget | None) -> None:
    """Refuse a target that the task cannot learn from."""
    at = ("data", "target")
    if task == "anomaly":
        if target is not None:
            raise fault("is not read: an anomaly score is learned from the rows alone; take it out", *at)
        return
    if target is None:
        raise fault(f"is missing; {task} learns from {WANTED[task]}", *at)
    if not isinstance(target, KINDS[task]):
        raise fault(f"is no target for {task}, which learns from {WANTED[task]}", *at)
    if isinstance(target, Fielded):
        check_fields(task, target)


def check_fields(task: str, target: Fielded) -> None:
    """Refuse fields that do not suit the task."""
    if (target.field is None) == (not target.fields):
        raise fault("names no field, or both `field` and `fields`; write one of them", "data", "target")
    if task == "classification" and target.fields:
        raise fault("are several; classification has one field, take multilabel", "data", "target", "fields")
    if isinstance(target, ColumnTarget):
        check_steps(task, target)
    if target.separator is not None and (task != "multilabel" or target.fields):
        raise fault("parts one field into labels, for multilabel", "data", "target", "separator")
    if task == "multilabel" and target.field is not None and target.separator is None:
        raise fault(
            "holds several labels: say what parts them (separator: ','), or name `fields` of 0 and 1",
            *("data", "target", "field"),
        )


def check_steps(task: str, target: ColumnTarget) -> None:
    """Refuse columns that do not say how many steps they are."""
    starred = any("*" in name for name in target.columns)
    if task != "forecasting":
        if target.shape or starred:
            what = "has a shape" if target.shape else "is a pattern of columns"
            raise fault(f"{what}, which is for forecasting; task is {task}", "data", "target")
        return
    if not target.shape and (target.column is not None or starred):
        raise fault(
            "needs shape: how many steps are to come, [N], or [N, channels] where a step has several numbers",
            *("data", "target"),
        )
    steps, channels = target.steps
    if target.columns and not starred and len(target.columns) != steps * channels:
        raise fault(
            f"names {len(target.columns)} columns for the {steps * channels} numbers of shape "
            f"{list(target.shape)}",
            *("data", "target", "columns"),
        )


def check_labels(task: str, target: AnyTarget | None, classes: Sequence[str]) -> None:
    """Refuse labels that do not fit the task."""
    fields = isinstance(target, Fielded) and bool(target.fields)
    if classes and task not in LABELLED:
        raise fault(f"are for classification; task is {task}, take them out", "labels")
    if classes and fields:
        raise fault("are the names of the target's fields; take them out", "labels")
    if task == "classification" and len(classes) < 2:
        raise fault(
            f"name {len(classes)} classes, classification needs two or more; "
            "write {stored value: label} or a list",
            "labels",
        )
    if task == "multilabel" and not classes and not fields:
        raise fault("are missing; multilabel needs those that the target's field may hold", "labels")


def check_options(task: str, quantiles: Sequence[float], threshold: float | None) -> None:
    """Refuse options of another task."""
    if threshold is not None and task != "anomaly":
        raise fault(f"is for anomaly; task is {task}, take it out", "threshold")
    if not quantiles:
        return
    if task != "regression":
        raise fault(f"are for regression; task is {task}, take them out", "quantiles")
    if len(set(quantiles)) < len(quantiles):
        raise fault("has one twice", "quantiles")
    if MEDIAN not in quantiles:
        raise fault("should have 0.5 among them: it is the value that is answered", "quantiles")


def check_series(target: AnyTarget | None, features: FeatureView) -> None:
    """Refuse a view without the one series whose next steps are to be forecast."""
    if not isinstance(target, FollowingTarget):
        return
    found = [
        source for one in features.inputs for source in one.sources if isinstance(source, SequenceSource)
    ]
    if len(found) != 1 or not any(tuple(one.sources) == (found[0],) for one in features.inputs):
        raise fault(
            f"takes the end off a row's own list or stream, and the view has {len(found)} of these sources; "
            "give one input one list or stream and no other source",
            *("data", "target"),
        )
    if len(found[0].shape) > 1:
        raise fault(
            f"takes a list whose entries are rows of channels, not of shape {list(found[0].shape)}",
            *("data", "target"),
        )
    if any(one >= found[0].shape[0] for one in target.channels):
        raise fault(
            f"names a channel that an entry of shape {list(found[0].shape)} does not have",
            *("data", "target", "channels"),
        )
