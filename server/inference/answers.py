"""Output tensors -> the answer of each row, worded by the model's task."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from models.answers import MEDIAN, AnswerSpec
from models.decoding import all_finite
from models.errors import InsituError
from models.manifest import Manifest
from models.tensors import Tensor, elements, is_float
from server.inference.errors import RunFailed

Body = dict[str, Any]
Worded = Body | InsituError  # a row's body, or why its output says nothing
EVEN_CHANCE = 0.5
EVEN = 2  # labels of a network with a single sigmoid
TEXT = "OU"
WHOLE_NUMBERS = "iu"
# That several rows are told at once: saying one holds everybody up for 40 ns, and takes 32 bytes meanwhile.
ANSWER_NUMBERS = 1 << 22


def bodies(manifest: Manifest, outputs: Mapping[str, Tensor], raw: bool = False) -> list[Worded]:
    """Return one body a row of the outputs; plain tensors on `raw` or without a task.

    Raises: RunFailed, when the output is of another width than the labels.
    """
    if raw or manifest.task == "tensor" or manifest.output is None:
        return plain(outputs)
    return WORDINGS[manifest.task](manifest, outputs[manifest.output])


def numbers_told(manifest: Manifest, raw: bool = False) -> int:
    """Return how many numbers an answer says of a row; a free dimension counts as one, nobody knows it before."""
    told = [
        spec for spec in manifest.outputs if raw or manifest.task == "tensor" or spec.name == manifest.output
    ]
    return sum(elements([dim for dim in spec.shape[1:] if isinstance(dim, int)]) for spec in told)


def entire(outputs: Mapping[str, Tensor]) -> list[Worded]:
    """Every output as nested lists, all of it one answer."""
    return [{"outputs": {name: tensor.tolist() for name, tensor in outputs.items()}}]


def plain(outputs: Mapping[str, Tensor]) -> list[Worded]:
    """Every output as nested lists, row by row."""
    columns = {name: tensor.tolist() for name, tensor in outputs.items()}
    rows = len(next(iter(columns.values())))
    return [{"outputs": {name: column[row] for name, column in columns.items()}} for row in range(rows)]


def classes(manifest: Manifest, output: Tensor) -> list[Worded]:
    """Label and probabilities; a graph that gives the class itself has no probabilities."""
    if output.dtype.kind in TEXT or output.dtype.kind in WHOLE_NUMBERS:
        return [chosen(manifest, value) for value in flat(manifest, output, 1).reshape(-1).tolist()]
    probabilities = of_classes(manifest, output)
    best = said(manifest, probabilities)
    return [
        {"label": manifest.labels[label], "probabilities": dict(zip(manifest.labels, row, strict=True))}
        if good
        else unusable(manifest, row)
        for label, row, good in zip(best, probabilities.tolist(), finite_rows(probabilities), strict=True)
    ]


def said(manifest: Manifest, probabilities: Tensor) -> list[int]:
    """Return the number of each row's label: the likeliest, or the second of two from the threshold on."""
    if manifest.threshold is not None:
        return [int(second) for second in probabilities[:, 1] >= manifest.threshold]
    best: list[int] = probabilities.argmax(axis=1).tolist()
    return best


def chosen(manifest: Manifest, value: str | int) -> Worded:
    """The label that a graph chose itself, by its text or by its number from 0."""
    if isinstance(value, str):
        return {"label": value}
    if 0 <= value < len(manifest.labels):
        return {"label": manifest.labels[value]}
    return failed(manifest, f"class {value}; its labels are numbered 0 to {len(manifest.labels) - 1}")


def of_classes(manifest: Manifest, output: Tensor) -> Tensor:
    """Return probabilities as (B, labels); one sigmoid stands for the second of two labels."""
    labels = len(manifest.labels)
    if labels == EVEN and output.size == len(output):
        second = output.reshape(len(output), 1)
        return np.concatenate((1 - second, second), axis=1)
    return flat(manifest, output, labels)


def labels_alone(manifest: Manifest, output: Tensor) -> list[Worded]:
    """One probability a label, and the labels at or over the threshold, one half where there is none."""
    threshold = EVEN_CHANCE if manifest.threshold is None else manifest.threshold
    probabilities = flat(manifest, output, len(manifest.labels))
    return [
        {
            "labels": [label for label, p in zip(manifest.labels, row, strict=True) if p >= threshold],
            "probabilities": dict(zip(manifest.labels, row, strict=True)),
        }
        if good
        else unusable(manifest, row)
        for row, good in zip(probabilities.tolist(), finite_rows(probabilities), strict=True)
    ]


def values(manifest: Manifest, output: Tensor) -> list[Worded]:
    """One number a row, a list when the graph gives several; by their names and quantiles where it has some."""
    if manifest.answer is None and output.size == len(output) and finite(output):  # nearly always
        return [{"value": number} for number in output.reshape(-1).tolist()]
    said = manifest.answer or AnswerSpec()
    numbers = output.reshape(len(output), -1) if not said.width else flat(manifest, output, said.width)
    return [
        worded_values(said, row) if good else unusable(manifest, row)
        for row, good in zip(numbers.tolist(), finite_rows(numbers), strict=True)
    ]


def worded_values(said: AnswerSpec, row: list[float]) -> Body:
    """A value or values by name, with quantiles where there are some: the value is the median then."""
    if not said.quantiles:
        if said.values:
            return {"values": dict(zip(said.values, row, strict=True))}
        return {"value": row[0] if len(row) == 1 else row}
    names, width = list(map(str, said.quantiles)), len(said.quantiles)
    every = [dict(zip(names, row[at : at + width], strict=True)) for at in range(0, len(row), width)]
    medians = [one[str(MEDIAN)] for one in every]
    if not said.values:
        return {"value": medians[0], "quantiles": every[0]}
    return {
        "values": dict(zip(said.values, medians, strict=True)),
        "quantiles": dict(zip(said.values, every, strict=True)),
    }


def forecasts(manifest: Manifest, output: Tensor) -> list[Worded]:
    """The steps to come, each a number or a list of the channels."""
    numbers = output.reshape(len(output), -1)
    return [
        {"forecast": steps} if good else unusable(manifest, row)
        for steps, row, good in zip(output.tolist(), numbers.tolist(), finite_rows(numbers), strict=True)
    ]


def scores(manifest: Manifest, output: Tensor) -> list[Worded]:
    """How unlike the training rows a row is, and whether that is over the threshold."""
    threshold = manifest.answer.threshold if manifest.answer else None
    numbers = flat(manifest, output, 1)
    return [
        {"anomaly_score": row[0], **({} if threshold is None else {"anomaly": row[0] > threshold})}
        if good
        else unusable(manifest, row)
        for row, good in zip(numbers.tolist(), finite_rows(numbers), strict=True)
    ]


def flat(manifest: Manifest, output: Tensor, width: int) -> Tensor:
    """Return an output as (B, width).

    Raises: RunFailed, when it has another width.
    """
    rows = output.reshape(len(output), -1)
    if rows.shape[1] != width:
        raise failed(manifest, f"{rows.shape[1]} values a row where {width} belong")
    return rows


def finite(rows: Tensor) -> bool:
    """Whether every number is finite."""
    return not is_float(rows.dtype) or all_finite(rows)


def finite_rows(rows: Tensor) -> list[bool]:
    """Whether every number of a row is finite, row by row."""
    if finite(rows):
        return [True] * len(rows)
    good: list[bool] = np.logical_and.reduce(np.isfinite(rows), axis=1).tolist()
    return good


def unusable(manifest: Manifest, row: list[float]) -> RunFailed:
    """Return the error of a row whose numbers are not all finite."""
    odd = next(value for value in row if not np.isfinite(value))
    return failed(manifest, f"{odd}, which is no answer")


def failed(manifest: Manifest, found: str) -> RunFailed:
    """Return the error of a row whose output cannot be worded."""
    return RunFailed(manifest.name, manifest.version, f"output {manifest.output!r} gave {found}")


WORDINGS: dict[str, Callable[[Manifest, Tensor], list[Worded]]] = {
    "classification": classes,
    "multilabel": labels_alone,
    "regression": values,
    "forecasting": forecasts,
    "anomaly": scores,
}
