"""The process of a job is told while predictions read features beside it, and knows it for a moment."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import pytest
from redis.asyncio import Redis

from models.jobs import JobSpec
from models.keys import Keys
from models.ledger import Ledger
from models.store import ModelStore
from server.batch import hosted
from server.batch import hosting as hosting_module
from server.batch.hosting import Hosting
from server.job_process import LATELY_SECONDS
from server.metrics import Metrics
from server.settings import ServerSettings

WAIT_SECONDS = 20.0
TELLING = """
import json, sys
told = 0
sys.stdin.readline()
print(json.dumps({"rows": 1000}), flush=True)
for _ in sys.stdin:
    told += 1
    print(json.dumps({"rows": 1000 + told}), flush=True)
"""
LISTENING = """
import sys, threading, time
from server.job_process import TheServer
server = TheServer()
print(server.serves(), flush=True)
threading.Thread(target=server.listen, daemon=True).start()
while not server.serves():
    time.sleep(0.001)
print("told", flush=True)
while server.serves():
    time.sleep(0.001)
print("no more", flush=True)
time.sleep(60)
"""


def rows_of_jobs(metrics: Metrics) -> int:
    (line,) = [
        line
        for line in metrics.exposition().decode().splitlines()
        if line.startswith('insitu_job_rows_total{model="churn"')
    ] or ["0"]
    return int(float(line.split()[-1]))


def has(metrics: Metrics, rows: int) -> bool:
    return rows_of_jobs(metrics) == rows


class Faulty(Metrics):
    """Metrics that cannot be counted for a while."""

    faults = 0

    def commands(self) -> float:
        if self.faults:
            self.faults -= 1
            raise OSError("the disk is full")
        return super().commands()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not true():  # noqa: ASYNC110  # nobody tells a test
            await asyncio.sleep(0.01)


async def test_a_process_is_told_while_features_are_read_and_not_before(
    redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosted, "PROGRAM", TELLING)  # it counts what it is told as rows
    metrics = Metrics()
    hosting = Hosting(ModelStore(redis), ServerSettings(redis_url=redis_url), metrics)
    await Ledger(redis, Keys(), "counted", "test").begin(JobSpec(model="churn", version=1), host="server")
    try:
        hosting.start()
        await until(partial(has, metrics, 1000))
        await asyncio.sleep(0.3)
        assert rows_of_jobs(metrics) == 1000

        for rows in (1001, 1002, 1003):
            metrics.pipeline(1, 0.001)
            await until(partial(has, metrics, rows))
    finally:
        await hosting.stop()


async def test_a_fault_of_counting_does_not_end_the_telling(
    redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hosted, "PROGRAM", TELLING)
    monkeypatch.setattr(hosting_module, "LOOK_SECONDS", 0.01)
    metrics, faults = Faulty(), 3
    metrics.faults = faults
    hosting = Hosting(ModelStore(redis), ServerSettings(redis_url=redis_url), metrics)
    await Ledger(redis, Keys(), "counted", "test").begin(JobSpec(model="churn", version=1), host="server")
    try:
        hosting.start()
        await until(partial(has, metrics, 1000))
        await until(lambda: metrics.faults == 0)
        metrics.pipeline(1, 0.001)
        await until(partial(has, metrics, 1001))
    finally:
        await hosting.stop()
    assert caplog.messages.count("telling jobs to give way") == faults


def test_what_it_was_told_holds_for_a_moment_and_a_server_that_is_gone_ends_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LISTENING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"False\n"

        process.stdin.write(b"\n")
        assert process.stdout.readline() == b"told\n"
        began = time.monotonic()
        assert process.stdout.readline() == b"no more\n"
        assert time.monotonic() - began > LATELY_SECONDS / 2

        process.stdin.close()
        assert process.wait(WAIT_SECONDS) < 0
