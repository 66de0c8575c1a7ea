"""Processes: memory, processor time and open files of each worker, and the Python they run on."""

import os
from collections.abc import Callable, Iterator
from functools import partial

from prometheus_client import Metric, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector


class Processes(Collector):
    """The processes of one server; a label tells workers apart where there are several."""

    def __init__(self, workers: Callable[[], dict[int, int]]) -> None:
        self._workers = workers
        self._platform = PlatformCollector(registry=None)

    def text(self) -> str:
        """Return what there is to say, as Prometheus text."""
        return generate_latest(self).decode()

    def collect(self) -> Iterator[Metric]:
        """Return the families, each with the samples of all workers."""
        yield from self._platform.collect()
        whole: dict[str, Metric] = {}
        for labels, pid in self._labelled():
            for family in ProcessCollector(pid=partial(str, pid), registry=None).collect():
                every = whole.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    every.add_sample(sample.name, labels, sample.value)
        yield from whole.values()

    def _labelled(self) -> list[tuple[dict[str, str], int]]:
        workers = self._workers()
        if not workers:
            return [({}, os.getpid())]
        return [({"worker": str(number)}, pid) for number, pid in sorted(workers.items())]
