"""Redis killed or stalled, clients that send nonsense or never read: no wrong reply, and nobody else notices."""

import asyncio
import re
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import RedisError

from server.resp import passing, upstream
from tests import graphs
from tests.integration.resp.conftest import OpenDoor
from tests.integration.resp.doors import OpenedDoor, command, line
from tests.servers import RedisServer

MIB = 1 << 20
BIG = 64 * MIB
CROWD = 20
Spoken = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
AWAY = re.compile(rb"-LOADING [^\r\n]*\r\n")


@pytest.fixture
async def mortal(
    redis_server: Callable[..., RedisServer], open_door: OpenDoor
) -> tuple[RedisServer, OpenedDoor]:
    """A Redis to kill, and a door before it."""
    server = redis_server()
    return server, await open_door(redis_url=server.url)


async def test_a_redis_that_dies_while_nothing_is_asked_ends_the_connection(
    mortal: tuple[RedisServer, OpenedDoor],
) -> None:
    server, door = mortal
    one = await door.line()
    await one.ask(command("SET", "a", 1), b"+OK\r\n")

    server.kill()

    assert await one.until_end() == b""


async def test_a_redis_that_dies_while_asked_is_told_or_the_connection_ends(
    mortal: tuple[RedisServer, OpenedDoor],
) -> None:
    server, door = mortal
    lines = [await door.line() for _ in range(4)]
    asked = (
        command("BLPOP", "l", 0),
        command("BLPOP", "l", 0) + command("T.SAY", "x"),
        command("SUBSCRIBE", "c"),
        command("T.GET", "a"),
    )
    for one, data in zip(lines, asked, strict=True):
        await one.say(data)
    await lines[3].hear(5)

    server.kill()

    heard = [await one.until_end() for one in lines]
    assert AWAY.fullmatch(heard[0])
    assert b"the connection was lost" in heard[0]
    assert AWAY.fullmatch(heard[1])
    assert heard[2:] == [b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", b""]


async def test_those_who_find_the_line_before_redis_full_wait_for_their_turn(
    redis_binary: Path, open_door: OpenDoor
) -> None:
    server = RedisServer(redis_binary, ("--tcp-backlog", "1"))
    try:
        door = await open_door(redis_url=server.start().url)
        lines = [await door.line() for _ in range(CROWD)]
        server.pause()
        for one in lines:
            await one.say(command("PING"))
        await asyncio.sleep(0.1)
        server.resume()
        heard = [await one.hear(len(b"+PONG\r\n")) for one in lines]
    finally:
        server.close()

    assert heard == [b"+PONG\r\n"] * CROWD


async def test_a_redis_that_dies_in_the_middle_of_a_reply_ends_the_connection(
    mortal: tuple[RedisServer, OpenedDoor],
) -> None:
    server, door = mortal
    client, one = door.client(), await door.line()
    await client.set("big", b"v" * BIG)

    await one.say(command("GET", "big") + command("GET", "none"))
    heard = await one.hear(1000)
    server.kill()
    heard += await one.until_end()

    assert heard.startswith(b"$67108864\r\nvvv")
    assert heard[11:].strip(b"v") == b""
    assert len(heard) < BIG


async def test_a_redis_that_dies_while_an_own_command_asks_it(mortal: tuple[RedisServer, OpenedDoor]) -> None:
    server, door = mortal
    one = await door.line()
    await one.ask(command("T.GET", "a"), b"$-1\r\n")
    server.pause()
    await one.say(command("T.GET", "a") + command("T.GET", "b"))
    await asyncio.sleep(0.05)

    assert server.process is not None
    server.process.kill()

    assert AWAY.sub(b"", await one.until_end()) == b""


async def test_once_redis_is_back_a_new_connection_works(mortal: tuple[RedisServer, OpenedDoor]) -> None:
    server, door = mortal
    client = door.client()
    await client.set("a", 1)

    server.kill()
    with pytest.raises(RedisError):
        await client.get("a")
    away = await door.line()
    await away.say(command("GET", "a"))
    told = await away.until_end()
    server.start()

    assert AWAY.fullmatch(told)
    assert str(server.socket).encode() in told
    assert await client.get("a") is None
    assert await client.execute_command("T.GET", "a") is None


async def test_a_redis_that_is_away_is_named_by_own_commands_too(
    mortal: tuple[RedisServer, OpenedDoor],
) -> None:
    server, door = mortal
    server.kill()
    one = await door.line()

    await one.say(command("T.GET", "a") + command("T.SAY", "x") + command("T.GET", "a"))
    first, said, second = await one.line(), await one.hear(7), await one.line()

    assert AWAY.fullmatch(first)
    assert first == second
    assert str(server.socket).encode() in first
    assert said == b"$1\r\nx\r\n"
    server.start()
    await one.ask(command("T.GET", "a") + command("GET", "a"), b"$-1\r\n$-1\r\n")


@asynccontextmanager
async def odd_redis(speak: Spoken, place: Path) -> AsyncIterator[str]:
    """Something that listens where Redis is meant to be."""

    async def spoken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await speak(reader, writer)
        writer.close()

    server = await asyncio.start_unix_server(spoken, place)
    try:
        yield f"unix://{place}"
    finally:
        server.close()


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def babbling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 5)
    await reader.read()


async def full(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"-ERR max number of clients reached\r\n")


@pytest.mark.parametrize("speak", [closing, silent, babbling, full])
async def test_what_is_no_redis_harms_nobody(open_door: OpenDoor, tmp_path: Path, speak: Spoken) -> None:
    async with odd_redis(speak, tmp_path / "odd.sock") as url:
        door = await open_door(clients_url=f"{url}?db=3", redis_timeout_ms=300)
        one, other = await door.line(), await door.line()
        await one.say(command("T.GET", "a"))
        await other.say(command("GET", "a"))
        first, second = await one.line(), await other.until_end()

    for told in (first, second):
        assert told.startswith((b"-LOADING ", b"-ERR "))
        assert told.count(b"\r\n") == 1


async def test_a_reply_that_keeps_coming_is_waited_for_however_slow(
    open_door: OpenDoor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "REPLY_SECONDS", 0.2)

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"$10\r\n")
        for _ in range(10):
            await asyncio.sleep(0.05)
            writer.write(b"v")
        writer.write(b"\r\n")
        await reader.read()
        await reader.read()  # of the next command, which is not answered

    async with odd_redis(slow, tmp_path / "odd.sock") as url:
        one = await (await open_door(clients_url=url)).line()

        await one.ask(command("T.GET", "a"), b"$10\r\nvvvvvvvvvv\r\n")
        await one.say(command("T.GET", "a"))
        assert AWAY.sub(b"", await one.until_end()) == b""


async def test_a_client_that_leaves_while_redis_is_reached_leaves_nothing(
    open_door: OpenDoor, tmp_path: Path
) -> None:
    left = asyncio.Event()

    async def waiting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        left.set()

    async with odd_redis(waiting, tmp_path / "odd.sock") as url:
        door = await open_door(clients_url=f"{url}?db=3", redis_timeout_ms=60_000)
        one = await door.line()
        await one.say(command("GET", "a"))
        await asyncio.sleep(0.05)
        one.writer.transport.abort()

        async with asyncio.timeout(5):
            await left.wait()


# Memory.


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


SUBSCRIBED = command("HELLO", 3) + command("SUBSCRIBE", "c")


@pytest.mark.skipif(not Path("/proc").exists(), reason="memory is told by /proc")
@pytest.mark.parametrize("said", [b"", SUBSCRIBED], ids=["plain", "subscribed"])
async def test_a_client_that_never_reads_costs_little(
    mortal: tuple[RedisServer, OpenedDoor], said: bytes
) -> None:
    _, door = mortal
    redis = door.client()
    await redis.config_set("client-output-buffer-limit", "pubsub 0 0 0")
    await redis.setrange("big", BIG - 1, b"x")
    lines = [await door.line() for _ in range(4)]
    for one in lines if said else ():
        await one.say(said)
        while await one.line() != b"$1\r\n":
            pass
        await one.hear(len(b"c\r\n:1\r\n"))
    before = resident()

    for one in lines:
        one.writer.write(command("GET", "big") * 20)
    await asyncio.sleep(0.5)
    grown = resident() - before
    for one in lines[1:]:
        one.writer.transport.abort()

    assert grown < 32 * MIB
    for _ in range(2):
        head = await lines[0].hear(len(b"$67108864\r\n"))
        assert head == b"$67108864\r\n"
        left = BIG + 2
        while left:
            left -= len(await lines[0].reader.read(min(left, MIB)))
    assert await door.client().ping()


@pytest.mark.skipif(not Path("/proc").exists(), reason="memory is told by /proc")
async def test_replies_that_nobody_wants_cost_little(door: OpenedDoor, redis: Redis) -> None:
    await redis.setrange("big", BIG - 1, b"x")
    one, before, most = await door.line(), resident(), 0
    asked = command("GET", "big") + command("STRLEN", "big")

    await one.say(command("CLIENT", "REPLY", "OFF") + 2 * asked + command("CLIENT", "REPLY", "ON"))
    heard = asyncio.create_task(one.hear(5))
    while not heard.done():
        await asyncio.sleep(0)
        most = max(most, resident())

    assert await heard == b"+OK\r\n"
    assert most - before < 32 * MIB
    await one.say(command("CLIENT", "REPLY", "SKIP") + asked + asked)
    assert await one.line() == b":%d\r\n" % BIG
    assert await one.line() == b"$%d\r\n" % BIG
    assert (await one.hear(BIG + 2))[-3:] == b"x\r\n"
    await one.ask(b"", b":%d\r\n" % BIG)


@pytest.mark.skipif(not Path("/proc").exists(), reason="memory is told by /proc")
async def test_own_replies_that_nobody_reads_cost_little(door: OpenedDoor) -> None:
    before, one = resident(), await door.line()

    one.writer.write(command("T.BIG", MIB) * 2000)
    await asyncio.sleep(0.5)

    assert resident() - before < 160 * MIB
    for _ in range(200):
        assert await one.hear(len(b"$1048576\r\n")) == b"$1048576\r\n"
        await one.hear(MIB + 2)


@pytest.mark.skipif(not Path("/proc").exists(), reason="memory is told by /proc")
@pytest.mark.parametrize("asked", [("AI.TENSORGET", "big", "BLOB"), ("AI.MODELGET", "m", "BLOB")])
async def test_tensors_and_models_that_nobody_reads_cost_little(
    asked: tuple[str, ...], door: OpenedDoor, redis: Redis
) -> None:
    file = graphs.heavy(1.0, 2048)  # of 16 MiB
    await redis.setrange("big", len(file) - len(file) % 4 - 1, b"x")
    await door.client().execute_command("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", file)
    before, one = resident(), await door.line()

    one.writer.write(command("PING") + command(*asked) * 100)
    assert await one.hear(7) == b"+PONG\r\n"
    head = await one.line()
    await asyncio.sleep(3)

    assert resident() - before < 320 * MIB
    for _ in range(20):
        left = int(head[1:]) + 2
        while left:
            left -= len(await one.reader.read(min(left, MIB)))
        head = await one.line()


async def test_what_waits_for_a_client_that_reads_late_is_no_fault_of_redis(
    door: OpenedDoor, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "REPLY_SECONDS", 1)
    await redis.setrange("big", 4 * MIB - 1, b"x")
    one = await door.line()

    one.writer.write(command("AI.TENSORGET", "big", "BLOB") * 20)
    await asyncio.sleep(2.5)

    for _ in range(20):
        assert await one.line() == b"$4194304\r\n"
        await one.hear(4 * MIB + 2)


@pytest.mark.skipif(not Path("/proc").exists(), reason="memory is told by /proc")
@pytest.mark.parametrize("first", [1000, 200_000])
async def test_a_redis_that_takes_nothing_holds_the_client(
    mortal: tuple[RedisServer, OpenedDoor], first: int
) -> None:
    server, door = mortal
    one, before = await door.line(), resident()
    await one.ask(command("SET", "a", 1), b"+OK\r\n")
    server.pause()
    head, taken = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n" % BIG, first
    await one.say(head + b"v" * first)

    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            while taken < BIG - MIB:
                taken += MIB // 4
                await one.say(b"v" * (MIB // 4))
    grown = resident() - before
    server.resume()
    await one.say(b"v" * (BIG - taken) + b"\r\n", command("STRLEN", "a"))

    assert grown < 24 * MIB
    assert taken < 32 * MIB
    assert await one.until_quiet() == b"+OK\r\n:67108864\r\nMARK"


async def test_a_client_that_never_reads_is_not_waited_for_in_the_end(
    mortal: tuple[RedisServer, OpenedDoor], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, door = mortal
    monkeypatch.setattr(passing, "ENDING_SECONDS", 0.3)
    one = await door.line()
    with server.connect() as client:
        client.setrange("big", BIG - 1, b"x")
    one.writer.write(command("GET", "big") * 3)
    await asyncio.sleep(0.3)

    server.kill()
    await asyncio.sleep(0.6)

    assert len(await one.until_end()) < BIG


async def test_a_door_that_closes_lets_what_is_asked_end(door: OpenedDoor, redis: Redis) -> None:
    idle, asked, blocked, hearing, watching = [await door.line() for _ in range(5)]
    await asked.say(command("T.WAIT", 300, "done") + command("GET", "a"))
    await blocked.say(command("BLPOP", "l", 0))
    await hearing.say(command("SUBSCRIBE", "c"))
    await watching.say(command("MONITOR"))
    await asyncio.sleep(0.1)

    door.door.end()

    assert await idle.until_end() == b""
    assert await asked.until_end() == b"$4\r\ndone\r\n$-1\r\n"
    assert await hearing.until_end() == b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"
    assert (await watching.until_end()).startswith(b"+OK\r\n")
    assert await blocked.until_end() == b""
    with pytest.raises(OSError, match=r"refused|reset"):
        await door.line()


# Nonsense.

TEXTS = (
    "GET a", "SET a 1", "T.SAY x", "T.GET a", "MULTI", "EXEC", "SELECT 1", "SUBSCRIBE c", "UNSUBSCRIBE", "HELLO 3",
    "RESET", "T.WAIT 1 2", "CLIENT REPLY SKIP", "AI.TENSORGET t", "AI.TENSORSET t FLOAT 1 VALUES 1",
    "AI.DAGEXECUTE_RO ROUTING x |> AI.TENSORGET t", "INSITU.PREDICT m k", "COMMAND COUNT",
)  # fmt: skip
BYTES = (
    b"*", b"$", b"\r\n", b"-1", b"*3\r\n", b"$5\r\n", b"*1000000\r\n", b"$536870912\r\n", b"PING\r\n", b"'", b'"',
    b"\0", b"MULTI\r\n",
)  # fmt: skip
PIECES = st.sampled_from([*(command(*text.split()) for text in TEXTS), *BYTES])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(PIECES | st.binary(max_size=40), min_size=1, max_size=12))
async def test_nonsense_ends_a_connection_at_most(door: OpenedDoor, parts: list[bytes]) -> None:
    async with line(door.host, door.port) as one, line(door.host, door.port) as good:
        await one.say(*parts)
        await good.ask(command("T.SAY", "fine") + command("ECHO", "too"), b"$4\r\nfine\r\n$3\r\ntoo\r\n")


async def test_a_length_that_never_ends_is_not_kept(door: OpenedDoor) -> None:
    one = await door.line()
    began = b"*4\r\n$4\r\nMSET\r\n$1\r\na\r\n$100000\r\n" + b"v" * 100_000 + b"\r\n$"

    await one.say(began, b"1" * 50_000, b"1" * 50_000)

    assert (await one.until_end()).startswith(b"-ERR Protocol error: ")


async def test_an_own_command_of_many_words_is_read_once(door: OpenedDoor) -> None:
    words = 200_000
    data = command("AI.TENSORSET", "t", "FLOAT", words, "VALUES", *([1] * words))
    one = await door.line()
    begun = time.monotonic()

    await one.say(*(data[at : at + 4096] for at in range(0, len(data), 4096)))

    assert await one.until_quiet() == b"+OK\r\nMARK"
    assert time.monotonic() - begun < 5
