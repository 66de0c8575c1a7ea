"""Thousands of connections at once: what each costs, and that nobody is kept waiting."""

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.integration.resp.doors import OpenedDoor, command

MANY = 5_000
FILES = 4 * MANY  # the clients' ends are this process', too, and so are the connections to Redis
AT_ONCE = 200
SECONDS = 60
IDLE_BYTES, ASKED_BYTES = 16_000, 32_000  # of both ends in this process

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(not Path("/proc").exists(), reason="memory is told by /proc"),
]


@pytest.fixture(autouse=True)
def _files() -> Iterator[None]:
    """As many open files as the system lets this process have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        pytest.skip(f"at most {hard} files are let open here, {FILES} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class End(asyncio.Protocol):
    """A client's end of a connection, as small as it can be."""

    __slots__ = ("heard", "transport")

    def __init__(self) -> None:
        self.heard = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if not self.heard.done():
            self.heard.set_result(data)


@asynccontextmanager
async def crowd(door: OpenedDoor) -> AsyncIterator[list[End]]:
    """So many connections, a few made at a time."""
    loop, ends = asyncio.get_running_loop(), list[End]()
    try:
        for _ in range(MANY // AT_ONCE):
            made = await asyncio.gather(
                *(loop.create_connection(End, door.host, door.port) for _ in range(AT_ONCE))
            )
            ends += [end for _, end in made]
        yield ends
    finally:
        for end in ends:
            end.transport.abort()  # type: ignore[attr-defined]  # a stream's, not a datagram's


async def until_gone(redis: Redis) -> None:
    async with asyncio.timeout(SECONDS):
        while len(await redis.client_list()) > 50:  # noqa: ASYNC110  # Redis tells nobody
            await asyncio.sleep(0.05)


async def test_five_thousand_that_ask_nothing_cost_little(door: OpenedDoor, redis: Redis) -> None:
    client = door.client()
    await client.ping()
    before, begun = resident(), time.monotonic()

    async with crowd(door):
        each = (resident() - before) / MANY
        connected = len(await redis.client_list())
        asked = time.monotonic()
        assert await client.execute_command("T.SAY", "x") == b"x"

        assert time.monotonic() - asked < 1
    assert connected < 50
    assert each < IDLE_BYTES
    assert time.monotonic() - begun < SECONDS


async def test_five_thousand_that_have_asked_cost_little(door: OpenedDoor, redis: Redis) -> None:
    before, begun = resident(), time.monotonic()

    async with crowd(door) as ends:
        for end in ends:
            end.transport.write(command("PING"))  # type: ignore[attr-defined]  # a stream's, not a datagram's
        async with asyncio.timeout(SECONDS):
            told = await asyncio.gather(*(end.heard for end in ends))
        each = (resident() - before) / MANY
        client = door.client()
        asked = time.monotonic()
        assert await client.set("a", 1)

        assert time.monotonic() - asked < 1
        assert set(told) == {b"+PONG\r\n"}
        assert len(await redis.client_list()) >= MANY
    await until_gone(redis)
    assert each < ASKED_BYTES
    assert time.monotonic() - begun < SECONDS
