"""Small parts, and rest where predictions are under way."""

import asyncio
import time

import pytest

from server.inference.explaining.pacing import PART_BYTES, PART_ROWS, PART_ROWS_MOST, REST, Left, Pace, Turns

WORK_SECONDS = 0.01


async def work(turns: Turns, left: Left = (1, 1)) -> None:
    async with turns.taken(left):
        await asyncio.sleep(WORK_SECONDS)


async def request(turns: Turns, name: str, parts: int, done: list[str]) -> None:
    for part in range(parts):
        async with turns.taken((1, parts - part)):
            done.append(name)


async def test_one_part_runs_at_a_time() -> None:
    turns, begun = Turns(lambda: 0), time.monotonic()

    await asyncio.gather(*(work(turns) for _ in range(5)))

    assert time.monotonic() - begun > 5 * WORK_SECONDS


async def test_of_several_alike_the_first_are_done_before_the_others_begin() -> None:
    turns, done = Turns(lambda: 0), list[str]()

    await asyncio.gather(*(request(turns, name, 3, done) for name in "abc"))

    assert "".join(done) == "abababccc"  # who passes the turn on is back only after the next one has begun


async def test_who_has_the_least_left_goes_first() -> None:
    turns, done = Turns(lambda: 0), list[str]()
    holder = asyncio.create_task(work(turns))
    await asyncio.sleep(0)

    async def one(name: str, left: Left) -> None:
        async with turns.taken(left):
            done.append(name)

    await asyncio.gather(one("rows", (9, 1)), one("long", (1, 500)), one("short", (1, 4)), holder)

    assert done == ["short", "long", "rows"]


async def test_who_is_given_up_holds_nobody_up() -> None:
    turns = Turns(lambda: 0)
    holder = asyncio.create_task(work(turns))
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(work(turns)) for _ in range(3)]
    await asyncio.sleep(0)

    waiting[0].cancel()
    await holder
    waiting[1].cancel()  # its turn has come, and it has not heard of that yet
    await asyncio.gather(*waiting, return_exceptions=True)

    async with asyncio.timeout(1), turns.taken((1, 1)):
        pass
    assert waiting[2].exception() is None


async def test_a_part_that_fails_ends_its_turn() -> None:
    turns = Turns(lambda: 0)

    with pytest.raises(ValueError, match="ours"):
        async with turns.taken((1, 1)):
            raise ValueError("ours")

    async with asyncio.timeout(1), turns.taken((1, 1)):
        pass


async def test_explanations_rest_for_as_long_as_predictions_are_owed() -> None:
    turns, begun = Turns(lambda: 1), time.monotonic()

    await work(turns)

    assert time.monotonic() - begun >= (1 + REST) * WORK_SECONDS


def test_a_part_grows_while_it_is_quick_up_to_its_bound() -> None:
    pace = Pace(row_bytes=8, rows_most=10_000)
    sizes = []

    for _ in range(6):
        sizes.append(pace.rows)
        pace.took(pace.rows, 1e-6 * pace.rows)

    assert sizes == [PART_ROWS, 64, 128, 256, PART_ROWS_MOST, PART_ROWS_MOST]


def test_a_slow_model_is_asked_row_by_row() -> None:
    pace = Pace(row_bytes=8, rows_most=10_000)

    pace.took(PART_ROWS, 3.0)

    assert pace.rows == 1


def test_a_part_that_waited_for_others_does_not_make_the_next_one_small() -> None:
    pace = Pace(row_bytes=8, rows_most=64)

    pace.took(32, 0.0001)
    pace.took(64, 5.0)

    assert pace.rows == 64


def test_a_part_keeps_within_memory_and_the_rows_of_a_request() -> None:
    assert Pace(row_bytes=PART_BYTES, rows_most=10_000).rows == 1
    assert Pace(row_bytes=8, rows_most=4).rows == 4
