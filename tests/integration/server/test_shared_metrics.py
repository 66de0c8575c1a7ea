"""Several processes count together: exactly, live, and whoever of them is killed."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from server.counting.worker_files import held
from server.metrics import Metrics

REQUESTS = 5000
Start = Callable[..., tuple[BaseProcess, Connection]]


def count(directory: Path, requests: int, channel: Connection) -> None:
    """Count so many requests, or without end, and wait to be killed."""
    metrics = Metrics(directory)
    metrics.loaded("churn", 1, "CPUExecutionProvider", 1000)
    churn = metrics.of("churn", 1)
    channel.send(os.getpid())
    while requests:
        churn.request(3, 0.25)
        metrics.failed("churn", "key_missing", version=1)
        requests -= 1
    channel.send("counted")
    channel.recv()


def leave_a_child(directory: Path, requests: int, channel: Connection) -> None:
    """Fork a process that outlives this one."""
    Metrics(directory)
    child = os.fork()
    if not child:
        time.sleep(60)
    channel.send(child)
    channel.recv()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    spawned = multiprocessing.get_context("spawn")
    started = []

    def start(
        requests: int, target: Callable[[Path, int, Connection], None] = count
    ) -> tuple[BaseProcess, Connection]:
        mine, theirs = spawned.Pipe()
        process = spawned.Process(target=target, args=(tmp_path, requests, theirs))
        process.start()
        started.append((process, mine))
        theirs.close()
        return process, mine

    yield start
    for process, channel in started:
        end(process)
        channel.close()


def end(process: BaseProcess) -> None:
    """Kill a process as a machine without memory does."""
    assert process.pid is not None
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.join(10)


def told(metrics: Metrics) -> dict[str, float]:
    return {
        f"{sample.name} {sample.labels.get('le', '')}".strip(): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
        if family.name.startswith("insitu")
    }


def test_the_sums_of_all_workers_are_exact_after_one_is_killed(start: Start, tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    metrics.of("churn", 1).request(3, 0.25)
    workers = [start(REQUESTS) for _ in range(2)]
    for _, channel in workers:
        assert channel.recv() > 0
        assert channel.recv() == "counted"
    before = told(metrics)

    end(workers[0][0])
    after = told(metrics)
    _, channel = start(REQUESTS)
    assert channel.recv() > 0
    assert channel.recv() == "counted"
    later = told(metrics)

    for samples, requests in (
        (before, 2 * REQUESTS + 1),
        (after, 2 * REQUESTS + 1),
        (later, 3 * REQUESTS + 1),
    ):
        assert samples["insitu_requests_total"] == requests
        assert samples["insitu_rows_total"] == 3 * requests
        assert samples["insitu_errors_total"] == requests - 1
        assert samples["insitu_request_seconds_sum"] == 0.25 * requests
        assert samples["insitu_request_seconds_bucket 0.25"] == requests
    assert [samples["insitu_workers"] for samples in (before, after, later)] == [3, 2, 3]
    assert [samples["insitu_model_loaded"] for samples in (before, after, later)] == [2, 1, 2]
    assert {file.name for file in tmp_path.glob("*.cells")} == {
        f"worker-{number}.cells" for number in range(3)
    }
    metrics.close()


def test_counters_never_go_down_while_workers_come_and_go(start: Start, tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    seen = [0.0]

    for _ in range(3):
        process, channel = start(-1)
        assert channel.recv() > 0
        until = time.monotonic() + 0.1
        while time.monotonic() < until:
            seen.append(told(metrics).get("insitu_requests_total", 0.0))
        end(process)
        seen.append(told(metrics)["insitu_requests_total"])

    assert seen == sorted(seen)
    assert seen[-1] > 300
    assert len(list(tmp_path.iterdir())) == 6
    metrics.close()


def test_a_child_of_a_killed_worker_does_not_keep_it_alive(start: Start, tmp_path: Path) -> None:
    worker, channel = start(0, leave_a_child)
    child = channel.recv()
    lock = tmp_path / "worker-0.lock"
    alive = held(lock)

    end(worker)

    try:
        os.kill(child, 0)
        assert (alive, held(lock)) == (True, False)
    finally:
        os.kill(child, signal.SIGKILL)
