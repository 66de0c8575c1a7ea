"""Usage: what a version was used for since somebody reset that, of all workers together."""

from collections.abc import Sequence
from typing import NamedTuple

from server.counting.version_statistics import Statistics


class Usage(NamedTuple):
    """Numbers of one version, through whichever door it was asked.

    `calls` are requests that were answered or failed, `errors` those without one good row, `samples`
    the rows that were run.

    Units: microseconds, spent in ONNX Runtime; each request is charged with the whole of the batch it was part of.
    """

    calls: float = 0.0
    errors: float = 0.0
    samples: float = 0.0
    microseconds: float = 0.0

    @classmethod
    def of(cls, counted: Statistics) -> "Usage":
        """Return what was counted of a version since it was published."""
        calls = counted.success.count + counted.fail.count
        return cls(calls, counted.fail.count, counted.inference_count, counted.compute_infer.ns / 1000)

    def since(self, before: Sequence[float]) -> "Usage":
        """Return what has come on top of that; at least nothing, workers are not read at one moment."""
        return Usage(*(max(0.0, now - then) for now, then in zip(self, before, strict=True)))
