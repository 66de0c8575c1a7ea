"""A file that crashes, hangs or eats memory ends a process of its own, and is refused by name."""

import asyncio
import os
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from models.errors import BadModelFile
from server.inference.admission import Trial
from tests.graphs import bundle, crashing, greedy, heavy, looping, scaled

linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="memory is limited and processes listed on Linux"
)


MARK = (8 << 30) + 10 * os.getpid()  # other processes of the suite try files too


def processes_of(program: str) -> list[int]:
    """Return the processes whose command line has a text."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and program.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile
    return found


async def test_a_file_that_can_be_served_is_admitted() -> None:
    await Trial(seconds=30).admit(bundle(scaled()))


async def test_a_file_that_crashes_is_refused_by_the_signal_it_ended_with() -> None:
    with pytest.raises(
        BadModelFile, match=r"ended the process it was tried in \(signal SIGFPE\).*nothing was publ"
    ):
        await Trial(seconds=30).admit(bundle(crashing()))


@linux_only
async def test_a_file_that_eats_memory_is_refused() -> None:
    with pytest.raises(BadModelFile, match="takes more memory than a model may have here"):
        await Trial(memory_bytes=4 << 30, seconds=30).admit(bundle(greedy()))


@linux_only
async def test_too_little_memory_for_the_trial_itself_is_told() -> None:
    with pytest.raises(BadModelFile, match=r"bad_alloc|new thread|ended the process it was tried in"):
        await Trial(memory_bytes=64 << 20, seconds=30).admit(bundle(scaled()))


@linux_only
async def test_a_file_without_an_end_is_refused_in_time_and_leaves_no_process() -> None:
    started = time.monotonic()

    with pytest.raises(BadModelFile, match=r"did not load and run once within 3 s; nothing was published"):
        await Trial(memory_bytes=MARK, seconds=3).admit(bundle(looping(1 << 60)))

    assert time.monotonic() - started < 10
    assert processes_of(str(MARK)) == []


@linux_only
async def test_a_trial_that_is_given_up_leaves_no_process() -> None:
    mark = MARK + 1
    trial = asyncio.create_task(Trial(memory_bytes=mark, seconds=60).admit(bundle(looping(1 << 60))))
    while not processes_of(str(mark)):  # noqa: ASYNC110  # nobody tells a test
        await asyncio.sleep(0.01)

    trial.cancel()
    await asyncio.gather(trial, return_exceptions=True)

    assert processes_of(str(mark)) == []


async def test_the_folder_the_user_is_in_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("server", "models"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)

    await Trial(seconds=30).admit(bundle(scaled()))


async def test_a_large_file_is_not_copied_to_be_tried() -> None:
    large = bundle(heavy(1.0, 1536))
    size = len(large.onnx)
    tracemalloc.start()
    try:
        verdict = await Trial().verdict(large)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert verdict.reason is None
    assert most < 0.5 * size


@linux_only
async def test_a_process_that_ends_before_it_has_read_the_file_is_told() -> None:
    verdict = await Trial(memory_bytes=1 << 20).verdict(bundle(heavy(1.0, 1536)))

    assert verdict.reason is not None
