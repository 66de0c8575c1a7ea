"""docs/redis-protocol.md: its commands answer what is printed, and its tables are the code's."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from models.errors import InsituError
from models.store import ModelStore
from server.resp import errors
from server.resp.caller import Caller
from server.resp.catalog.rewriting import concerns
from server.resp.refusals import refused
from server.resp.wire.replies import RESP2
from tests.integration.resp.conftest import MakeCaller, StartEngine
from tests.integration.resp.rewritten import Upstream
from tests.integration.resp.terminal import printed
from tests.integration.rest.graphs import churn
from tests.servers import RedisServer
from tests.unit.server.resp.families import every_command

PAGE = (Path(__file__).parents[3] / "docs" / "redis-protocol.md").read_text()
PROMPT = "127.0.0.1:8002> "
NUMBER = re.compile(r"\d+\.\d{4,}")
COMMANDS = {one.name.encode(): one for one in every_command()}
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
def upstream(shared_server: RedisServer, redis_url: str) -> Iterator[Upstream]:
    with Upstream(shared_server.socket, RESP2, COMMANDS) as one:
        yield one


@pytest.fixture
async def caller(redis: Redis, store: ModelStore, engine: StartEngine, make_caller: MakeCaller) -> Caller:
    """Somebody who has the model and the keys of the page."""
    await store.publish(churn())
    for line in "".join(blocks("redis")).splitlines():
        await redis.execute_command(*shlex.split(line))
    return await make_caller(await engine())


async def answered(caller: Caller, upstream: Upstream, line: str) -> bytes:
    """Return the reply to a line as a client types it."""
    words = [word.encode() for word in shlex.split(line)]
    command = COMMANDS.get(words[0].upper())
    if command is None:
        return upstream.rewritten(*words) if concerns(words) else upstream.raw(*words)
    try:
        if not command.fits(len(words)):
            raise refused(f"wrong number of arguments for '{command.name.lower()}' command")
        return await command.answer(caller, words[1:])
    except InsituError as error:
        return errors.answer(error)


def served(line: str) -> bool:
    """Whether a line asks nothing of commands that are not there."""
    return all(word.encode() in COMMANDS for word in re.findall(r"\bAI\.\w+", line))


async def test_every_command_of_the_page_prints_what_the_page_says(
    caller: Caller, upstream: Upstream
) -> None:
    differing = []

    for line, shown in examples():
        if served(line):
            output = printed(await answered(caller, upstream, line))
            if rounded(output) != rounded(shown):
                differing.append((line, shown, output))

    assert PAGE.count(PROMPT) == len(examples()) > 10
    assert differing == []


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

    assert {one.name for one in every_command() if "SCRIPT" not in one.name} <= named
