"""Blocks of numbers keep apart, rest before they are used again, and never fail who counts."""

import logging

import pytest

from server.counting import cells as counting
from server.counting.cells import SEGMENT_CELLS, Cells, Memory, Place


class Full(Memory):
    """Ground without room."""

    def segment(self, number: int) -> "memoryview[float]":
        raise OSError(28, "No space left on device")


class Unnoted(Memory):
    """Ground that takes no notes once it is told so."""

    full = False

    def note(self, place: Place) -> None:
        if self.full:
            raise OSError(28, "No space left on device")


def numbers(cells: Cells) -> dict[tuple[str, ...], list[float]]:
    return {name: values.tolist() for name, values in cells.read()}


def test_a_block_is_found_again_by_its_name() -> None:
    cells = Cells(Memory())
    cells.take(("rows", "a"), 2)[1] = 5

    cells.take(("rows", "a"), 2)[1] += 1

    assert numbers(cells) == {("rows", "a"): [0, 6]}
    assert cells.names() == [("rows", "a")]
    assert cells.count("rows") == 1


def test_blocks_do_not_touch_whatever_segments_they_lie_in() -> None:
    cells = Cells(Memory())
    sizes = {("a",): 3, ("b",): SEGMENT_CELLS, ("c",): 5000, ("d",): 5000, ("e",): 1}

    for value, (name, size) in enumerate(sizes.items(), 1):
        cells.take(name, size)[:] = memoryview(bytearray(8 * size)).cast("d")
        cells.take(name, size)[0] = cells.take(name, size)[size - 1] = value

    sums = {name: (len(values), sum(values)) for name, values in numbers(cells).items()}
    assert sums == {
        ("a",): (3, 2),
        ("b",): (SEGMENT_CELLS, 4),
        ("c",): (5000, 6),
        ("d",): (5000, 8),
        ("e",): (1, 5),
    }


def test_a_freed_block_rests_before_another_gets_its_cells() -> None:
    cells = Cells(Memory())
    gone = cells.take(("rows", "a"), 1)
    cells.free(("rows", "a"))

    other = cells.take(("rows", "b"), 1)
    gone[0] += 7

    assert other[0] == 0
    assert numbers(cells) == {("rows", "b"): [0]}


def test_a_rested_block_begins_at_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "REST_SECONDS", 0.0)
    cells = Cells(Memory())
    gone = cells.take(("rows", "a"), 1)
    gone[0] = 7
    cells.free(("rows", "a"))

    other = cells.take(("rows", "b"), 1)

    assert other[0] == 0
    other[0] = 3
    assert gone[0] == 3  # the same cells: nothing grows when versions come and go


def test_freeing_what_is_not_there_does_nothing() -> None:
    cells = Cells(Memory())

    cells.free(("rows", "a"))

    assert (cells.names(), cells.count("rows"), cells.workers()) == ([], 0, {})


def test_without_room_a_worker_counts_for_itself(caplog: pytest.LogCaptureFixture) -> None:
    cells = Cells(Full())

    with caplog.at_level(logging.WARNING):
        cells.take(("rows", "a"), 1)[0] += 2

    assert "rows a is counted for other workers no more: [Errno 28] No space left on device" in caplog.text
    assert numbers(cells) == {("rows", "a"): [2]}
    cells.free(("rows", "a"))
    assert numbers(cells) == {}


def test_a_block_whose_end_cannot_be_noted_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "REST_SECONDS", 0.0)
    ground = Unnoted()
    cells = Cells(ground)
    gone = cells.take(("rows", "a"), 1)
    ground.full = True
    cells.free(("rows", "a"))
    ground.full = False

    cells.take(("rows", "b"), 1)[0] = 3

    assert gone[0] == 0
    cells.close()
