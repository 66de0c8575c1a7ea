"""Files that real servers wrote are walked through to their end, whatever lies in them, in little memory."""

import asyncio
import random
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from cli.importing.checksum import crc64
from cli.importing.files import FileSource
from cli.importing.inventory import Inventory
from cli.importing.rdb_bytes import RdbBytes
from cli.importing.rdb_walk import walk_rdb
from models.patterns import Pattern
from tests.data import make_redisai as made
from tests.servers import RedisServer, bundled_server, stack_module

SYSTEM = Path("/usr/bin/redis-server")


def binaries() -> list[Path]:
    """The servers of this machine: Valkey, and Redis where the system has one."""
    return [one for one in (bundled_server(), SYSTEM) if one is not None and one.exists()]


@pytest.fixture(params=binaries(), ids=lambda path: path.name)
def writer(request: pytest.FixtureRequest) -> Iterator[Callable[..., RedisServer]]:
    """A factory: a server of each kind that writes files."""
    started: list[RedisServer] = []

    def start(*arguments: str) -> RedisServer:
        started.append(RedisServer(request.param, arguments))
        return started[-1].start()

    yield start
    for server in started:
        server.close()


def fill(redis: Redis) -> None:
    """Write values of every ordinary type, in each of the forms that servers keep them in."""
    r = random.Random(3)
    redis.mset({"text": "x", "8 bits": -5, "16 bits": 1234, "32 bits": 123456789, "same": "a" * 5000})
    redis.mset({"64": "q" * 64, "noise": r.randbytes(70_000), "block": r.randbytes(5 << 20)})
    redis.rpush("list", *range(20))
    redis.rpush("nodes", *(r.randbytes(3000) for _ in range(50)))
    redis.rpush("plain node", r.randbytes(20_000))
    redis.sadd("integers", 1, 2, 3)
    redis.sadd("many integers", *range(10**10, 10**10 + 1000))
    redis.sadd("members", "a", "b")
    redis.sadd("many members", *(f"m{i}" for i in range(2000)))
    redis.zadd("sorted", {"a": 1.5, "b": float("inf"), "c": float("-inf")})
    redis.zadd("many sorted", {f"m{i}": i / 3 for i in range(1000)})
    redis.hset("hash", "a", "b")
    redis.hset("many fields", mapping={f"f{i}": "v" * 100 for i in range(1000)})
    for i in range(300):
        redis.xadd("stream", {"a": i, "b": "c"}, id=f"{i + 1}-0")
    redis.xgroup_create("stream", "group", "0")
    redis.xreadgroup("group", "me", {"stream": ">"}, count=10)
    redis.xgroup_create("stream", "nobody", "$")
    redis.execute_command("XDEL", "stream", "1-0")
    redis.set("expiring", "v", ex=1000)
    redis.set("later", "v", px=10**10)
    redis.pfadd("counted", *range(1000))
    redis.execute_command(
        "FUNCTION", "LOAD", "REPLACE", "#!lua name=l\nredis.register_function('f', function() return 1 end)"
    )
    if "hpexpire" in redis.command_list():
        for name, fields in (("few fields expire", 3), ("many fields expire", 1000)):
            redis.hset(name, mapping={f"f{i}": i for i in range(fields)})
            redis.execute_command("HPEXPIRE", name, 10**8, "FIELDS", 2, "f0", "f1")


def looked(path: Path) -> Inventory:
    return asyncio.run(FileSource(path).look(lambda _done, _of: None))


@pytest.mark.parametrize("compression", ["yes", "no"])
@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru", "allkeys-lfu"])
def test_every_type_that_servers_write_is_passed_over(
    writer: Callable[..., RedisServer], policy: str, compression: str
) -> None:
    server = writer("--maxmemory-policy", policy, "--rdbcompression", compression)
    keys = 0
    for db in (0, 7):
        with Redis(unix_socket_path=str(server.socket), db=db, protocol=2) as redis:
            fill(redis)
            keys += redis.dbsize()
            redis.save()

    found, met = walk_rdb(server.directory / "dump.rdb", lambda _done, _of: None)

    assert (met.keys, met.checked, found) == (keys, True, [])
    assert keys > 40


def test_a_file_without_a_checksum_of_a_server_is_walked_through(writer: Callable[..., RedisServer]) -> None:
    server = writer("--rdbchecksum", "no")
    with server.connect() as redis:
        fill(redis)
        redis.save()
        keys = redis.dbsize()

    _, met = walk_rdb(server.directory / "dump.rdb", lambda _done, _of: None)

    assert (met.keys, met.checked) == (keys, False)


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("rejson.so", ("JSON.SET", "value", "$", '{"a": [1, 2.5, "x", null, true]}')),
        ("redisbloom.so", ("BF.ADD", "value", "x")),
    ],
)
def test_values_of_other_modules_are_passed_over(
    writer: Callable[..., RedisServer], module: str, command: tuple[str, ...]
) -> None:
    path = stack_module(module)
    if path is None:
        pytest.skip("no such Redis module: pip install 'insitu[json-tests]'")
    server = writer("--loadmodule", str(path))
    with server.connect() as redis:
        redis.execute_command(*command)
        redis.set("after", "x")
        redis.save()

    found, met = walk_rdb(server.directory / "dump.rdb", lambda _done, _of: None)

    assert (met.keys, met.checked, found) == (2, True, [])


@pytest.mark.parametrize("preamble", ["yes", "no"])
@pytest.mark.parametrize("rewritten", [False, True])
def test_append_only_files_of_servers_are_looked_through(
    writer: Callable[..., RedisServer], preamble: str, rewritten: bool
) -> None:
    server = writer("--appendonly", "yes", "--aof-use-rdb-preamble", preamble)
    with server.connect() as redis:
        fill(redis)
        if rewritten:
            redis.bgrewriteaof()
            while redis.info("persistence")["aof_rewrite_in_progress"]:
                pass
        redis.set("after", "x")
        keys = redis.dbsize()

    met = looked(server.directory)

    assert (met.found, met.notes) == ([], [])
    assert met.keys == (keys - 1 if rewritten and preamble == "yes" else 0)


def test_commands_of_a_server_on_restored_tensors_are_followed(
    writer: Callable[..., RedisServer], tmp_path: Path
) -> None:
    server = writer("--appendonly", "yes", "--appendfsync", "always")
    with server.connect() as redis:
        redis.set("a", "x", ex=1000)
        redis.rename("a", "b")
        redis.copy("b", "c", destination_db=2)
        redis.execute_command("SWAPDB", 0, 3)
    incr = next((server.directory / "appendonlydir").glob("*.incr.aof"))
    path = tmp_path / "both.aof"
    tensor = made.command("SELECT", 0) + made.command("AI.TENSORSET", "a", "FLOAT", 1, "VALUES", 1)
    path.write_bytes(without_set(incr.read_bytes(), tensor))

    found = looked(path).found

    assert sorted((one.db, one.key) for one in found) == [(2, b"c"), (3, b"b")]


def without_set(written: bytes, instead: bytes) -> bytes:
    """What a server wrote, with a tensor where it had set a string; it still expires by that server's words."""
    begin = written.index(b"SET\r\n")
    start = written.rindex(b"*", 0, begin)
    end = written.index(b"*", begin)
    return written[:start] + instead + written[end:]


def test_a_string_that_a_server_compressed_is_read(
    writer: Callable[..., RedisServer], tmp_path: Path
) -> None:
    text = " ".join(str(i * i) for i in range(20_000)).encode()
    with writer().connect() as redis:
        redis.set("text", text)
        payload = redis.dump("text")
    assert isinstance(payload, bytes)
    assert len(payload) < len(text) - 100
    path = tmp_path / "dumped"
    path.write_bytes(payload)

    with path.open("rb") as stream:
        data = RdbBytes(stream, path)
        kind, value = data.byte(), data.string()

    assert (kind, value) == (0, text)
    assert crc64(payload[:-8]) == int.from_bytes(payload[-8:], "little")


def test_a_large_file_is_looked_through_in_little_memory(tmp_path: Path) -> None:
    path, size = tmp_path / "large.rdb", 48 << 20
    entry = made.entry(b"model", made.model(4, made.ONNX, b""))
    body = b"REDIS0009\xfe\x00\x00\x01x" + made.length(size)
    crc = crc64(body)
    with path.open("wb") as file:
        file.write(body)
        for _ in range(size >> 20):
            piece = random.Random(4).randbytes(1 << 20)
            crc = crc64(piece, crc)
            file.write(piece)
        tail = entry + b"\xff"
        file.write(tail + struct.pack("<Q", crc64(tail, crc)))

    tracemalloc.start()
    found, met = walk_rdb(path, lambda _done, _of: None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert ([one.key for one in found], met.keys, met.checked) == ([b"model"], 2, True)
    assert peak < 32 << 20


def test_patterns_choose_the_keys_that_redis_chooses(redis_url: str) -> None:
    names = ["", "a", "ab", "abc", "a*c", "a?c", "a[c", "a]c", "a-c", "a^c", "a\\c", "a\nc", "Abc", "äbc"]
    patterns = [
        "*",
        "a*",
        "a?c",
        "a[a-z]c",
        "a[^b]c",
        "a[*?]c",
        "a\\*c",
        "a\\?c",
        "a\\[c",
        "a\\\\c",
        "[aA]bc",
        "??",
    ]
    with Redis.from_url(redis_url) as redis:
        for name in names:
            redis.set(name, "x")

        for pattern in patterns:
            theirs = sorted(redis.keys(pattern))
            ours = sorted(name.encode() for name in names if Pattern(pattern.encode()).matches(name.encode()))
            assert (pattern, ours) == (pattern, theirs)
