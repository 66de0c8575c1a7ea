"""Output tensors -> the answer of each row, worded by the model's task."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from models.manifest import Manifest
from models.tensors import Tensor

Body = dict[str, Any]
THRESHOLD = 0.5
EVEN = 2  # labels of a network with a single sigmoid


def bodies(manifest: Manifest, outputs: Mapping[str, Tensor], raw: bool = False) -> list[Body]:
    """Return one body a row of the outputs; plain tensors on `raw` or without a task."""
    if manifest.batching == "none":
        return [{"outputs": {name: tensor.tolist() for name, tensor in outputs.items()}}]
    if raw or manifest.task == "tensor" or manifest.output is None:
        return plain(outputs)
    return WORDINGS[manifest.task](manifest, outputs[manifest.output])


def plain(outputs: Mapping[str, Tensor]) -> list[Body]:
    """Every output as nested lists, row by row."""
    columns = {name: tensor.tolist() for name, tensor in outputs.items()}
    rows = len(next(iter(columns.values())))
    return [{"outputs": {name: column[row] for name, column in columns.items()}} for row in range(rows)]


def classes(manifest: Manifest, output: Tensor) -> list[Body]:
    """Label and probabilities; a graph that gives the class number itself has no probabilities."""
    if output.dtype.kind in "iu":
        return [{"label": manifest.labels[number]} for number in output.reshape(-1).tolist()]
    probabilities = of_classes(output, len(manifest.labels))
    best = probabilities.argmax(axis=1).tolist()
    return [
        {"label": manifest.labels[label], "probabilities": dict(zip(manifest.labels, row, strict=True))}
        for label, row in zip(best, probabilities.tolist(), strict=True)
    ]


def of_classes(output: Tensor, labels: int) -> Tensor:
    """Return probabilities as (B, labels); one sigmoid stands for the second of two labels."""
    flat = output.reshape(len(output), -1)
    if labels == EVEN and flat.shape[1] == 1:
        return np.concatenate((1 - flat, flat), axis=1)
    return flat


def labels_alone(manifest: Manifest, output: Tensor) -> list[Body]:
    """One probability a label, and the labels at or over one half."""
    rows = output.reshape(len(output), -1).tolist()
    return [
        {
            "labels": [label for label, p in zip(manifest.labels, row, strict=True) if p >= THRESHOLD],
            "probabilities": dict(zip(manifest.labels, row, strict=True)),
        }
        for row in rows
    ]


def values(_manifest: Manifest, output: Tensor) -> list[Body]:
    """One number a row; a list when the graph gives several."""
    flat = output.reshape(len(output), -1)
    return [{"value": row[0] if len(row) == 1 else row} for row in flat.tolist()]


WORDINGS: dict[str, Callable[[Manifest, Tensor], list[Body]]] = {
    "classification": classes,
    "multilabel": labels_alone,
    "regression": values,
}
