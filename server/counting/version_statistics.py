"""Statistics: what was counted of one version, as Triton's statistics extension divides it.

Source: the extension's page in Triton's documentation; what each number means here, docs/metrics.md.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.counting import series
from server.counting.cells import Name
from server.counting.exposition import gently

Place = tuple[str, int]  # a model and the number of its version
Blocks = dict[Name, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Spent:
    """How often something was done, and how long that took together."""

    count: int = 0
    ns: int = 0


NOTHING = Spent()


@dataclass(frozen=True, slots=True)
class BatchStatistics:
    """The batches of exactly `size` rows; each time is that of the whole batch."""

    size: int
    compute_input: Spent
    compute_infer: Spent
    compute_output: Spent


@dataclass(frozen=True, slots=True)
class Statistics:
    """The numbers of one version, of all workers together.

    `inference_count` are the rows that were run, `execution_count` the batches they ran in. Times are
    those of requests: each is charged with the whole of every batch that it was part of.

    Units: last_inference_ms, Unix milliseconds; 0 where there was none.
    """

    last_inference_ms: int = 0
    inference_count: int = 0
    execution_count: int = 0
    success: Spent = NOTHING
    fail: Spent = NOTHING
    queue: Spent = NOTHING
    compute_input: Spent = NOTHING
    compute_infer: Spent = NOTHING
    compute_output: Spent = NOTHING
    batches: tuple[BatchStatistics, ...] = ()


def of_versions(numbers: series.Numbers) -> dict[Place, Statistics]:
    """Return the statistics of each version that has numbers of its own, from the blocks of all workers."""
    versions: Blocks = {}
    sizes: defaultdict[Name, Blocks] = defaultdict(dict)
    for name, values in gently(numbers):
        if name[0] == series.VERSION:
            add(versions, name, values)
        elif name[0] == series.BATCHES:
            add(sizes[name[1:3]], name, values)
    return {
        (model, int(version)): reckoned(values.tolist(), sizes[model, version])
        for (_, model, version), values in versions.items()
        if version  # those past the most have none
    }


def add(whole: Blocks, name: Name, values: NDArray[np.float64]) -> None:
    """Add what another worker counted; the last inference is the later one."""
    before = whole.get(name)
    if before is None:
        whole[name] = values
        return
    total = before + values
    if name[0] == series.VERSION:
        total[series.LAST] = max(before[series.LAST], values[series.LAST])
    whole[name] = total


def reckoned(values: Sequence[float], sizes: Blocks) -> Statistics:
    """Return the statistics of one version from its block, and from one for each size of its batches."""
    count = int(series.succeeded(values))
    return Statistics(
        last_inference_ms=unix_ms(values[series.LAST]),
        inference_count=int(values[series.BATCH.total]),
        execution_count=int(series.RUN.count(values)),
        success=spent(count, series.request_seconds(values)),
        fail=spent(series.failed(values), series.failed_seconds(values)),
        queue=spent(series.QUEUE.count(values), values[series.QUEUE.total]),
        compute_input=spent(count, series.input_seconds(values)),
        compute_infer=spent(count, series.infer_seconds(values)),
        compute_output=spent(count, values[series.HANDED]),
        batches=tuple(of_sizes(sizes)),
    )


def unix_ms(moment: float) -> int:
    """Return when something was, from the clock it was noted by; 0 stands for never.

    Units:  moment, seconds of time.monotonic.
    """
    return round(1000 * (time.time() - time.monotonic() + moment)) if moment else 0


def of_sizes(sizes: Blocks) -> Iterable[BatchStatistics]:
    """Return the batches of each size, ascending."""
    for size, values in sorted((int(name[3]), values.tolist()) for name, values in sizes.items()):
        times = (values[at] for at in (series.SIZE_MADE, series.SIZE_RAN, series.SIZE_HANDED))
        yield BatchStatistics(size, *(spent(values[series.OF_SIZE], seconds) for seconds in times))


def spent(count: float, seconds: float) -> Spent:
    """Return what was counted, a time of at least nothing: parts of it are differences."""
    return Spent(int(count), max(0, round(1e9 * seconds)))
