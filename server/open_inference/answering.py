"""Outputs of the core -> an answer of the protocol: the tensors that are wanted, or their likeliest classes."""

import asyncio
from collections.abc import Sequence
from itertools import chain
from math import prod

import numpy as np
from numpy.typing import NDArray

from models.errors import BadRequest, listed
from models.manifest import Manifest
from models.tensors import Tensor
from server.inference.answers import WHOLE_NUMBERS
from server.inference.asking import Answer
from server.inference.predictor import is_well
from server.open_inference.datatypes import BYTES, DATATYPES
from server.open_inference.infer import Infer, Inferred, OutputWanted, TensorTold

MOST_TEXTS = 1 << 17  # written one by one
VALUES_INLINE = 1 << 15  # of outputs that are wanted as classes; more are sorted beside the event loop


async def told_in_turn(request: Infer, answer: Answer, manifest: Manifest) -> Inferred:
    """Return what `told` does, beside the event loop where many values are sorted for the largest.

    Raises: as `told`.
    """
    outputs = answer.outputs or {}
    values = sum(outputs[one.name].size for one in request.outputs if one.classes and one.name in outputs)
    if values <= VALUES_INLINE:
        return told(request, answer, manifest)
    return await asyncio.to_thread(told, request, answer, manifest)


def told(request: Infer, answer: Answer, manifest: Manifest) -> Inferred:
    """Return the answer to a request, of the version that `manifest` describes.

    Raises: BadRequest, that version has no such output; more classes than an answer may hold.
    """
    outputs = answer.outputs or {}
    dtypes = {spec.name: spec.dtype for spec in manifest.outputs}
    wanted = request.outputs or [OutputWanted(name) for name in dtypes]
    absent = [one.name for one in wanted if one.name not in outputs]
    if absent:  # under a traffic rule its other versions may have others
        raise BadRequest(f"version {answer.version} answered, which has no output {listed(absent)}")
    tensors = [output(one, outputs[one.name], dtypes[one.name], manifest) for one in wanted]
    return Inferred(answer.model, answer.version, request.id, tensors, parameters_of(answer))


def output(wanted: OutputWanted, tensor: Tensor, dtype: str, manifest: Manifest) -> TensorTold:
    """Return one output as it is wanted.

    Raises: as `classified`.
    """
    if not wanted.classes:
        return TensorTold(wanted.name, DATATYPES[dtype], tensor, wanted.binary)
    labels = manifest.labels if wanted.name == manifest.output else ()
    return TensorTold(wanted.name, BYTES, classified(tensor, wanted.classes, labels), wanted.binary)


def classified(tensor: Tensor, count: int, labels: Sequence[str]) -> Tensor:
    """Return the likeliest classes of each row as texts `value:index` or `value:index:label`.

    Shape:  (B, ...) -> (B, min(count, values of a row)), objects; the largest value first, of equal ones
            the one with the lowest index. Whole numbers are written whole, others with six decimals.
    Raises: BadRequest, more of them than an answer may hold.
    Source: Triton's classification extension.
    """
    rows = tensor.reshape(len(tensor), prod(tensor.shape[1:])) if tensor.ndim > 1 else tensor.reshape(1, -1)
    asked = len(rows) * min(count, rows.shape[1])
    if asked > MOST_TEXTS:
        raise BadRequest(
            f"{asked} classes are wanted over all rows, an answer holds {MOST_TEXTS} at most; ask for fewer rows "
            "or classes, or for the output itself",
            field="classification",
        )
    best = largest(rows)[:, :count]
    values = np.take_along_axis(rows, best, axis=1).tolist()
    written = "d" if rows.dtype.kind in WHOLE_NUMBERS else "f"
    texts = np.empty(best.shape, object)
    for row, classes in enumerate(best.tolist()):
        for place, one in enumerate(classes):
            label = f":{labels[one]}" if one < len(labels) else ""
            texts[row, place] = f"{values[row][place]:{written}}:{one}{label}"
    return texts


def largest(rows: Tensor) -> NDArray[np.intp]:
    """Return the indices of the values of each row, those of the largest first; equal ones keep their order.

    Shape: (B, values) both.
    """
    if rows.dtype.kind not in WHOLE_NUMBERS:
        return np.argsort(-rows.astype(np.float64), axis=1, kind="stable")
    from_the_end = np.argsort(rows[:, ::-1], axis=1, kind="stable")  # not negated: the least has no opposite
    best: NDArray[np.intp] = rows.shape[1] - 1 - from_the_end[:, ::-1]
    return best


def parameters_of(answer: Answer) -> dict[str, str | int | float | bool]:
    """Return what an answer says beside its tensors: the values that were stood in for."""
    if is_well(answer.rows):
        return {}
    filled = list(dict.fromkeys(chain.from_iterable(row.filled for row in answer.rows)))
    return {"filled": ",".join(filled)} if filled else {}
