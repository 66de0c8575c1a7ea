"""Threads of all workers together are never more than the cores."""

import os
from pathlib import Path

import pytest

from server import cores
from server.cores import (
    Threads,
    again_seconds,
    available_cores,
    busy_poll_seconds,
    quota_cores,
    threads_of,
    worker_count,
)
from server.settings import ServerSettings


@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "available_cores", lambda: 8)


@pytest.mark.parametrize(
    ("given", "threads"),
    [
        ({}, Threads(8, 1)),
        ({"workers": 2}, Threads(4, 1)),
        ({"workers": 0}, Threads(1, 1)),
        ({"workers": 16}, Threads(1, 1)),
        ({"workers": 3, "threads": 1}, Threads(1, 1)),
        ({"intra_op_threads": 4}, Threads(2, 4)),
        ({"threads": 64}, Threads(8, 1)),
        ({"workers": 2, "threads": 4, "intra_op_threads": 16}, Threads(1, 4)),
    ],
)
@pytest.mark.usefixtures("eight")
def test_workers_and_threads_share_the_cores(given: dict[str, int], threads: Threads) -> None:
    settings = ServerSettings.model_validate(given)

    assert threads_of(settings) == threads
    assert threads.runs * threads.inside * min(8, worker_count(settings)) <= 8


@pytest.mark.usefixtures("eight")
def test_more_than_there_are_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    threads_of(ServerSettings(threads=4, intra_op_threads=4))

    assert "4 threads of 4 each are more than the 8 cores of a worker: 2 of 4 run" in caplog.text


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({"cpu.max": "nonsense"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_a_container_counts(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    assert quota_cores(tmp_path) == quota


@pytest.mark.parametrize(("quota", "cores_left"), [(0.2, 1), (1.0, 1), (None, None)])
def test_a_part_of_a_core_is_one(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, cores_left: int | None
) -> None:
    every = available_cores()
    monkeypatch.setattr(cores, "quota_cores", lambda: quota)

    assert available_cores() == (cores_left or every)


@pytest.mark.parametrize(
    ("quota", "microseconds", "seconds"), [(2.0, 50, 50e-6), (2.0, 0, 0.0), (1.0, 50, 0.0)]
)
def test_a_loop_stays_awake_only_where_redis_has_a_core_of_its_own(
    monkeypatch: pytest.MonkeyPatch, quota: float, microseconds: int, seconds: float
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1}, raising=False)
    monkeypatch.setattr(cores, "quota_cores", lambda: quota)

    assert busy_poll_seconds(ServerSettings(redis_busy_poll_us=microseconds)) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("workers", "microseconds", "seconds"), [(1, 50, 50e-6), (1, 0, 0.0), (2, 50, 0.0), (0, 50, 0.0)]
)
def test_a_loop_stays_awake_for_a_client_only_where_that_has_a_core_too(
    monkeypatch: pytest.MonkeyPatch, workers: int, microseconds: int, seconds: float
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1}, raising=False)
    monkeypatch.setattr(cores, "quota_cores", lambda: 2.0)

    settings = ServerSettings(workers=workers, client_busy_poll_us=microseconds)
    assert again_seconds(settings) == pytest.approx(seconds)
