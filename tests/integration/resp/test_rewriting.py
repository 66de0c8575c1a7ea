"""COMMAND, MODULE LIST and INFO of real servers with our commands in them, read back by real clients."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from server.resp.commands import cataloguing, explaining, helping, predicting
from server.resp.commands.command import Command, Words
from server.resp.refusals import refused
from server.resp.wire.replies import OK, RESP2, RESP3, Encoder
from tests.integration.resp.rewritten import Upstream, read, relayed
from tests.integration.resp.terminal import printed
from tests.servers import RedisServer, bundled_server

SERVERS = [path for path in (bundled_server(), shutil.which("redis-server")) if path is not None]
CLI = shutil.which("redis-cli")
CLI_SECONDS = 20.0
COLOURS = re.compile(r"\x1b\[\d*m")
SECTIONS = {"ai_versions": {"RedisAI_version": "1.2.7"}, "ai_git": {"git_sha": "none"}}


async def nothing(_caller: Any, _words: Words) -> bytes:
    return OK


def keys_between(words: Words) -> list[bytes]:
    if not words[0].isdigit():
        raise refused("no number")
    return [*words[1:]]


TENSORSET = Command(
    "AI.TENSORSET",
    -4,
    nothing,
    "Stores a tensor.",
    "key type [dim ...] [BLOB data | VALUES value [value ...]]",
    ("write", "denyoom"),
    (1, 1, 1),
)
MOVING = Command(
    "AI.MOVING", -2, nothing, "Moves.", flags=("write", "movablekeys"), keys=(2, 2, 1), names=keys_between
)
EVERY = (
    TENSORSET,
    MOVING,
    Command("AI.CONFIG", -2, nothing, "Configures.", "GET name | LOADBACKEND backend path", ("admin",)),
    Command("AI.PAIRS", -3, nothing, "Takes pairs.", "key value [key value ...]", ("readonly",), (1, -1, 2)),
    *predicting.COMMANDS,
    *explaining.COMMANDS,
    *cataloguing.COMMANDS,
    *helping.COMMANDS,
)
COMMANDS = {one.name.encode(): one for one in EVERY}
NAMES = [one.name.lower() for one in EVERY]


@pytest.fixture(scope="module", params=SERVERS, ids=lambda path: Path(path).name)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    one = RedisServer(Path(request.param)).start()
    try:
        yield one
    finally:
        one.close()


@pytest.fixture(params=[RESP2, RESP3], ids=["RESP2", "RESP3"])
def upstream(server: RedisServer, request: pytest.FixtureRequest) -> Iterator[Upstream]:
    with Upstream(server.socket, request.param, COMMANDS, SECTIONS) as one:
        yield one


def asked(upstream: Upstream, line: str) -> tuple[Any, Any]:
    """Return what the server says, and what a client is told."""
    words = [word.encode() for word in line.split()]
    return read(upstream.raw(*words)), read(upstream.rewritten(*words))


def mapped(wire: Encoder, reply: Any) -> dict[str, Any]:
    """A map of either protocol."""
    return reply if wire is RESP3 else dict(zip(reply[::2], reply[1::2], strict=True))


def test_the_count_counts_ours(upstream: Upstream) -> None:
    before, after = asked(upstream, "COMMAND COUNT")

    assert after == before + len(COMMANDS)


def settled(entry: Sequence[Any]) -> str:
    """An entry as text, its subcommands in order: Redis tells them in another one each time."""
    return repr((entry[:9], sorted(map(repr, entry[9]))))


@pytest.mark.parametrize("line", ["COMMAND", "command info"])
def test_every_command_is_told_and_ours_after_those_of_redis(upstream: Upstream, line: str) -> None:
    before, after = asked(upstream, line)

    assert {one[0] for one in before} | set(NAMES) == {one[0] for one in after}
    assert [one[0] for one in after[len(before) :]] == NAMES
    assert {len(one) for one in after} == {10}
    assert sorted(map(settled, before)) == sorted(map(settled, after[: len(before)]))


def test_an_entry_has_the_types_of_those_of_redis(upstream: Upstream) -> None:
    _, ((*theirs,), (*ours,)) = asked(upstream, "COMMAND INFO set AI.TENSORSET")

    assert [type(one) for one in ours[:9]] == [type(one) for one in theirs[:9]]
    assert [mapped(upstream.wire, one).keys() for one in ours[8]] == [{"flags", "begin_search", "find_keys"}]
    ours = [sorted(one) if isinstance(one, set | list) and at != 8 else one for at, one in enumerate(ours)]
    assert ours[:8] == [
        "ai.tensorset", -4, ["denyoom", "module", "write"], 1, 1, 1, ["@slow", "@write"], []
    ]  # fmt: skip


def test_entries_are_in_the_order_of_the_names(upstream: Upstream) -> None:
    _, found = asked(upstream, "COMMAND INFO nosuch ai.tensorset get insitu.predict GET")

    assert [None if one is None else one[0] for one in found] == [
        None, "ai.tensorset", "get", "insitu.predict", "get"
    ]  # fmt: skip


def test_documents_of_ours_are_beside_those_of_redis(upstream: Upstream) -> None:
    before, after = asked(upstream, "COMMAND DOCS")
    theirs, ours = mapped(upstream.wire, before), mapped(upstream.wire, after)

    assert ours.keys() == theirs.keys() | set(NAMES)
    told = mapped(upstream.wire, ours["ai.tensorset"])
    assert {name: told[name] for name in ("summary", "since", "group", "module")} == {
        "summary": "Stores a tensor",
        "since": "1.0.0",
        "group": "module",
        "module": "ai",
    }
    assert [mapped(upstream.wire, one)["name"] for one in told["arguments"]] == ["key", "type", "dim", "data"]


def test_only_the_documents_asked_for_are_told(upstream: Upstream) -> None:
    _, found = asked(upstream, "COMMAND DOCS nosuch insitu.help set")

    assert mapped(upstream.wire, found).keys() == {"set", "insitu.help"}


@pytest.mark.parametrize(
    ("line", "added"),
    [
        ("COMMAND LIST", NAMES),
        ("COMMAND LIST FILTERBY MODULE AI", NAMES),
        ("COMMAND LIST FILTERBY MODULE json", []),
        ("COMMAND LIST FILTERBY ACLCAT admin", ["ai.config"]),
        ("COMMAND LIST FILTERBY ACLCAT write", ["ai.tensorset", "ai.moving", "insitu.promote"]),
        ("COMMAND LIST FILTERBY ACLCAT string", []),
        ("command list filterby pattern ai.[t-z]*", ["ai.tensorset"]),
    ],
)
def test_a_list_has_those_of_ours_that_its_filter_means(
    upstream: Upstream, line: str, added: list[str]
) -> None:
    before, after = asked(upstream, line)

    assert sorted(before) == sorted(after[: len(before)])
    assert after[len(before) :] == added


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        ("COMMAND GETKEYS ai.tensorset x FLOAT 1", ["x"]),
        ("COMMAND GETKEYS AI.MOVING 2 a b", ["a", "b"]),
        ("COMMAND GETKEYS AI.PAIRS a 1 b 2", ["a", "b"]),
        ("COMMAND GETKEYS insitu.predict m k:1 k:2 VERSION 3 RAW", ["k:1", "k:2"]),
        ("COMMAND GETKEYS set x 1", ["x"]),
    ],
)
def test_keys_are_found_among_the_words(upstream: Upstream, line: str, keys: list[str]) -> None:
    _, found = asked(upstream, line)

    assert found == keys


def test_keys_are_told_with_what_is_done_with_them(upstream: Upstream) -> None:
    _, found = asked(upstream, "COMMAND GETKEYSANDFLAGS AI.TENSORSET x FLOAT 1")

    assert [(key, set(flags)) for key, flags in found] == [("x", {"RW", "access", "update"})]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("COMMAND GETKEYS AI.TENSORSET x", "ERR Invalid number of arguments specified for command"),
        ("COMMAND GETKEYS AI.CONFIG GET x", "ERR The command has no key arguments"),
        ("COMMAND GETKEYS AI.MOVING x y", "ERR Invalid arguments specified for command"),
        ("COMMAND GETKEYS nosuch x", "ERR Invalid command specified"),
        ("COMMAND LIST FILTERBY SIZE 3", "ERR syntax error"),
        ("COMMAND NOSUCH", "ERR unknown subcommand 'NOSUCH'. Try COMMAND HELP."),
        ("MODULE NOSUCH", "ERR unknown subcommand 'NOSUCH'. Try MODULE HELP."),
    ],
)
def test_what_cannot_be_answered_is_an_error_in_the_words_of_redis(
    upstream: Upstream, line: str, told: str
) -> None:
    _, found = asked(upstream, line)

    assert str(found) == told


def test_a_module_is_listed_as_a_client_of_redisai_looks_for_it(upstream: Upstream) -> None:
    before, after = asked(upstream, "MODULE LIST")

    assert after[: len(before)] == before
    assert [mapped(upstream.wire, one) for one in after[len(before) :]] == [
        {"name": "ai", "ver": 10207, "path": "insitu", "args": []}
    ]


@pytest.mark.parametrize(
    ("line", "module", "sections"),
    [
        ("INFO", True, False),
        ("INFO all", True, False),
        ("INFO default", True, False),
        ("INFO everything", True, True),
        ("INFO MODULES", True, True),
        ("INFO server modules", True, True),
        ("INFO keyspace", False, False),
    ],
)
def test_info_tells_of_the_module_where_redis_tells_of_modules(
    upstream: Upstream, line: str, module: bool, sections: bool
) -> None:
    before, after = asked(upstream, line)

    assert ("\r\nmodule:name=ai,ver=10207," in after) == module
    assert ("# ai_versions\r\nai_RedisAI_version:1.2.7\r\n" in after) == sections
    assert headings(after) == headings(before) + ["# ai_versions", "# ai_git"] * sections
    assert "\r\n\r\n\r\n" not in after
    assert after.endswith("\r\n")


def headings(text: str) -> list[str]:
    return [line for line in text.split("\r\n") if line.startswith("#")]


def test_one_section_of_the_module_is_told_alone(upstream: Upstream) -> None:
    assert asked(upstream, "INFO AI_git")[1] == "# ai_git\r\nai_git_sha:none\r\n"
    assert asked(upstream, "INFO ai")[1] == (
        "# ai_versions\r\nai_RedisAI_version:1.2.7\r\n\r\n# ai_git\r\nai_git_sha:none\r\n"
    )


def test_what_is_queued_in_a_transaction_stays_as_it_is(upstream: Upstream) -> None:
    upstream.raw(b"MULTI")

    assert upstream.rewritten(b"COMMAND", b"COUNT") == b"+QUEUED\r\n"


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_reads_what_it_is_told(server: RedisServer, protocol: int) -> None:
    with (
        relayed(server.socket, COMMANDS, SECTIONS) as port,
        Redis(port=port, protocol=protocol, decode_responses=True) as client,
    ):
        told = client.command()
        assert told["ai.tensorset"]["arity"] == -4
        assert {"write", "module"} <= set(told["ai.tensorset"]["flags"])
        assert client.command_count() == len(told)
        assert client.command_getkeys("AI.TENSORSET", "x", "FLOAT", "1") == ["x"]
        assert "ai.tensorset" in client.command_list(module="ai")
        assert "ai" in [one["name"] for one in client.module_list()]
        assert client.info("ai_versions") == {"ai_RedisAI_version": "1.2.7"}
        assert {one["name"] for one in client.info("modules")["modules"]} >= {"ai"}


@pytest.mark.skipif(CLI is None, reason="no redis-cli")
def test_redis_cli_helps_with_our_commands(server: RedisServer) -> None:
    with relayed(server.socket, COMMANDS) as port:
        found = subprocess.run(
            [str(CLI), "-p", str(port)],
            input="help ai.tensorset\nhelp AI.CONFIG\nhelp INSITU.PREDICT\nhelp set\n",
            capture_output=True,
            text=True,
            timeout=CLI_SECONDS,
            check=True,
        ).stdout
    found = COLOURS.sub("", found)

    assert "AI.TENSORSET key type [dim [dim ...]] [BLOB data|VALUES value [value ...]]" in found
    assert "AI.CONFIG GET name|LOADBACKEND backend path" in found
    assert (
        "INSITU.PREDICT model key [key ...] [VERSION version] [MISSING number] [TIMEOUT milliseconds] [RAW]"
    ) in found
    assert "summary: Stores a tensor\n" in found
    assert "group: module" in found


@pytest.mark.skipif(CLI is None, reason="no redis-cli")
@pytest.mark.parametrize(
    "line", ["COMMAND INFO nosuch ai.tensorset set", "COMMAND DOCS ai.tensorset", "GET x", "LRANGE x 0 -1"]
)
def test_the_pages_print_replies_as_redis_cli_does(server: RedisServer, line: str) -> None:
    with relayed(server.socket, COMMANDS) as port, Upstream(server.socket, RESP2, COMMANDS) as upstream:
        upstream.raw(b"SET", b"x", bytes(range(256)))
        found = subprocess.run(
            [str(CLI), "--no-raw", "-p", str(port), *line.split()],
            capture_output=True,
            text=True,
            timeout=CLI_SECONDS,
            check=True,
        ).stdout
        reply = upstream.rewritten(*(word.encode() for word in line.split()))

    assert found.rstrip("\n") == printed(reply)
