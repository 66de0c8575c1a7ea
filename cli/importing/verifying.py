"""Models tried before they are written: in a process apart, and against the RedisAI they come from where it runs."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Protocol

import numpy as np
import onnxruntime as ort

from cli.importing.errors import AnswersDiffer
from cli.importing.inventory import Found
from cli.trial import MEMORY_BYTES, SECONDS
from models.bundle import Bundle
from models.errors import shown
from models.tensor_strings import StoredTensor, array_of, of_array
from models.tensors import Tensor
from server.inference.admission import numbered
from server.inference.errors import ModelNotLoadable, RunFailed
from server.inference.samples import SEED, TRY_SECONDS, sample, too_large
from server.inference.sessions import Session, ending, in_time
from server.inference.trials import Trials

ROWS = 2  # of made-up input, where the graph does not say how many
TOLERANCE = 1e-3  # of a value, and a tenth of it beside zero: other kernels, another order of sums
LOADED = "loaded, run once"


class Asked(Protocol):
    """A running RedisAI that can be asked."""

    async def run(self, found: Found, feeds: Sequence[Tensor], outputs: int) -> list[StoredTensor] | str:
        """Return the outputs for some input, or why there are none."""
        ...


class Verifier:
    """Tries bundles, one after the other; `asked` is the RedisAI they come from, None where it is a file."""

    def __init__(self, asked: Asked | None) -> None:
        self._asked = asked
        self._trials = Trials(MEMORY_BYTES, SECONDS)

    async def close(self) -> None:
        """End the process that models are tried in."""
        await self._trials.close()

    async def verify(self, found: Found, bundle: Bundle) -> str:
        """Try a bundle and return in words how.

        Raises: BadModelFile, it does not load or run; AnswersDiffer.
        """
        await self._trials.admit(bundle)
        if self._asked is None:
            return LOADED
        rows = bundle.manifest.fixed_rows or ROWS
        if too_large(bundle.manifest.inputs, rows):
            return f"{LOADED}; not compared: its input is too large to be made up"
        feeds = sample(bundle.manifest.inputs, rows, SEED)
        theirs = await self._theirs(found, bundle, list(feeds.values()))
        if isinstance(theirs, str):
            return f"{LOADED}; not compared: {shown(theirs)}"
        ours = await asyncio.to_thread(run_here, bundle, feeds)
        if isinstance(ours, str):
            return f"{LOADED}; not compared: {ours}"
        return compared(found, list(ours.values()), theirs)

    async def _theirs(
        self, found: Found, bundle: Bundle, feeds: Sequence[Tensor]
    ) -> list[StoredTensor] | str:
        """Ask RedisAI for its answer; what its tensors cannot hold is not asked."""
        try:
            for array in feeds:
                of_array(array)
        except ValueError as error:
            return str(error)
        assert self._asked is not None  # noqa: S101  # for the type checker
        return await self._asked.run(found, feeds, len(bundle.manifest.outputs))


def run_here(bundle: Bundle, feeds: dict[str, Tensor]) -> dict[str, Tensor] | str:
    """Run a bundle that was tried well before; return its outputs, or why it does not take made-up input."""
    stop = ort.RunOptions()
    try:
        with in_time(TRY_SECONDS, partial(ending, stop)):
            return Session(numbered(bundle)).run(feeds, stop)
    except (ModelNotLoadable, RunFailed) as error:
        return shown(error)


def compared(found: Found, ours: Sequence[Tensor], theirs: Sequence[StoredTensor]) -> str:
    """Return how near two answers are.

    Raises: AnswersDiffer.
    """
    largest = 0.0
    for one, other in zip(ours, map(array_of, theirs), strict=False):
        if one.shape != other.shape:
            raise AnswersDiffer(found.name, f"shape {list(one.shape)} here, {list(other.shape)} there")
        if one.dtype.kind not in "fiub" or other.dtype.kind not in "fiub":
            if not np.array_equal(one, other):
                raise AnswersDiffer(found.name, "other texts")
            continue
        here, there = one.astype(np.float64), other.astype(np.float64)
        if not np.allclose(here, there, rtol=TOLERANCE, atol=TOLERANCE / 10, equal_nan=True):
            raise AnswersDiffer(found.name, f"up to {difference(here, there):.3g} apart")
        largest = max(largest, difference(here, there))
    return f"same answers as RedisAI, at most {largest:.2g} apart"


def difference(one: Tensor, other: Tensor) -> float:
    """Return the largest difference of two arrays."""
    apart = np.nan_to_num(np.abs(one - other))
    return float(apart.max()) if apart.size else 0.0
