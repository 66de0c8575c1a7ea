"""Whether a recipe's training can be private: what stands in the way of hiding single rows."""

from collections.abc import Iterable, Mapping

from models.recipe_data import Fielded
from models.recipe_faults import fault
from models.recipe_training import Training

BATCH_LEAST = 16
TASKS = ("classification", "multilabel", "regression")
TASKS_LEFT: Mapping[str, str] = {
    "forecasting": "takes several ends off one series, and hiding one of them would not hide the series",
    "anomaly": "has a threshold that is measured on the rows",
}
CURES: Mapping[str, str] = {
    "batch_norm": "mixes the rows of a batch; take `layer_norm`",
    **dict.fromkeys(
        ("standardize", "min_max", "robust", "quantile", "whiten", "columns"),
        "is measured on the rows themselves; take `scale`, `clip` or `log1p` with numbers that you know",
    ),
    **dict.fromkeys(
        ("rnn", "lstm", "gru", "attention"),
        "gives no gradient a row here; take `conv1d` and `global_avg_pool`",
    ),
}


def check_within(training: Training, task: str, target: object) -> None:
    """Refuse a regression whose values would be scaled by those of the rows, and ranges that nothing has."""
    if training.privacy is None:
        return
    given, at = len(training.privacy.within), ("training", "privacy", "within")
    if task != "regression":
        if given:
            raise fault(f"is for regression; task is {task}, take it out", *at)
        return
    wanted = max(1, len(target.fields)) if isinstance(target, Fielded) else 1
    if given != wanted:
        values = "the value" if wanted == 1 else f"each of the {wanted} values"
        raise fault(
            f"has {given} ranges; give one for {values}, from where to where it lies as is known without the "
            "rows (within: [0, 500]): what scales it would else be measured on them",
            *at,
        )


def check_privacy(training: Training, task: str, words: Iterable[str]) -> None:
    """Refuse what would let a row show more than the epsilon says, or cannot be computed a row at a time."""
    if training.privacy is None:
        return
    at = ("training", "privacy")
    if task not in TASKS:
        raise fault(f"is for {', '.join(TASKS[:-1])} and {TASKS[-1]}; {task} {TASKS_LEFT[task]}", *at)
    for word in words:
        if word in CURES:
            raise fault(f"cannot be had with `{word}`, which {CURES[word]}", *at)
    for name, holds, why in (
        ("mixup", training.mixup is not None, "a gradient would be of two rows"),
        ("accumulate", training.accumulate > 1, "take a larger batch"),
        ("clip", training.clip is not None, "privacy.clip holds for each row already"),
        ("precision", training.precision == "mixed", "noise is added in float32"),
        (
            "batch",
            training.batch < BATCH_LEAST,
            f"{training.batch} rows drown in the noise, take {BATCH_LEAST} or more",
        ),
        (
            "class_weights",
            training.class_weights == "balanced",
            "it counts the rows; give the weights as numbers",
        ),
    ):
        if holds:
            raise fault(f"does not go together with training.{name}: {why}", *at)
