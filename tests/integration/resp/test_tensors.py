"""AI.TENSORSET and AI.TENSORGET on a real Redis: what is stored, what stands in the way, and one round trip each."""

from collections.abc import Coroutine, Sequence
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from models.tensor_strings import (
    CODES,
    ITEM_BYTES,
    MAGIC,
    POINTER,
    TRAILER_LIMIT_BYTES,
    StoredTensor,
    of_array,
    pack,
    unpack,
)
from server.resp.caller import Caller
from server.resp.commands import tensors
from server.resp.commands.tensors import COMMANDS, read_tensors, store_tensors
from server.resp.refusals import Refused
from server.resp.wire.replies import RESP3
from tests.integration.resp.callers import Asker, OwnConnection
from tests.integration.resp.conftest import MakeCaller
from tests.servers import RedisServer

WRONG = "WRONGTYPE Operation against a key holding the wrong kind of value"
EMPTY = "ERR tensor key is empty or in a different shard"
SHAPE = "ERR invalid or negative value found in tensor shape"
FORMAT = "ERR unsupported data format"
VECTOR = StoredTensor("FLOAT", (2,), b"\0\0\x80?\0\0\0\xc0")
OTHERS = {
    "hash": ("HSET", "k", "a", "1"),
    "list": ("RPUSH", "k", "a"),
    "stream": ("XADD", "k", "*", "a", "1"),
}
SIZES = [(dtype, max(1, size)) for dtype, size in ITEM_BYTES.items()]
TENSORS = [
    VECTOR,
    *[StoredTensor(dtype, (1, 3), bytes(3 * size)) for dtype, size in SIZES],
    StoredTensor("INT8", (), b"\x05"),
    StoredTensor("INT8", (0, 70000), b""),
    StoredTensor("STRING", (3, 0), b""),
    StoredTensor("UINT8", (1,) * 64, b"\x93"),
    StoredTensor("INT8", (66_000, 2), bytes(132_000)),
]
NO_TENSORS: list[bytes] = [
    b"",
    b"a",
    b"tex",
    POINTER + b'"m","version":12}',
    POINTER + b'"mm","version":123}',
    pack(StoredTensor("INT8", (3,), b"123"))[1:],  # a byte too few
    b"." + pack(StoredTensor("UINT16", (1,), b"12")),  # one too many
    b"\x00" + MAGIC,  # no room for a trailer
    b"\xff\x00" + MAGIC + b".",
    b"12\xff\x00" + MAGIC + b".",
    b"1" + bytes(4) + b"\x01\x0a" + MAGIC,  # no such type
    b"ab" + b"\x01\0\0\0" + b"\x01\x09" + MAGIC + b".",
    b"ab." + b"\x01\0\0\0" + b"\x01\x09" + MAGIC,  # a text that does not end
]


@pytest.fixture
def asked(caller: Caller) -> Asker:
    return Asker(caller, COMMANDS)


def sent(caller: Caller) -> tuple[int, int]:
    """How many writes and commands a caller has cost."""
    assert isinstance(caller.redis, OwnConnection)
    return caller.redis.trips, caller.redis.sent


def told(reply: Any) -> str:
    assert isinstance(reply, ResponseError)
    return str(reply)


async def test_a_tensor_is_a_string_that_comes_back(asked: Asker, redis: Redis) -> None:
    assert await asked("AI.TENSORSET", "t", "INT16", 1, 3, "VALUES", 1, -2, 3) == b"OK"

    assert await redis.get("t") == pack(of_array(np.array([[1, -2, 3]], np.int16)))
    assert await asked("AI.TENSORGET", "t", "META", "VALUES") == [
        b"dtype",
        b"INT16",
        b"shape",
        [1, 3],
        b"values",
        [1, -2, 3],
    ]
    assert await asked("AI.TENSORGET", "t", "BLOB") == b"\1\0\xfe\xff\3\0"


async def test_a_raw_vector_that_somebody_set_is_a_tensor(asked: Asker, redis: Redis) -> None:
    await redis.set("t", VECTOR.data)

    assert await asked("AI.TENSORGET", "t") == [b"dtype", b"FLOAT", b"shape", [2], b"blob", VECTOR.data]
    assert await asked("AI.TENSORSET", "t", "STRING", 1, "VALUES", "é") == b"OK"
    assert await asked("AI.TENSORGET", "t", "VALUES") == ["é".encode()]


async def test_replies_are_written_for_the_version_of_the_caller(make_caller: MakeCaller) -> None:
    asked = Asker(await make_caller(wire=RESP3), COMMANDS)
    await asked("AI.TENSORSET", "t", "DOUBLE", "VALUES", "0.5")

    assert await asked.raw("AI.TENSORGET", "t", "VALUES") == b"*1\r\n,0.5\r\n"


async def test_each_command_is_one_round_trip(asked: Asker) -> None:
    await asked("AI.TENSORSET", "t", "FLOAT", 2, "BLOB", VECTOR.data)  # the script is sent whole once
    before = sent(asked.caller)

    await asked("AI.TENSORSET", "t", "FLOAT", 2, "BLOB", VECTOR.data)
    assert sent(asked.caller) == (before[0] + 1, before[1] + 1)
    await asked("AI.TENSORGET", "t")
    assert sent(asked.caller) == (before[0] + 2, before[1] + 2)


@pytest.mark.parametrize("tensor", TENSORS, ids=lambda tensor: f"{tensor.dtype}-{tensor.shape}"[:24])
async def test_type_and_shape_alone_are_told_without_the_numbers(
    asked: Asker, redis: Redis, tensor: StoredTensor
) -> None:
    await redis.set("k", pack(tensor))
    before = sent(asked.caller)

    told_so = await asked("AI.TENSORGET", "k", "META")

    assert told_so == [b"dtype", tensor.dtype.encode(), b"shape", [*tensor.shape]]
    assert sent(asked.caller)[0] == before[0] + (2 if tensor.dtype == "STRING" else 1)
    assert told_so == (await asked("AI.TENSORGET", "k"))[:4] == await asked("AI.TENSORGET", "k", "meta")


async def test_a_tensor_that_is_set_again_no_longer_expires(asked: Asker, redis: Redis) -> None:
    await redis.set("t", VECTOR.data, ex=100)

    await asked("AI.TENSORSET", "t", "FLOAT", 2, "BLOB", VECTOR.data)

    assert await redis.ttl("t") == -1


@pytest.mark.parametrize("tensor", TENSORS, ids=lambda tensor: f"{tensor.dtype}-{tensor.shape}"[:24])
async def test_any_tensor_may_be_overwritten_and_read(
    asked: Asker, redis: Redis, tensor: StoredTensor
) -> None:
    for value in (pack(tensor), tensor.data):
        if unpack(value) is None:
            continue
        await redis.set("k", value)

        assert (await read_tensors(asked.caller, [b"k"]))[0].data == tensor.data
        assert await asked("AI.TENSORSET", "k", "FLOAT", 2, "BLOB", VECTOR.data) == b"OK"
        assert await read_tensors(asked.caller, [b"k"]) == [VECTOR]


@pytest.mark.parametrize("value", NO_TENSORS)
async def test_a_string_that_is_no_tensor_is_left_alone(asked: Asker, redis: Redis, value: bytes) -> None:
    assert unpack(value) is None
    await redis.set("k", value)

    for words in (("FLOAT", 2, "BLOB", VECTOR.data), ("NOTYPE", 2)):
        assert told(await asked("AI.TENSORSET", "k", *words)) == WRONG
    assert told(await asked("AI.TENSORGET", "k", "NOFORM")) == WRONG
    assert told(await asked("AI.TENSORGET", "k", "META")) == WRONG
    assert await redis.get("k") == value


async def test_the_script_and_the_code_agree_on_what_a_tensor_is(asked: Asker, redis: Redis) -> None:
    random = np.random.default_rng(1)
    good = [pack(tensor) for tensor in TENSORS[:-1]]
    seen = set()
    for _ in range(400):
        value = bytearray(good[random.integers(len(good))])
        for _ in range(random.integers(4)):
            if value:
                value[-random.integers(1, min(len(value), TRAILER_LIMIT_BYTES) + 1)] = random.integers(12)
        cut = bytes(value[random.integers(2) * random.integers(5) :]) or b"1234567"
        await redis.set("k", cut)
        reply = await asked("AI.TENSORSET", "k", "NOTYPE", 1)

        tensor = unpack(cut)
        if tensor is not None or cut[-7:-6] != b"%c" % CODES["STRING"]:  # texts are not counted by the script
            assert told(reply) == (WRONG if tensor is None else "ERR invalid data type"), cut
        seen.add(tensor is None)
    assert seen == {True, False}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
async def test_another_type_is_told_before_what_is_wrong_with_the_words(
    asked: Asker, redis: Redis, other: Sequence[str]
) -> None:
    await redis.execute_command(*other)

    assert told(await asked("AI.TENSORSET", "k", "FLOAT", 2, "BLOB", VECTOR.data)) == WRONG
    assert told(await asked("AI.TENSORSET", "k", "FLOAT", 0)) == WRONG
    assert told(await asked("AI.TENSORGET", "k", "X")) == WRONG
    assert told(await asked("AI.TENSORGET", "k", "META")) == WRONG
    assert await redis.type("k") != b"string"


async def test_what_is_wrong_with_the_words_is_told_where_the_key_is_well(asked: Asker, redis: Redis) -> None:
    assert told(await asked("AI.TENSORGET", "k", "X")) == EMPTY
    assert told(await asked("AI.TENSORGET", "k", "META")) == EMPTY
    assert told(await asked("AI.TENSORSET", "k", "FLOAT", 0)) == SHAPE
    await redis.set("k", VECTOR.data)
    assert told(await asked("AI.TENSORGET", "k", "X")) == FORMAT
    assert told(await asked("AI.TENSORSET", "k", "FLOAT", 0)) == SHAPE
    assert await redis.get("k") == VECTOR.data


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("AI.TENSORSET", "k", "FLOAT"), "ERR wrong number of arguments for 'ai.tensorset' command"),
        (("AI.TENSORGET",), "ERR wrong number of arguments for 'ai.tensorget' command"),
        (
            ("AI.TENSORGET", "k", "META", "BLOB", "VALUES"),
            "ERR wrong number of arguments for 'ai.tensorget' command",
        ),
    ],
)
async def test_a_wrong_number_of_words_is_told_before_the_key_is_looked_at(
    asked: Asker, redis: Redis, words: Sequence[str], said: str
) -> None:
    await redis.rpush("k", "a")

    assert told(await asked(*words)) == said


async def test_tensors_are_stored_all_or_none(caller: Caller, redis: Redis) -> None:
    await redis.mset({"a": VECTOR.data, "c": "no tensor"})
    ones = StoredTensor("INT8", (1,), b"1")

    with pytest.raises(Refused, match=r"^WRONGTYPE"):
        await store_tensors(caller, [(b"a", ones), (b"b", ones), (b"c", ones)])
    assert await redis.mget("a", "b", "c") == [VECTOR.data, None, b"no tensor"]

    await store_tensors(caller, [(b"a", ones), (b"b", ones), (b"a", VECTOR)])
    assert await read_tensors(caller, [b"b", b"a"]) == [ones, VECTOR]
    await store_tensors(caller, [])
    assert await read_tensors(caller, []) == []


async def test_large_tensors_are_looked_for_first_and_then_set_all_at_once(
    caller: Caller, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensors, "SCRIPT_BYTES", 30)
    await redis.mset({"a": VECTOR.data, "c": "no tensor"})
    await redis.expire("a", 100)
    ones = StoredTensor("INT8", (9,), b"1" * 9)

    with pytest.raises(Refused, match=r"^WRONGTYPE"):
        await store_tensors(caller, [(b"a", ones), (b"b", ones), (b"c", ones)])
    assert await redis.mget("a", "b", "c") == [VECTOR.data, None, b"no tensor"]

    before = sent(caller)
    await store_tensors(caller, [(b"a", ones), (b"b", ones)])
    assert sent(caller) == (before[0] + 2, before[1] + 2)
    assert await read_tensors(caller, [b"b", b"a"]) == [ones, ones]
    assert await redis.ttl("a") == -1

    await redis.execute_command("ACL", "SETUSER", "guest", "on", "nopass", "~*", "+@all", "-mset")
    await caller.redis([("AUTH", "guest", "")])
    with pytest.raises(Refused, match=r"^NOPERM"):
        await store_tensors(caller, [(b"a", ones), (b"b", ones)])
    await redis.acl_deluser("guest")


async def test_a_large_tensor_leaves_nothing_behind_in_lua(asked: Asker, redis: Any) -> None:
    data = bytes(8 << 20)

    for _ in range(2):
        assert await asked("AI.TENSORSET", "t", "INT8", len(data), "BLOB", data) == b"OK"

    assert await redis.strlen("t") == len(data) + 12
    assert (await redis.info("memory"))["used_memory_vm_eval"] < 1 << 20


async def test_the_first_key_that_holds_no_tensor_is_told(caller: Caller, redis: Redis) -> None:
    await redis.mset({"a": VECTOR.data, "c": "no tensor"})

    with pytest.raises(Refused, match=r"^ERR tensor key is empty"):
        await read_tensors(caller, [b"a", b"b", b"c"])
    with pytest.raises(Refused, match=r"^WRONGTYPE"):
        await read_tensors(caller, [b"a", b"c", b"b"])


async def test_tensors_lie_in_the_database_of_the_caller(make_caller: MakeCaller, caller: Caller) -> None:
    asked = Asker(await make_caller(caller.engine, db=3), COMMANDS)

    await asked("AI.TENSORSET", "t", "FLOAT", 2, "BLOB", VECTOR.data)

    assert await asked("AI.TENSORGET", "t", "BLOB") == VECTOR.data
    assert told(await Asker(caller, COMMANDS)("AI.TENSORGET", "t")) == EMPTY


async def in_transaction(caller: Caller, *commands: tuple[Any, ...]) -> list[bytes]:
    """What EXEC holds of commands that were queued, as their bytes."""
    known = {command.name: command for command in COMMANDS}
    stood_in = []
    for name, *words in commands:
        queue = known[name].queued
        assert queue is not None
        stood_in.append(
            queue(caller, [word if isinstance(word, bytes) else str(word).encode() for word in words])
        )
    replies = await caller.redis([("MULTI",), *[one.command for one in stood_in], ("EXEC",)])
    assert replies[1:-1] == [b"QUEUED"] * len(commands)
    found = []
    for one, reply in zip(stood_in, replies[-1], strict=True):
        told = reply if one.turned is None else one.turned(reply)
        found.append(await told if isinstance(told, Coroutine) else told)
    return found


async def test_a_transaction_holds_what_the_commands_would_answer(caller: Caller, redis: Redis) -> None:
    await redis.rpush("l", "a")

    replies = await in_transaction(
        caller,
        ("AI.TENSORSET", "t", "FLOAT", 2, "BLOB", VECTOR.data),
        ("AI.TENSORGET", "t", "VALUES"),
        ("AI.TENSORSET", "t", "FLOAT", 0),
        ("AI.TENSORSET", "l", "FLOAT", 0),
        ("AI.TENSORSET", "l", "FLOAT", 1),
        ("AI.TENSORGET", "t", "X"),
        ("AI.TENSORGET", "t", "META", "BLOB", "BLOB"),
        ("AI.TENSORGET", "l"),
        ("AI.TENSORGET", "none"),
    )

    assert replies[:2] == [b"OK", b"*2\r\n$1\r\n1\r\n$2\r\n-2\r\n"]
    assert [*map(told, replies[2:5])] == [SHAPE, WRONG, WRONG]
    arity = "ERR wrong number of arguments for 'ai.tensorget' command"
    assert replies[5:] == [f"-{said}\r\n".encode() for said in (FORMAT, arity, WRONG, EMPTY)]


async def test_what_redis_does_not_allow_is_told_in_its_words(asked: Asker, redis: Redis) -> None:
    await asked.caller.redis([("ACL", "SETUSER", "guest", "on", "nopass", "~t*", "+@all", "-set", "-get")])
    await asked.caller.redis([("AUTH", "guest", "")])

    assert told(await asked("AI.TENSORSET", "other", "FLOAT", 1)).startswith("NOPERM ")
    assert "script" in told(await asked("AI.TENSORSET", "t", "FLOAT", 1))
    assert told(await asked("AI.TENSORGET", "t")).startswith("NOPERM ")
    await redis.acl_deluser("guest")


async def test_a_redis_that_is_full_says_so(redis_server: Any, make_caller: MakeCaller) -> None:
    server: RedisServer = redis_server()
    caller = await make_caller()
    own = OwnConnection(server.url)
    asked = Asker(Caller(caller.engine, own), COMMANDS)
    with server.connect() as client:
        client.config_set("maxmemory", 1)

    assert told(await asked("AI.TENSORSET", "t", "FLOAT", 1)).startswith("OOM command not allowed")

    await own.close()
