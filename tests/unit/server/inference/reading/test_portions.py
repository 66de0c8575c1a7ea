"""Portions: few have left at a time, in order, and their answers become one or none."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from models.errors import InsituError, RedisUnavailable
from server.inference.errors import Overloaded
from server.inference.reading.portions import Line, read
from server.inference.reading.reads import Done

GONE = RedisUnavailable("gone")
FULL = Overloaded("the reader of features", 1, 0.5)


class Asked:
    """Reads that have left, and how they are answered: by the test."""

    def __init__(self) -> None:
        self.left: list[tuple[bytes, Done]] = []
        self.seen = 0
        self.refusing: InsituError | None = None

    def ask(self, commands: Sequence[bytes], done: Done) -> None:
        if self.refusing is not None:
            raise self.refusing
        self.left.append((commands[0], done))
        self.seen += 1

    def answer(self, result: Any) -> None:
        self.left.pop(0)[1](result)


def test_the_next_leaves_when_one_is_answered() -> None:
    asked = Asked()
    told: list[Any] = []
    ask = Line(ahead=2).around(asked.ask)
    for text in (b"a", b"b", b"c", b"d"):
        ask([text], told.append)
    assert [text for text, _ in asked.left] == [b"a", b"b"]

    asked.answer([b"1"])
    assert [text for text, _ in asked.left] == [b"b", b"c"]

    for number in (b"2", b"3", b"4"):
        asked.answer([number])
    assert told == [[b"1"], [b"2"], [b"3"], [b"4"]]

    for text in (b"e", b"f", b"g"):
        ask([text], told.append)
    assert [text for text, _ in asked.left] == [b"e", b"f"]


def test_whatever_is_asked_stands_in_one_line() -> None:
    reads, writes = Asked(), Asked()
    told: list[Any] = []
    line = Line(ahead=1)
    line.around(reads.ask)([b"a"], told.append)
    line.around(writes.ask)([b"b"], told.append)
    assert (len(reads.left), len(writes.left)) == (1, 0)

    reads.answer([b"1"])
    writes.answer([b"2"])
    assert told == [[b"1"], [b"2"]]


async def test_the_next_leaves_after_a_rest() -> None:
    asked = Asked()
    told: list[Any] = []
    rests = [0.05, 0.0]
    ask = Line(ahead=1, rest=lambda: rests.pop(0)).around(asked.ask)
    for text in (b"a", b"b", b"c"):
        ask([text], told.append)

    asked.answer([b"1"])
    assert (told, asked.left) == ([[b"1"]], [])
    ask([b"d"], told.append)
    assert asked.left == []
    await asyncio.sleep(0.1)
    assert [text for text, _ in asked.left] == [b"b"]

    asked.answer([b"2"])
    assert [text for text, _ in asked.left] == [b"c"]


def test_who_waits_is_told_when_nothing_leaves_any_more() -> None:
    asked = Asked()
    told: list[Any] = []
    ask = Line(ahead=1).around(asked.ask)
    for text in (b"a", b"b", b"c"):
        ask([text], told.append)
    asked.refusing = GONE

    asked.answer(GONE)
    assert told == [GONE] * 3

    asked.refusing = None
    ask([b"d"], told.append)
    assert [text for text, _ in asked.left] == [b"d"]


async def test_answers_are_put_together() -> None:
    asked = Asked()
    reading = asyncio.create_task(read(asked.ask, [b"a", b"b"], most=10))
    await asyncio.sleep(0)
    asked.answer([bytearray(b"12")])
    asked.answer([bytearray(b"345")])

    assert await reading == bytearray(b"12345")


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([[bytearray(b"12")], GONE], "gone"),
        ([GONE, [bytearray(b"12")]], "gone"),
        ([[bytearray(b"123456")], [bytearray(b"12345")]], "more than 10 bytes came for one read"),
    ],
)
async def test_one_that_fails_is_the_fault_of_all(answers: list[Any], said: str) -> None:
    asked = Asked()
    reading = asyncio.create_task(read(asked.ask, [b"a", b"b"], most=10))
    await asyncio.sleep(0)
    for one in answers:
        asked.answer(one)

    fault = await reading
    assert isinstance(fault, RedisUnavailable)
    assert said in str(fault)


async def test_a_read_that_may_not_leave_is_refused_as_a_fault() -> None:
    asked = Asked()
    asked.refusing = FULL

    assert await read(asked.ask, [b"a"], most=10) is FULL
