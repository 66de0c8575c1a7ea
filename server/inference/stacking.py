"""Rows of requests joined into one batch, and its outputs parted again; pure, numpy only."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from models.manifest import Manifest
from models.tensors import Tensor
from server.inference.jobs import Feeds, Job, Outcome


def padded_inputs(manifest: Manifest) -> frozenset[str]:
    """Return the inputs whose rows may be padded: they come with their lengths, and no output shows steps."""
    if shows_steps(manifest):
        return frozenset()
    views = manifest.features.inputs if manifest.features else ()
    return frozenset(view.name for view in views if view.lengths is not None)


def shows_steps(manifest: Manifest) -> bool:
    """Whether an output has a free dimension beside the batch, so that padding would be seen in it."""
    return any(isinstance(dim, str) for spec in manifest.outputs for dim in spec.shape[1:])


def joined(jobs: Sequence[Job], pad: Collection[str]) -> Feeds:
    """Join the rows of requests; the inputs in `pad` are brought to the longest of them."""
    if len(jobs) == 1:
        return jobs[0].feeds
    columns = {name: [job.feeds[name] for job in jobs] for name in jobs[0].feeds}
    return {name: np.concatenate(padded(parts) if name in pad else parts) for name, parts in columns.items()}


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


def parted(results: Mapping[str, Tensor], jobs: Sequence[Job]) -> list[Outcome]:
    """Part the outputs of a batch into those of its requests, as views."""
    if len(jobs) == 1:
        return [Outcome(range(jobs[0].rows), dict(results), {})]
    outcomes: list[Outcome] = []
    at = 0
    for job in jobs:
        part = {name: tensor[at : at + job.rows] for name, tensor in results.items()}
        outcomes.append(Outcome(range(job.rows), part, {}))
        at += job.rows
    return outcomes


def stacked(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Join the outputs of several runs, row after row."""
    if len(parts) <= 1:
        return dict(parts[0]) if parts else {}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
