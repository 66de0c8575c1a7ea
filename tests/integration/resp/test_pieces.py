"""What a client sends in odd pieces, or not as it should, is answered as if it had come whole, each in its turn."""

import asyncio
from hashlib import sha256

import pytest

from server.resp.wire import frames
from tests.integration.resp.conftest import OpenDoor
from tests.integration.resp.doors import OpenedDoor, command

WORD = b"v" * 21_000
MANY = 55  # such words are more than is kept of what was begun


@pytest.mark.parametrize("cut", [20, 30, 9000])
async def test_a_part_of_a_command_behind_much_that_was_held_is_gone_on_with(
    door: OpenedDoor, cut: int
) -> None:
    line = await door.line()
    last = command("AI.TENSORSET", "t", "FLOAT", 5000, "BLOB", bytes(20_000))

    await line.say(command("BLPOP", "none", "0.3"), command("T.WAIT", 1, WORD) * MANY + last[:cut])
    await line.hear(len(b"*-1\r\n") + MANY * (len(WORD) + len(b"$21000\r\n\r\n")))
    await line.say(last[cut:])

    assert await line.hear(5) == b"+OK\r\n"


@pytest.mark.parametrize(
    ("words", "fault"),
    [(b"!1\r\na\r\n", b"expected '$', got '!'"), (b"$one\r\na\r\n", b"invalid bulk length")],
)
async def test_what_begins_like_the_last_command_and_is_none_is_told_so(
    door: OpenedDoor, words: bytes, fault: bytes
) -> None:
    line = await door.line()
    await line.ask(command("GET", "none"), b"$-1\r\n")

    await line.say(b"*2\r\n$3\r\nGET\r\n" + words)

    assert await line.until_end() == b"-ERR Protocol error: %b\r\n" % fault


async def test_all_that_was_asked_is_answered_before_the_end_whatever_of_it_is_refused(
    door: OpenedDoor,
) -> None:
    line = await door.line()

    await line.say(command("T.WAIT", 30, "a") + command("T.SAY") + command("T.SAY", "b") + command("PING"))
    line.writer.write_eof()

    refused = b"-ERR wrong number of arguments for 't.say' command\r\n"
    assert await line.until_end() == b"$1\r\na\r\n" + refused + b"$1\r\nb\r\n+PONG\r\n"


@pytest.mark.parametrize("stranger", [False, True])
async def test_many_words_are_looked_at_once_however_slowly_the_last_one_comes(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch, stranger: bool
) -> None:
    door = await open_door(tokens=(f"admin:{sha256(b'x').hexdigest()}",) if stranger else ())
    line = await door.line()
    words, looked_at, word_end = 5000, 0, frames.word_end

    def counted(data: frames.Bytes, at: int) -> int:
        nonlocal looked_at
        looked_at += 1
        return word_end(data, at)

    monkeypatch.setattr(frames, "word_end", counted)
    whole = command("MGET", *["k"] * words, "k" * 100)

    await line.say(whole[:-100])
    for at in range(len(whole) - 100, len(whole)):
        await line.say(whole[at : at + 1])
        await asyncio.sleep(0.001)

    told = b"-NOAUTH" if stranger else b"*%d\r\n" % (words + 1)
    assert (await line.hear(len(told))) == told
    assert looked_at < 3 * words
