"""Samples: made-up rows for a signature, and what a graph does with several of them at once.

A batch holds rows of different callers, so a graph may only share one when no row sees another.
Which graphs do is tried, not believed: an LSTM whose first axis is time, a BatchNormalization left
in training mode, an attention over the batch and weights that were quantized dynamically, whose
activations have one scale for all rows, look like any other graph from outside.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import onnxruntime as ort

from models.manifest import Manifest
from models.tensors import ELEMENT_LIMIT, Tensor, TensorSpec, elements, is_float, numpy_dtype
from server.inference.answers import WHOLE_NUMBERS
from server.inference.errors import RunFailed
from server.inference.sessions import Session, ending, in_time
from server.inference.stacking import padded_inputs

log = logging.getLogger(__name__)

# apart: no row sees another. coupled: one answer a row, but it depends on the other rows.
# whole: the outputs have no row for each row of the inputs.
Rows = Literal["apart", "coupled", "whole"]
FREE_STEPS = 8  # what a free dimension other than the batch is tried with
TOLERANCE = {2: 1e-2}  # of float16, by bytes an element
FINE_TOLERANCE = 1e-3
SEED = 0
FAR = 10_000  # times a value of about 1; float16 still holds it
FAR_INTEGER = 100  # every integer type holds it
TRY_SECONDS = 10.0  # for all the runs of one trial


def try_rows(session: Session) -> Rows:
    """Run a few rows and return how they are to one another.

    A graph that takes no made-up rows, or too long for them, counts as what its signature says.
    """
    manifest = session.manifest
    said = claimed(manifest)
    rows = manifest.fixed_rows or 2
    if too_large(manifest.inputs, rows):
        return said
    stop = ort.RunOptions()
    try:
        with in_time(TRY_SECONDS, partial(ending, stop)):
            found = said if said == "whole" else tried(session, rows, stop)
    except RunFailed as error:
        reason = error.details["reason"]
        log.info("%s v%d does not run on made-up rows: %s", manifest.name, manifest.version, reason)
        return said
    return found


def try_padding(session: Session) -> bool:
    """Run sequences as they are and padded, their lengths beside them, and return whether the answers agree.

    A graph without such sequences agrees, and one that takes no made-up ones, or too long for them.
    """
    manifest = session.manifest
    views, names = manifest.features.inputs if manifest.features else (), padded_inputs(manifest)
    padded = {view.name: view.lengths for view in views if view.lengths is not None and view.name in names}
    rows = manifest.fixed_rows or 1
    if not padded or too_large(manifest.inputs, rows):
        return True
    feeds, stop = sample(manifest.inputs, rows, SEED), ort.RunOptions()
    feeds |= {lengths: np.full(rows, feeds[name].shape[1], np.int64) for name, lengths in padded.items()}
    longer = {name: np.concatenate((feeds[name], np.zeros_like(feeds[name])), axis=1) for name in padded}
    try:
        with in_time(TRY_SECONDS, partial(ending, stop)):
            return same(session.run(feeds, stop), session.run(feeds | longer, stop), slice(None))
    except RunFailed as error:
        reason = error.details["reason"]
        log.info("%s v%d does not run on made-up sequences: %s", manifest.name, manifest.version, reason)
        return True


def claimed(manifest: Manifest) -> Rows:
    """Return how rows are to one another as far as a signature says."""
    return "whole" if manifest.batching == "none" else "apart"


def warm(session: Session) -> None:
    """Run one row of zeros, so that the first request does not pay for what ONNX Runtime does once."""
    manifest, rows, stop = session.manifest, max(1, session.manifest.fixed_rows), ort.RunOptions()
    if too_large(manifest.inputs, rows):
        return
    with suppress(RunFailed), in_time(TRY_SECONDS, partial(ending, stop)):  # a real row may well run
        session.run(zeros(manifest.inputs, rows), stop)


def tried(session: Session, rows: int, stop: ort.RunOptions) -> Rows:
    """Run rows again and again, each time with every other row changed, and compare the ones that stayed."""
    specs = session.manifest.inputs
    one, other = sample(specs, rows, SEED), sample(specs, rows, SEED + 1)
    outputs = session.run(one, stop)
    if any(len(tensor) != rows for tensor in outputs.values()):
        return "whole"
    trial = Mixing(session, one, outputs, stop)
    if trial.moved(other):
        return "coupled"
    for rows_far in far(other):
        with suppress(RunFailed):  # what is far may be no index of a table, which says nothing about rows
            if trial.moved(rows_far):
                return "coupled"
    return "apart"


@dataclass(frozen=True, slots=True)
class Mixing:
    """Rows and what a session answers to them."""

    session: Session
    rows: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    stop: ort.RunOptions

    def moved(self, others: Mapping[str, Tensor]) -> bool:
        """Whether a row has another answer where others are in the places of its neighbours.

        Raises: RunFailed.
        """
        for changed in (0, 1):
            mixed = {name: tensor.copy() for name, tensor in self.rows.items()}
            for name, tensor in mixed.items():
                tensor[changed::2] = others[name][changed::2]
            if not same(self.outputs, self.session.run(mixed, self.stop), slice(1 - changed, None, 2)):
                return True
        return False


def far(feeds: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Yield rows of large numbers: beside them a scale or a mean over the batch is seen in an output near 0 or 1 too.

    Dynamic quantization has such a scale. Integers come second: a graph may take no large ones.
    """
    floats = {name: tensor * FAR for name, tensor in feeds.items() if is_float(tensor.dtype)}
    integers = {
        name: np.full_like(tensor, FAR_INTEGER)
        for name, tensor in feeds.items()
        if tensor.dtype.kind in WHOLE_NUMBERS
    }
    if floats:
        yield {**feeds, **floats}
    if integers:
        yield {**feeds, **floats, **integers}


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor], rows: slice) -> bool:
    """Whether the outputs of some rows agree."""
    return all(close(tensor[rows], other[name][rows]) for name, tensor in one.items())


def close(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors agree within what the order of a sum may change."""
    if one.shape != other.shape or not is_float(one.dtype):
        return bool(np.array_equal(one, other))
    tolerance = TOLERANCE.get(one.dtype.itemsize, FINE_TOLERANCE)
    one, other = one.astype(np.float64), other.astype(np.float64)
    return bool(np.allclose(one, other, rtol=tolerance, atol=tolerance / 10, equal_nan=True))


def too_large(specs: Sequence[TensorSpec], rows: int) -> bool:
    """Whether made-up rows would take more memory than one real row may."""
    return any(elements(shape_of(spec, rows)) > ELEMENT_LIMIT for spec in specs)


def shape_of(spec: TensorSpec, rows: int) -> list[int]:
    """Return a shape that a signature allows: `rows` rows, other free dimensions small."""
    free = [rows if axis == 0 else FREE_STEPS for axis in range(len(spec.shape))]
    return [dim if isinstance(dim, int) else free[axis] for axis, dim in enumerate(spec.shape)]


def zeros(specs: Sequence[TensorSpec], rows: int = 1) -> dict[str, Tensor]:
    """Return feeds of zeros (empty texts), and ones for one number a row: a length of one is in range."""
    return {
        spec.name: np.full(shape_of(spec, rows), "", object)
        if spec.dtype == "string"
        else np.full(shape_of(spec, rows), int(len(spec.shape) == 1), numpy_dtype(spec.dtype))
        for spec in specs
    }


def sample(specs: Sequence[TensorSpec], rows: int, seed: int) -> dict[str, Tensor]:
    """Return feeds of random values: small indices for integers, lengths of one or two a row."""
    random = np.random.default_rng(seed)
    return {spec.name: random_tensor(random, spec, rows) for spec in specs}


def random_tensor(random: np.random.Generator, spec: TensorSpec, rows: int) -> Tensor:
    """Return random values of one input."""
    shape = shape_of(spec, rows)
    if spec.dtype == "string":
        return random.choice(np.array(["", "a"], object), shape)
    if "float" in spec.dtype:
        return random.normal(size=shape).astype(numpy_dtype(spec.dtype))
    least = int(len(shape) == 1)
    top = 1 if spec.dtype == "bool" else least + 1
    return random.integers(least, top, shape, endpoint=True).astype(numpy_dtype(spec.dtype))
