"""Batches: rows that run together, whose they are, and how they are joined and parted; numpy only."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from models.manifest import Manifest
from models.tensors import Tensor
from server.inference.jobs import Feeds, Job

Signature = tuple[object, ...]
Span = tuple[Job, Sequence[int]]  # a job, and which of its rows


class Batch:
    """Rows of jobs as one tensor an input: feeds[input] is (rows, ...), the spans in order."""

    __slots__ = ("feeds", "rows", "spans")

    def __init__(self, feeds: Feeds, rows: int, spans: list[Span]) -> None:
        self.feeds, self.rows, self.spans = feeds, rows, spans

    @property
    def deadline(self) -> float:
        """When the last of its jobs is given up."""
        return max(job.deadline for job, _ in self.spans)

    @property
    def wanted(self) -> bool:
        """Whether somebody still waits for one of its jobs."""
        return any(job.open for job, _ in self.spans)

    def halves(self) -> tuple["Batch", "Batch"]:
        """Part a batch between two jobs, or the rows of its only one."""
        if len(self.spans) == 1:
            job, rows = self.spans[0]
            at = len(rows) // 2
            first, second = [(job, rows[:at])], [(job, rows[at:])]
        else:
            middle = len(self.spans) // 2
            first, second = self.spans[:middle], self.spans[middle:]
            at = sum(len(rows) for _, rows in first)
        return (
            Batch(rows_of(self.feeds, range(at)), at, first),
            Batch(rows_of(self.feeds, range(at, self.rows)), self.rows - at, second),
        )


def padded_inputs(manifest: Manifest) -> frozenset[str]:
    """Return the inputs whose rows may be padded: they come with their lengths, and no output shows steps."""
    if shows_steps(manifest):
        return frozenset()
    views = manifest.features.inputs if manifest.features else ()
    return frozenset(view.name for view in views if view.lengths is not None)


def shows_steps(manifest: Manifest) -> bool:
    """Whether an output has a free dimension beside the batch, so that padding would be seen in it."""
    return any(isinstance(dim, str) for spec in manifest.outputs for dim in spec.shape[1:])


def signature(feeds: Feeds, pad: Collection[str]) -> Signature:
    """Return what rows must have in common to share a run."""
    return tuple(
        (name, tensor.shape[2:] if name in pad else tensor.shape[1:])
        for name, tensor in sorted(feeds.items())
    )


def joined(batches: Sequence[Batch], pad: Collection[str]) -> Batch:
    """Join batches of one signature; the inputs in `pad` are brought to the longest of them."""
    if len(batches) == 1:
        return batches[0]
    columns = {name: [batch.feeds[name] for batch in batches] for name in batches[0].feeds}
    feeds = {name: np.concatenate(padded(parts) if name in pad else parts) for name, parts in columns.items()}
    return Batch(feeds, sum(batch.rows for batch in batches), [span for one in batches for span in one.spans])


def padded(parts: Sequence[Tensor]) -> list[Tensor]:
    """Bring sequences (B, T, ...) to the longest T with zeros at the right."""
    longest = max(part.shape[1] for part in parts)
    return [
        part
        if part.shape[1] == longest
        else np.pad(part, [(0, 0), (0, longest - part.shape[1])] + [(0, 0)] * (part.ndim - 2))
        for part in parts
    ]


def rows_of(feeds: Mapping[str, Tensor], rows: range) -> Feeds:
    """Return some rows of every input, as views."""
    return {name: tensor[rows.start : rows.stop] for name, tensor in feeds.items()}


def filled_up(feeds: Mapping[str, Tensor], rows: int, size: int) -> Feeds:
    """Repeat the last row until there are `size` rows."""
    index = np.minimum(np.arange(size), rows - 1)
    return {name: tensor[index] for name, tensor in feeds.items()}


def stacked(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Join the outputs of several runs, row after row."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
