"""Redis' own programs, redis-cli and redis-benchmark, find a Redis at the door."""

import asyncio
import csv
import shutil
from hashlib import sha256

import pytest
from redis.asyncio import Redis

from tests.conftest import missing
from tests.integration.resp.conftest import OpenDoor
from tests.integration.resp.doors import OpenedDoor

TOOL_SECONDS = 60.0
TESTS = ("PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "LPUSH", "LRANGE_100")


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        missing(f"no {name}: apt install redis-tools")
    assert found is not None
    return found


async def run(name: str, door: OpenedDoor, *words: str, said: str = "") -> str:
    """What a program prints that is told a door's port."""
    process = await asyncio.create_subprocess_exec(
        tool(name), "-h", door.host, "-p", str(door.port), *words,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(TOOL_SECONDS):
        printed, _ = await process.communicate(said.encode())
    assert process.returncode == 0, printed.decode()
    return printed.decode()


async def test_redis_cli_speaks_with_redis_and_with_us(door: OpenedDoor) -> None:
    lines = ("SET a 'x y'", "GET a", "SELECT 2", "GET a", "T.SAY hello", "AI.TENSORSET t FLOAT 2 VALUES 1 2",
             "AI.TENSORGET t VALUES", "MULTI", "INCR n", "T.PUT n 7", "EXEC", "T.GET", "INSITU.HELP")  # fmt: skip

    printed = await run("redis-cli", door, said="\n".join(lines))

    told = printed.splitlines()
    assert told[:6] == ["OK", "x y", "OK", "", "hello", "OK"]
    assert told[6:8] == ["1", "2"]
    assert told[8:13] == ["OK", "QUEUED", "QUEUED", "1", "put instead of 1"]
    assert "wrong number of arguments for 't.get' command" in printed


async def test_redis_cli_speaks_the_newer_protocol(door: OpenedDoor) -> None:
    assert await run("redis-cli", door, "-3", "HSET", "h", "f", "1") == "1\n"
    assert await run("redis-cli", door, "-3", "--json", "HGETALL", "h") == '{"f":"1"}\n'
    assert await run("redis-cli", door, "-3", "T.GET", "none") == "\n"


async def test_redis_cli_loads_a_mass_of_commands(door: OpenedDoor, redis: Redis) -> None:
    said = "".join(f"SET key:{number} {number}\r\n" for number in range(20_000))

    printed = await run("redis-cli", door, "--pipe", said=said)

    assert "errors: 0, replies: 20000" in printed
    assert await redis.dbsize() == 20_000


async def test_redis_cli_scans_and_finds_big_keys(door: OpenedDoor, redis: Redis) -> None:
    await redis.mset({f"key:{number}": number for number in range(100)})

    assert len((await run("redis-cli", door, "--scan", "--pattern", "key:*")).split()) == 100
    assert "Sampled 100 keys" in await run("redis-cli", door, "--bigkeys")


async def test_redis_cli_takes_a_token(open_door: OpenDoor) -> None:
    door = await open_door(tokens=(f"admin:{sha256(b'secret').hexdigest()}",))

    assert await run("redis-cli", door, "--no-auth-warning", "-a", "secret", "PING") == "PONG\n"
    assert await run("redis-cli", door, "--no-auth-warning", "-a", "secret", "-3", "SET", "a", "1") == "OK\n"
    assert "NOAUTH" in await run("redis-cli", door, "GET", "a")


@pytest.mark.parametrize("pipelined", ["1", "16"])
async def test_redis_benchmark_runs(door: OpenedDoor, pipelined: str) -> None:
    words = ("-t", "ping,set,get,incr,lpush,lrange_100", "-n", "4000", "-c", "50", "-P", pipelined, "--csv")

    printed = await run("redis-benchmark", door, *words)

    rows = [row for row in csv.reader(printed.splitlines()) if len(row) > 1]
    rates = {row[0].partition(" ")[0]: float(row[1]) for row in rows if row[0] != "test"}
    assert set(TESTS) <= set(rates)
    assert min(rates.values()) > 100
    assert "Error" not in printed
