"""What stands in for our commands in a transaction is turned in EXEC's reply, and nothing else is."""

import asyncio
from typing import Any

import pytest

from server.resp import transactions
from server.resp.transactions import TOO_MUCH, Transaction
from server.resp.wire.replies import bulk


def turned(reply: Any) -> bytes:
    return bulk(b"turned %r" % reply)


async def test_each_stand_in_is_turned_at_its_place() -> None:
    multi = Transaction(begun=5)
    multi.queue(5, turned)
    multi.queue(7, None)
    multi.queue(7, turned)

    told = await multi.told(b"*5\r\n+OK\r\n:1\r\n*2\r\n$1\r\na\r\n:2\r\n-ERR x\r\n:7\r\n")

    assert told == b"*5\r\n$12\r\nturned b'OK'\r\n:1\r\n*2\r\n$1\r\na\r\n:2\r\n-ERR x\r\n$8\r\nturned 7\r\n"


@pytest.mark.parametrize("reply", [b"*-1\r\n", b"_\r\n", b"-EXECABORT x\r\n", b"*0\r\n"])
async def test_a_transaction_that_did_not_happen_is_left_as_it_is(reply: bytes) -> None:
    multi = Transaction(begun=0)
    multi.queue(0, turned)

    assert await multi.told(reply) == reply


async def test_what_is_sent_through_is_looked_at_in_its_place() -> None:
    multi = Transaction(begun=5)
    heard: list[bytes] = []
    multi.queue(5, turned)
    multi.note(6, heard.append)
    multi.queue(6, None)
    multi.note(7, heard.append)

    await multi.told(b"*4\r\n:0\r\n+OK\r\n:2\r\n-ERR x\r\n")

    assert heard == [b"+OK\r\n", b"-ERR x\r\n"]


async def test_what_takes_a_while_is_waited_for() -> None:
    multi = Transaction(begun=0)

    async def later(reply: Any) -> bytes:
        await asyncio.sleep(0.01)
        return turned(reply)

    multi.queue(0, later)
    multi.queue(0, turned)

    assert await multi.told(b"*2\r\n:1\r\n:2\r\n") == b"*2\r\n$8\r\nturned 1\r\n$8\r\nturned 2\r\n"


def long(_reply: Any) -> bytes:
    return bulk(bytes(100_000))


async def test_between_long_replies_others_have_their_turn() -> None:
    multi, turns = Transaction(begun=0), 0
    for _ in range(3):
        multi.queue(0, long)

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    told = await multi.told(b"*3\r\n:1\r\n:2\r\n:3\r\n")
    task.cancel()

    assert told == b"*3\r\n" + 3 * long(None)
    assert turns >= 3


async def test_what_the_replies_have_together_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "TURNED_BYTES", 150_000)
    multi, asked = Transaction(begun=0), list[int]()

    def noted(reply: int) -> bytes:
        asked.append(reply)
        return long(reply)

    for _ in range(3):
        multi.queue(0, noted)
    multi.queue(0, None)

    told = await multi.told(b"*4\r\n:1\r\n:2\r\n:3\r\n+OK\r\n")

    assert told == b"*4\r\n" + long(1) + 2 * TOO_MUCH + b"+OK\r\n"
