"""Commands of all clients find room together: a long one that finds none is refused, and keeps nobody else waiting."""

import asyncio
from collections.abc import Sequence

import pytest

from server.resp import coming
from server.resp.answering import SIDE_BYTES
from server.resp.caller import Caller
from server.resp.commands.command import Command
from server.resp.wire.replies import OK
from tests.integration.resp.conftest import OpenDoor
from tests.integration.resp.doors import Line, OpenedDoor, command

BYTES = 1_900_000
HEAD = command("AI.TENSORSET", "t", "UINT8", BYTES, "BLOB", b"")[: -len(b"$0\r\n\r\n")]
PREDICTION = command("INSITU.PREDICT", "m", "k")
HIDDEN = PREDICTION * (BYTES // len(PREDICTION))
TENSOR = HEAD + b"$%d\r\n%b\r\n" % (
    BYTES,
    HIDDEN.ljust(BYTES),
)  # it is made of what would be commands by themselves
LEFT = 100
BEGUN, END = TENSOR[:-LEFT], TENSOR[-LEFT:]
BUSY = b"-BUSY AI.TENSORSET is too long for now: the commands that this server keeps of all its clients have "


@pytest.fixture
async def narrow(open_door: OpenDoor) -> OpenedDoor:
    """A door with room for four commands of two megabytes, or a little more."""
    return await open_door(model_limit_bytes=2_700_000)


async def crowded(door: OpenedDoor) -> list[Line]:
    """As many clients as there is room for, each with a command that is still coming."""
    lines = [await door.line() for _ in range(4)]
    for line in lines:
        await line.say(BEGUN)
    other = await door.line()
    for _ in range(50):  # meanwhile the door reads what came
        await other.ask(command("PING"), b"+PONG\r\n")
    return lines


async def test_a_long_command_that_finds_no_room_is_refused_and_its_client_goes_on(
    narrow: OpenedDoor,
) -> None:
    others = await crowded(narrow)
    line = await narrow.line()

    await line.say(command("PING") + TENSOR + command("PING", "after"))

    assert await line.hear(7) == b"+PONG\r\n"
    told = await line.line()
    assert told.startswith(BUSY)
    assert told.endswith(
        b" bytes together, 7497152 are the most; send it again when some of them are answered\r\n"
    )
    assert await line.hear(11) == b"$5\r\nafter\r\n"
    for other in others:
        await other.ask(END, b"+OK\r\n")
    await line.ask(TENSOR, b"+OK\r\n")


async def test_short_commands_find_room_all_the_same(narrow: OpenedDoor) -> None:
    await crowded(narrow)
    line = await narrow.line()

    short = command("AI.TENSORSET", "s", "UINT8", 1000, "BLOB", bytes(1000))
    await line.ask(short * 20 + command("T.WAIT", 1, "a") * 20, b"+OK\r\n" * 20 + b"$1\r\na\r\n" * 20)


async def test_a_long_command_that_stops_coming_leaves_its_room_and_its_client_goes_on(
    narrow: OpenedDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coming, "STOPPED_SECONDS", 0.3)
    others = await crowded(narrow)
    told = b"-TIMEOUT less than 262144 bytes more of AI.TENSORSET came within 0.3 s; send it again\r\n"

    for other in others:
        await other.ask(b"", told)
        await other.ask(END + command("PING"), b"+PONG\r\n")
    await others[0].ask(TENSOR * 20, b"+OK\r\n" * 20)


async def test_whoever_is_waited_for_with_half_a_long_command_leaves(
    narrow: OpenedDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coming, "STOPPED_SECONDS", 0.3)
    line = await narrow.line()

    await line.say(command("BLPOP", "none", 0) + BEGUN)

    assert await line.until_end() == b""


async def test_a_long_command_that_comes_slowly_is_answered(
    narrow: OpenedDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coming, "STOPPED_SECONDS", 0.5)
    line = await narrow.line()
    for _ in range(2):
        for at in range(0, len(TENSOR), 600_000):
            await line.say(TENSOR[at : at + 600_000])
            await asyncio.sleep(0.25)

        await line.ask(b"", b"+OK\r\n")


async def test_whoever_leaves_leaves_their_room(narrow: OpenedDoor) -> None:
    for line in await crowded(narrow):
        line.writer.transport.abort()
    line = await narrow.line()
    await line.ask(command("PING"), b"+PONG\r\n")

    await line.ask(TENSOR * 20, b"+OK\r\n" * 20)


async def test_a_transaction_with_a_command_that_found_no_room_is_not_done(narrow: OpenedDoor) -> None:
    await crowded(narrow)
    line = await narrow.line()

    await line.say(
        command("MULTI") + command("SET", "a", 1) + TENSOR + command("EXEC") + command("EXISTS", "a")
    )

    await line.ask(b"", b"+OK\r\n+QUEUED\r\n")
    assert (await line.line()).startswith(BUSY)
    assert (await line.line()).startswith(b"-EXECABORT ")
    assert await line.line() == b":0\r\n"


async def test_what_is_no_command_in_one_that_found_no_room_ends_the_connection(narrow: OpenedDoor) -> None:
    await crowded(narrow)
    line = await narrow.line()
    unlike = HEAD.replace(b"*6\r\n", b"*7\r\n") + TENSOR[len(HEAD) :] + command("FLUSHALL")

    await line.say(command("SET", "a", 1) + unlike)

    assert (await line.hear(5)) == b"+OK\r\n"
    assert (await line.line()).startswith(BUSY)
    assert await line.until_end() == b"-ERR Protocol error: expected '$', got '*'\r\n"
    await (await narrow.line()).ask(command("EXISTS", "a"), b":1\r\n")


async def test_commands_of_one_client_that_have_many_bytes_are_not_all_worked_on_at_once(
    open_door: OpenDoor,
) -> None:
    under_way, most, size = 0, 0, 900_000

    async def hold(_caller: Caller, words: Sequence[bytes]) -> bytes:
        nonlocal under_way, most
        under_way += len(words[0])
        most = max(most, under_way)
        await asyncio.sleep(0.2)
        under_way -= len(words[0])
        return OK

    held = Command("T.HOLD", 2, hold, "holds", alongside=True)
    line = await (await open_door(commands={b"T.HOLD": held})).line()
    await line.ask(command("T.HOLD", "short") * 100, OK * 100)  # now many are worked on at once

    await line.ask(command("T.HOLD", b"w" * size) * 40, OK * 40)

    assert size < most <= SIDE_BYTES + 2 * size
