"""The tensors of docs/redis-keys.md are those of the code: tables, Python, what redis-cli prints, rights."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from models import tensor_strings
from models.tensor_strings import (
    AXES_LIMIT,
    DTYPES,
    ELEMENTS_LIMIT,
    ITEM_BYTES,
    MAGIC,
    NUMPY,
    POINTER,
    array_of,
    unpack,
)
from server.resp.caller import Caller
from server.resp.commands.tensors import COMMANDS
from tests.data.make_contract import TENSORS
from tests.integration.resp.callers import Asker, OwnConnection

PAGE = (Path(__file__).parents[3] / "docs" / "redis-keys.md").read_text()
SECTION = PAGE.split("\n## Tensors\n", 1)[1].split("\n## ", 1)[0]
PROMPT = "redis> "


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)
    return str(found)


def typed(word: str) -> bytes:
    """A word as redis-cli takes it, without its quotes."""
    return word.encode().decode("unicode_escape").encode("latin-1")


def printed(reply: Any) -> str:
    """A reply as redis-cli prints it."""
    if reply is True:
        return "OK"
    shown = [chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in reply]
    return '"' + "".join(shown) + '"'


def test_the_types_are_those_of_the_code() -> None:
    found = re.findall(r"^\| (\d) \| `(\w+)` \| (\d?) ?\| `(\S+)` \|$", SECTION, re.MULTILINE)

    assert [(int(code), word) for code, word, _, _ in found] == [*enumerate(DTYPES)]
    assert [int(size or 0) for _, _, size, _ in found] == [ITEM_BYTES[dtype] for dtype in DTYPES]
    assert [np.dtype(name) for _, _, _, name in found] == [NUMPY[dtype] for dtype in DTYPES]


def test_the_magic_and_the_bounds_are_those_of_the_code() -> None:
    shown, escaped = re.findall(r"`([0-9a-f ]{17})`, which is `(\S+)`", SECTION)[0]

    assert bytes.fromhex(shown) == typed(escaped) == MAGIC
    assert f"{AXES_LIMIT} axes and 2^32 elements" in SECTION
    assert ELEMENTS_LIMIT == 2**32
    assert f"begins with `{POINTER.decode()}`" in SECTION
    assert (tensor_strings.__doc__ or "").endswith(
        "docs/redis-keys.md#tensors is the page for other programs.\n"
    )


def test_the_python_of_the_page_writes_and_reads_what_the_code_does(redis_url: str) -> None:
    code = block("python").replace("Redis()", "Redis.from_url(url)")
    room: dict[str, Any] = {"url": redis_url}

    exec(code, room)  # noqa: S102  # the page is ours

    with BlockingRedis.from_url(redis_url) as client:
        values = [client.get(key) for key in ("tensor:1", "tensor:2")]
    room["redis"].close()
    read = [unpack(value) for value in values if isinstance(value, bytes)]
    assert [(one.dtype, one.shape, array_of(one).tolist()) for one in read if one] == [
        ("INT16", (1, 3), [[1, -2, 3]]),
        ("FLOAT", (2,), [1.5, -2.0]),
    ]
    for name, array in TENSORS.items():
        if not name.startswith("string"):
            value = room["packed"](array)
            np.testing.assert_array_equal(room["unpacked"](value), array)
            assert unpack(value) == tensor_strings.of_array(array)


async def test_redis_cli_prints_what_the_page_shows(redis: Redis) -> None:
    parts = block("console").split(PROMPT)[1:]

    for part in parts:
        command, _, output = part.partition("\n")
        words = [typed(word) if "\\" in word else word for word in re.sub(r'"', "", command).split(" ")]
        assert printed(await redis.execute_command(*words)) == output.strip(), command
    assert len(parts) == 6


async def test_the_command_of_the_page_writes_the_bytes_of_the_page(redis_url: str, redis: Any) -> None:
    command = re.findall(r"`AI.TENSORSET (.*?)` writes the same bytes", SECTION)[0].split()
    (stored,) = re.findall(r'^redis> SET tensor:1 "(.*)"$', SECTION, re.MULTILINE)
    own = OwnConnection(redis_url)

    assert await Asker(Caller(None, own), COMMANDS)("AI.TENSORSET", *command) == b"OK"  # type: ignore[arg-type]  # no engine is asked

    assert await redis.get("tensor:1") == typed(stored)
    await own.close()


async def test_the_rights_of_the_page_are_enough_and_no_more(redis_url: str, redis: Any) -> None:
    _, _, user, *rules = shlex.split(block("redis"))
    await redis.execute_command("ACL", "SETUSER", user, "reset", *rules)
    await redis.script_flush()
    own = OwnConnection(redis_url)
    await own([("AUTH", user, "PASSWORD")])
    asked = Asker(Caller(None, own), COMMANDS)  # type: ignore[arg-type]  # no engine is asked

    assert await asked("AI.TENSORSET", "tensor:1", "FLOAT", 1) == b"OK"
    assert await asked("AI.TENSORSET", "tensor:1", "FLOAT", 1) == b"OK"
    assert await asked("AI.TENSORGET", "tensor:1", "VALUES") == [b"0"]
    assert str(await asked("AI.TENSORSET", "other", "FLOAT", 1)).startswith("NOPERM ")
    await own.close()
    await redis.acl_deluser(user)
