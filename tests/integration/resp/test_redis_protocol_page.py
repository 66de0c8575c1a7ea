"""docs/redis-protocol.md: its commands answer what is printed, and its tables are the code's."""

import asyncio
import re
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis

from models.encoding import encoded
from models.store import ModelStore
from server import app
from server.resp import errors
from server.resp.catalog.spans import end_of
from server.resp.commands.table import COMMANDS
from server.settings import ServerSettings
from server.workers.listeners import Held
from server.workers.opening import Door
from tests.integration.conftest import BuildEngine
from tests.integration.resp.terminal import printed
from tests.integration.rest.graphs import churn

PAGE = (Path(__file__).parents[3] / "docs" / "redis-protocol.md").read_text()
PROMPT = "127.0.0.1:8002> "
NUMBER = re.compile(r"\d+\.\d{4,}")
READ_BYTES = 1 << 16
REPLY_SECONDS = 20.0
Ask = Callable[[str], Awaitable[bytes]]
WORDS_OF_THE_DOOR = {"WRONGPASS"}  # of no error that has a code


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def examples() -> list[tuple[str, str]]:
    """Every command of the page with what it printed."""
    parts = [part for block in blocks("console") for part in block.split(PROMPT)[1:]]
    return [(part.split("\n", 1)[0], part.split("\n", 1)[1].rstrip("\n")) for part in parts]


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading."""
    section = PAGE.partition(f"\n{heading}\n")[2]
    lines = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert lines is not None
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in lines[0].splitlines()[2:]]


def rounded(text: str) -> str:
    """What must agree of an output: numbers to four digits."""
    return NUMBER.sub(lambda found: f"{float(found[0]):.4f}", text)


@pytest.fixture
async def ask(redis: Redis, redis_url: str, store: ModelStore, built: BuildEngine) -> AsyncIterator[Ask]:
    """Return the reply to a line as a client types it, through the door of a server that has the page's model."""
    await store.publish(churn())
    for line in "".join(blocks("redis")).splitlines():
        await redis.execute_command(*shlex.split(line))
    settings = ServerSettings(redis_url=redis_url, grpc_port=-1, resp_port=0)
    engine = built(settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.stop)
        await engine.start()
        held = Held(settings.host, {"resp": 0})
        stack.callback(held.close)
        doors: dict[str, Door] = {}
        await app.open_beside(settings, engine, held, doors)
        stack.push_async_callback(doors["resp"].close)
        host, _, port = doors["resp"].address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        stack.callback(writer.close)

        async def asked(line: str) -> bytes:
            writer.write(encoded(shlex.split(line)))
            return await reply_of(reader)

        yield asked


async def reply_of(reader: asyncio.StreamReader) -> bytes:
    """Return one whole reply."""
    data = b""
    async with asyncio.timeout(REPLY_SECONDS):
        while True:
            data += await reader.read(READ_BYTES)
            with suppress(ValueError):  # it is not whole yet
                if end_of(data, 0) == len(data):
                    return data


async def test_every_command_of_the_page_prints_what_the_page_says(ask: Ask) -> None:
    differing = []

    for line, shown in examples():
        output = printed(await ask(line))
        if rounded(output) != rounded(shown):
            differing.append((line, shown, output))

    assert PAGE.count(PROMPT) == len(examples()) > 10
    assert differing == []


async def test_what_redis_tells_of_itself_tells_of_the_module(ask: Ask) -> None:
    assert b"\r\nai_RedisAI_version:1.2.7\r\n" in await ask("INFO ai_versions")
    assert b"\r\nmodule:name=ai,ver=10207," in await ask("INFO modules")
    assert b"$2\r\nai\r\n$3\r\nver\r\n:10207\r\n" in await ask("MODULE LIST")


def test_the_table_of_words_is_the_table_of_the_code() -> None:
    table = {word.strip("`"): set(re.findall(r"`(\w+)`", codes)) for word, codes, _ in rows("## Errors")}
    real: dict[str, set[str]] = {}
    for one, word in errors.WORDS.items():
        real.setdefault(word, set()).add(one.code)
    del real["ERR"]

    assert {word: codes for word, codes in table.items() if codes} == real
    assert table.keys() == {*real, "ERR", *errors.SAID_ON} | WORDS_OF_THE_DOOR


def test_the_page_has_every_command() -> None:
    named = set(re.findall(r"\b(?:AI|INSITU)\.[A-Z_]+", PAGE))

    assert {one.name for one in COMMANDS.values() if "SCRIPT" not in one.name} <= named
