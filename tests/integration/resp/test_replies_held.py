"""Replies that clients do not take have a bound, of one client and of all; who reads gets every reply."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence

import pytest
from redis.exceptions import ResponseError

from server.resp import answering, connection, upstream
from server.resp import door as doors
from server.resp.caller import Caller
from server.resp.commands.command import Command
from server.resp.wire.replies import bulk
from tests.integration.resp.conftest import OpenDoor
from tests.integration.resp.doors import HEAR_SECONDS, Line, OpenedDoor, command

LONG = 32 << 20  # of which sockets hold some
MOST, MOST_OF_ALL = 8 << 20, 40 << 20
REPLY = bulk(bytes(LONG))
BUSY = b"-BUSY no room for this reply"
SETTLED_SECONDS = 0.3


async def long_reply(_caller: Caller, words: Sequence[bytes]) -> bytes:
    await asyncio.sleep(0.05)
    return REPLY


COMMANDS = {b"T.LONG": Command("T.LONG", 1, long_reply, "replies", alongside=True)}


@pytest.fixture
async def narrow(open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch) -> OpenedDoor:
    monkeypatch.setattr(answering, "REPLIES_BYTES", MOST)
    monkeypatch.setattr(doors, "REPLIES_BYTES", MOST_OF_ALL // doors.LONGEST_AT_ONCE)
    return await open_door(commands=COMMANDS)


async def replies(line: Line, count: int) -> AsyncIterator[bytes]:
    """Give the first line of each reply."""
    for _ in range(count):
        first = await line.line()
        if first.startswith(b"$"):
            assert await line.hear(LONG + 2) == REPLY[-LONG - 2 :]
        yield first


async def narrow_line(door: OpenedDoor) -> Line:
    """A client whose socket holds little."""
    line = await door.line()
    line.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    return line


async def holding(door: OpenedDoor) -> Line:
    """A client that does not take a long reply."""
    line = await narrow_line(door)
    await line.say(command("T.LONG"))
    await asyncio.sleep(SETTLED_SECONDS)
    return line


async def test_replies_that_a_client_does_not_take_have_a_bound(narrow: OpenedDoor) -> None:
    line = await narrow_line(narrow)
    await line.say(command("T.LONG") * 8)
    await asyncio.sleep(SETTLED_SECONDS)

    told = [first async for first in replies(line, 8)]

    assert told[0].startswith(b"$")
    assert [one.startswith(BUSY) for one in told] == [False, *[True] * 7]
    assert b"; what the command was to write is written: " in told[1]
    await line.ask(command("T.LONG"), REPLY)


async def test_replies_that_all_clients_do_not_take_have_a_bound_too(narrow: OpenedDoor) -> None:
    first, second = [await holding(narrow) for _ in range(2)]
    third = await narrow.line()

    await third.say(command("T.LONG") + command("PING"))
    assert (await third.line()).startswith(BUSY)
    assert await third.line() == b"+PONG\r\n"

    await first.ask(b"", REPLY)
    await third.ask(command("T.LONG"), REPLY)
    second.writer.transport.abort()
    await third.ask(command("T.LONG"), REPLY)


async def test_a_client_that_takes_nothing_goes_where_others_find_no_room(
    narrow: OpenedDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "READING_SECONDS", 0.5)
    alone = await holding(narrow)
    await asyncio.sleep(3 * 0.5)
    await alone.ask(b"", REPLY)

    for _ in range(2):
        await holding(narrow)
    other, told = await narrow.line(), BUSY
    async with asyncio.timeout(HEAR_SECONDS):
        while told.startswith(BUSY):
            await asyncio.sleep(0.1)
            await other.say(command("T.LONG"))
            told = await other.line()

    assert await other.hear(LONG + 2) == REPLY[-LONG - 2 :]


async def test_who_reads_gets_every_reply_however_many_are_asked_for(narrow: OpenedDoor) -> None:
    client, line, size = narrow.client(), await narrow.line(), 3 << 20
    await client.execute_command("AI.TENSORSET", "t", "UINT8", size, "BLOB", bytes(size))
    reply = bulk(bytes(size))

    await line.say(command("AI.TENSORGET", "t", "BLOB") * 40)
    await asyncio.sleep(SETTLED_SECONDS)

    for _ in range(40):
        await line.ask(b"", reply)


async def test_what_one_command_reads_has_a_bound(
    narrow: OpenedDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "ASKED_BYTES", 1 << 20)
    client = narrow.client()
    for key in "abc":
        await client.execute_command("AI.TENSORSET", key, "UINT8", 500_000, "BLOB", bytes(500_000))

    with pytest.raises(ResponseError, match=r"reads has 15\d+ bytes, 1048576 are the most"):
        await client.execute_command(
            "AI.DAGEXECUTE_RO", "LOAD", 3, "a", "b", "c", "|>", "AI.TENSORGET", "a", "META"
        )
    assert await client.execute_command(
        "AI.DAGEXECUTE_RO", "LOAD", 2, "a", "b", "|>", "AI.TENSORGET", "a", "META"
    )


async def test_what_a_transaction_reads_has_the_same_bounds(
    narrow: OpenedDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, line, size = narrow.client(), await narrow.line(), 500_000
    await client.execute_command("AI.TENSORSET", "t", "UINT8", size, "BLOB", bytes(size))

    def asked(count: int) -> bytes:
        return command("MULTI") + command("AI.TENSORGET", "t", "BLOB") * count + command("EXEC")

    async def told(count: int) -> bytes:
        await line.say(asked(count))
        assert await line.hear(5 + 9 * count) == b"+OK\r\n" + b"+QUEUED\r\n" * count
        return await line.line()

    held = [await holding(narrow) for _ in range(2)]
    busy = await told(1)
    for one in held:
        one.writer.transport.abort()
    await asyncio.sleep(SETTLED_SECONDS)
    monkeypatch.setattr(upstream, "ASKED_BYTES", 1 << 20)
    long = await told(3)

    assert busy.startswith(BUSY)
    assert long.startswith(b"-ERR what this command reads has 15")
    assert all(one.endswith(b"; the transaction is done\r\n") for one in (busy, long))
    await line.ask(asked(2), b"+OK\r\n" + b"+QUEUED\r\n" * 2 + b"*2\r\n" + bulk(bytes(size)) * 2)
