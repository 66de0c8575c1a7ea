"""Workers read one another's numbers; what a dead one counted stays and goes on counting."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.counting import worker_files
from server.counting.cells import CELL_BYTES, SEGMENT_CELLS, Cells
from server.counting.worker_files import WorkerFiles, let_go

Numbers = dict[tuple[str, ...], list[float]]


def cells_in(directory: Path) -> Cells:
    return Cells(WorkerFiles(directory))


def numbers(cells: Cells) -> Numbers:
    whole: Numbers = {}
    for name, values in cells.read():
        whole.setdefault(name, []).extend(values.tolist())
    return whole


def test_each_worker_reads_the_numbers_of_all_as_they_are(tmp_path: Path) -> None:
    one, other = cells_in(tmp_path), cells_in(tmp_path)
    mine, theirs = one.take(("rows",), 1), other.take(("rows",), 1)

    mine[0] = 1
    theirs[0] = 20
    before = numbers(one), numbers(other)
    theirs[0] += 1
    other.take(("runs",), 1)[0] = 5

    assert before[0] == {("rows",): [1, 20]}
    assert before[1] == {("rows",): [20, 1]}
    assert numbers(one) == {("rows",): [1, 21], ("runs",): [5]}
    assert one.workers() == {0: os.getpid(), 1: os.getpid()}
    one.close()
    other.close()


def test_what_a_dead_worker_counted_stays_and_what_it_was_does_not(tmp_path: Path) -> None:
    one, other = cells_in(tmp_path), cells_in(tmp_path)
    other.take(("rows",), 1)[0] = 3
    other.take(("loaded",), 1, lasting=False)[0] = 1

    living = numbers(one)
    other.close()

    assert living == {("rows",): [3], ("loaded",): [1]}
    assert numbers(one) == {("rows",): [3]}
    assert one.workers() == {0: os.getpid()}
    one.close()


def test_the_next_worker_goes_on_in_the_files_of_a_dead_one(tmp_path: Path) -> None:
    files, told = set(), Numbers()
    for turn in range(5):
        worker = cells_in(tmp_path)
        worker.take(("rows",), 1)[0] += 1
        worker.take((f"loaded-{turn}",), 1, lasting=False)[0] = 1
        told = numbers(worker)
        worker.close()
        files |= {file.name for file in tmp_path.iterdir()}

    assert told == {("rows",): [5], ("loaded-4",): [1]}
    assert files == {"worker-0.lock", "worker-0.index", "worker-0.cells"}


def test_numbers_outgrow_a_segment(tmp_path: Path) -> None:
    one, other = cells_in(tmp_path), cells_in(tmp_path)

    for number in range(40):
        one.take((str(number),), SEGMENT_CELLS // 4)[7] = number

    assert {name[0]: values[7] for name, values in numbers(other).items()} == {str(n): n for n in range(40)}
    one.close()
    other.close()


def test_a_freed_block_is_gone_for_everybody(tmp_path: Path) -> None:
    one, other = cells_in(tmp_path), cells_in(tmp_path)
    one.take(("rows",), 1)[0] = 3
    before = numbers(other)

    one.free(("rows",))

    assert (before, numbers(other)) == ({("rows",): [3]}, {})
    one.close()
    again = cells_in(tmp_path)
    assert again.names() == []
    other.close()
    again.close()


def test_an_index_stays_as_short_as_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_files, "SPARE_LINES", 10)
    monkeypatch.setattr("server.counting.cells.REST_SECONDS", 0.0)
    cells, other = cells_in(tmp_path), cells_in(tmp_path)

    for number in range(200):
        cells.take((f"rows-{number}",), 1)[0] = number
        if number < 199:
            cells.free((f"rows-{number}",))

    assert (tmp_path / "worker-0.index").read_bytes().count(b"\n") <= 12
    assert (tmp_path / "worker-0.cells").stat().st_size == worker_files.SEGMENT_BYTES
    assert numbers(other) == {("rows-199",): [199]}
    cells.close()
    other.close()


def test_a_line_that_a_kill_cut_off_spoils_no_other(tmp_path: Path) -> None:
    one, other = cells_in(tmp_path), cells_in(tmp_path)
    one.take(("rows",), 1)[0] = 3
    with (tmp_path / "worker-0.index").open("ab") as index:
        index.write(b'\n{"name":["ru')

    one.take(("loads",), 1)[0] = 4

    assert numbers(other) == {("rows",): [3], ("loads",): [4]}
    one.close()
    other.close()


def test_a_worker_whose_files_are_not_there_yet_has_no_numbers(tmp_path: Path) -> None:
    one, other = cells_in(tmp_path), cells_in(tmp_path)
    one.take(("rows",), 1)
    (tmp_path / "worker-0.cells").write_bytes(b"")
    (tmp_path / "worker-0.lock").write_bytes(b"")

    empty = numbers(other), other.workers()
    (tmp_path / "worker-0.cells").unlink()

    assert empty == ({}, {0: 0, 1: os.getpid()})
    assert numbers(other) == {}
    one.close()
    other.close()


def test_a_directory_that_leaves_takes_no_number_of_ours_along(tmp_path: Path) -> None:
    one, other = cells_in(tmp_path), cells_in(tmp_path)
    one.take(("rows",), 1)[0] = 3
    locks = [tmp_path / "worker-0.lock", tmp_path / "worker-1.lock"]

    for file in tmp_path.iterdir():
        file.unlink()

    assert numbers(one) == {("rows",): [3]}
    assert [worker_files.held(lock) for lock in locks] == [False, False]
    one.close()
    other.close()


def test_a_worker_that_cannot_begin_leaves_its_number_to_others(tmp_path: Path) -> None:
    index = tmp_path / "worker-0.index"
    index.mkdir()

    with pytest.raises(IsADirectoryError):
        WorkerFiles(tmp_path)

    index.rmdir()
    worker = cells_in(tmp_path)
    assert worker.workers() == {0: os.getpid()}
    worker.close()


def test_a_forked_child_lets_the_locks_go(tmp_path: Path) -> None:
    cells_in(tmp_path)

    let_go()  # what a child does first

    assert worker_files.held(tmp_path / "worker-0.lock") is False
    assert not worker_files.HELD


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "add", "free", "next"]), st.integers(0, 7), st.integers(1, 9)),
    max_size=60,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_comes_and_goes_numbers_are_those_that_were_counted(
    steps: list[tuple[str, int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.counting.cells.REST_SECONDS", 0.0)
    monkeypatch.setattr(worker_files, "SPARE_LINES", 3)
    directory = Path(mkdtemp(dir=tmp_path))
    reader, worker = cells_in(directory), cells_in(directory)
    expected: Numbers = {}

    for step, number, value in steps:
        name, size = (f"block-{number}",), 1 + 900 * (number % 4)
        if step == "add":
            worker.take(name, size)[size - 1] += value
            expected.setdefault(name, [0.0] * size)[-1] += value
        elif step == "free":
            worker.free(name)
            expected.pop(name, None)
        else:
            worker.close()
            worker = cells_in(directory)

    assert numbers(reader) == numbers(worker) == expected
    reader.close()
    worker.close()


@contextmanager
def no_file_larger_than(size_bytes: int) -> Iterator[None]:
    """Have the system write a part of what is more, as a file system that is nearly full does, and refuse the rest."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("segments", [0.5, 1, 1.5])
def test_a_file_system_with_room_for_a_part_of_the_cells_keeps_nobody_from_counting(
    tmp_path: Path, segments: float, caplog: pytest.LogCaptureFixture
) -> None:
    cells, other = cells_in(tmp_path), cells_in(tmp_path)

    with no_file_larger_than(int(segments * SEGMENT_CELLS * CELL_BYTES)):
        for name in ("one", "two"):
            cells.take((name,), SEGMENT_CELLS)[0] = 7
    cells.take(("three",), 1)[0] = 7

    placed = {"one"} if segments >= 1 else set()
    assert {name for (name,) in numbers(other)} == placed | {"three"}
    assert caplog.text.count("is counted for other workers no more") == 1
    assert {name: found[0] for (name,), found in numbers(cells).items()} == dict.fromkeys(
        ("one", "two", "three"), 7
    )
    cells.close()
    other.close()
