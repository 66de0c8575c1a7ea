"""What stands in for our commands in a transaction is turned in EXEC's reply, and nothing else is."""

import asyncio
from typing import Any

import pytest

from server.resp.transactions import Transaction
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
