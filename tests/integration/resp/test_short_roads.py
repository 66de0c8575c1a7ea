"""Predictions and DAGs that are known by their bytes: what is asked together is answered as if asked alone."""

import asyncio
import itertools
import socket
import struct
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from models.model_pointers import ModelPointer
from models.store import ModelStore
from server.resp.shortcuts import FORM_SECONDS
from tests.graphs import bundle, dense, f32, running_total, scaled
from tests.integration.resp.conftest import OpenDoor
from tests.integration.resp.doors import OpenedDoor, command

VIEW = {"inputs": [{"name": "x", "sources": [{"key": "k:{id}", "as": "vector", "shape": [2]}]}]}
CLIENTS = 12
WEIGHTS = f32([[1, 0], [0, 1]])


def predict(model: str, key: str) -> bytes:
    return command("INSITU.PREDICT", model, key)


def dag(model: str, *values: float, get: str = "BLOB", name: str = "AI.DAGEXECUTE_RO") -> bytes:
    words = f"{name} ROUTING r |> AI.TENSORSET x FLOAT 1 {len(values)} BLOB".split()
    after = f"|> AI.MODELEXECUTE {model} INPUTS 1 x OUTPUTS 1 y |> AI.TENSORGET y {get}".split()
    return command(*words, np.array(values, "<f4").tobytes(), *after)


async def one_by_one(door: OpenedDoor, commands: list[bytes]) -> list[bytes]:
    """The replies to commands, each sent alone on a connection of its own."""
    replies = []
    for one in commands:
        line = await door.line()
        await line.say(one)
        replies.append((await line.until_quiet()).removesuffix(b"MARK"))
    return replies


async def at_once(door: OpenedDoor, commands: list[bytes], deep: int = 1) -> bytes:
    """The replies of as many clients that each send their commands in one write, at once."""
    lines = [await door.line() for _ in range(CLIENTS)]
    await asyncio.gather(*(line.say(b"".join(commands) * deep) for line in lines))
    heard = await asyncio.gather(*(line.until_quiet() for line in lines))
    assert len(set(heard)) == 1
    return heard[0]


@pytest.fixture
async def rows(store: ModelStore, redis: Redis) -> None:
    """m doubles a vector, r and s are running totals and need their rows one by one."""
    await store.publish(bundle(scaled(), "m", VIEW))
    await store.publish(
        bundle(dense(WEIGHTS, "Softmax"), "c", VIEW, labels=("a", "b"), task="classification")
    )
    await store.publish(bundle(scaled(), "plain"))
    await store.publish(bundle(running_total(), "total"))
    for row in range(8):
        await redis.set(f"k:{row}", np.array([row, row + 1], "<f4").tobytes())
    await redis.set("k:short", b"12")
    await redis.set("k:nan", np.array([np.nan, 1], "<f4").tobytes())


@pytest.mark.usefixtures("rows")
async def test_a_key_that_redis_refuses_to_give_is_an_error_of_its_own(
    open_door: OpenDoor, redis: Redis, redis_url: str
) -> None:
    await redis.execute_command(
        "ACL", "SETUSER", "few", "on", ">secret", "+@all", "&*", "~insitu*", "~k:0", "~k:1"
    )
    try:
        door = await open_door(redis_url=redis_url.replace("unix://", "unix://few@") + "?password=secret")
        commands = [predict("m", f"k:{key}") for key in (0, 7, 1)]

        alone = await one_by_one(door, commands)

        assert [b"NOPERM" in one for one in alone] == [False, True, False]
        for deep in (1, 30):
            assert await at_once(door, commands, deep) == b"".join(alone) * deep + b"MARK"
    finally:
        await redis.execute_command("ACL", "DELUSER", "few")


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("model", ["m", "c"])
async def test_predictions_of_many_clients_are_those_of_each_alone(door: OpenedDoor, model: str) -> None:
    commands = [predict(model, f"k:{key}") for key in ("0", "1", "nosuch", "7", "short", "nan", "2")]

    alone = await one_by_one(door, commands)

    for deep in (1, 30):
        heard = await at_once(door, commands, deep)
        assert heard == b"".join(alone) * deep + b"MARK"


@pytest.mark.usefixtures("rows")
async def test_a_prediction_of_no_such_model_is_an_error_of_its_own(door: OpenedDoor) -> None:
    commands = [predict("m", "k:0"), predict("nosuch", "k:0"), predict("m", "k:1")]

    alone = await one_by_one(door, commands)

    assert alone[1].startswith(b"-NOMODEL")
    assert await at_once(door, commands) == b"".join(alone) + b"MARK"


@pytest.mark.usefixtures("rows")
async def test_a_first_prediction_that_comes_in_two_pieces_is_one(door: OpenedDoor) -> None:
    asked = predict("m", "k:1")
    (alone,) = await one_by_one(door, [asked])

    for cut in range(1, len(asked)):
        line = await door.line()
        await line.say(asked[:cut])
        await asyncio.sleep(0.002)
        await line.say(asked[cut:])
        assert await line.until_quiet() == alone + b"MARK"


@pytest.mark.usefixtures("rows")
async def test_keys_that_are_no_text_or_look_like_the_protocol_are_keys(door: OpenedDoor) -> None:
    line = await door.line()

    await line.say(
        predict("m", "k:0") + command("INSITU.PREDICT", "m", b"k:\xff") + predict("m", "k:\r\n$2\r\nxx")
    )
    heard = await line.until_quiet()

    assert heard.count(b"-") == 2
    assert heard.count(b"$5\r\nvalue") + heard.count(b"outputs") == 1


@pytest.mark.usefixtures("rows")
async def test_a_prediction_after_data_of_the_same_pipeline_sees_them(door: OpenedDoor) -> None:
    client = door.client()
    pipeline: Any = client.pipeline(transaction=False)

    for value in range(20):
        pipeline.set("k:new", np.array([value, 0], "<f4").tobytes())
        pipeline.execute_command("INSITU.PREDICT", "m", "k:new", "RAW")
    told = await pipeline.execute()

    assert [np.frombuffer(reply[0], "<f4")[0] for reply in told[1::2]] == [2.0 * value for value in range(20)]


@pytest.mark.usefixtures("rows")
async def test_more_than_the_queue_takes_at_once_are_answered_one_by_one(open_door: OpenDoor) -> None:
    door = await open_door(max_queue_rows=4)
    lines = [await door.line() for _ in range(CLIENTS)]

    await asyncio.gather(*(line.say(predict("m", "k:1")) for line in lines))
    heard = await asyncio.gather(*(line.until_quiet() for line in lines))

    assert all(one.startswith((b"*1\r\n", b"-BUSY")) for one in heard)
    assert sum(one.startswith(b"*1\r\n") for one in heard) >= 4


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("get", ["BLOB", "META BLOB", "VALUES", "META"])
@pytest.mark.parametrize("model", ["plain", "total"])
async def test_dags_of_many_clients_are_those_of_each_alone(door: OpenedDoor, model: str, get: str) -> None:
    commands = [dag(model, row, row + 0.5, get=get) for row in range(5)]

    alone = await one_by_one(door, commands)

    for deep in (1, 2, 30):  # the first of a client is read word by word, the others are known by their bytes
        heard = await at_once(door, commands, deep)
        assert heard == b"".join(alone) * deep + b"MARK"


@pytest.mark.usefixtures("rows")
async def test_dags_that_differ_in_more_than_the_bytes_of_a_tensor_are_read(door: OpenedDoor) -> None:
    line = await door.line()
    commands = [
        dag("plain", 1, 2),
        dag("plain", 3, 4),
        dag("plain", 1, 2, 3),
        dag("nosuc", 1, 2),
        dag("plain", 5, 6),
    ]
    alone = await one_by_one(door, commands)

    for one, reply in zip(commands * 3, itertools.cycle(alone), strict=False):
        await line.ask(one, reply)

    assert alone[2].startswith(b"*3\r\n+OK\r\n-Got invalid dimensions")
    assert alone[3] == b"-ERR model key is empty\r\n"


@pytest.mark.usefixtures("rows")
async def test_a_dag_runs_the_model_that_is_at_its_key_now(
    door: OpenedDoor, store: ModelStore, redis: Redis
) -> None:
    await store.publish(bundle(scaled(3.0), "thrice"))
    line = await door.line()
    twice, thrice = (np.array([factor, factor], "<f4").tobytes() for factor in (2, 3))

    for name, bytes_ in (("plain", twice), ("plain", twice), ("thrice", thrice), ("plain", twice)):
        await redis.set("key", ModelPointer(name, 1).pack())
        await line.ask(dag("key", 1, 1), b"*3\r\n+OK\r\n+OK\r\n$8\r\n" + bytes_ + b"\r\n")
    await redis.delete("key")
    await line.ask(dag("key", 1, 1), b"-ERR model key is empty\r\n")
    await redis.rpush("key", "a list")
    await line.ask(
        dag("key", 1, 1), b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
    )


@pytest.mark.usefixtures("rows")
async def test_a_client_of_another_database_takes_the_model_from_there(
    door: OpenedDoor, redis: Redis
) -> None:
    client = door.client()
    given, got = (
        ("AI.TENSORSET", "x", "FLOAT", 1, 2, "BLOB", f32([[1, 1]]).tobytes()),
        ("AI.TENSORGET", "y", "BLOB"),
    )
    run = ("AI.MODELEXECUTE", "key", "INPUTS", 1, "x", "OUTPUTS", 1, "y")
    asked: tuple[Any, ...] = ("AI.DAGEXECUTE_RO", "ROUTING", "r", "|>", *given, "|>", *run, "|>", *got)
    await redis.set("key", ModelPointer("plain", 1).pack())

    assert len(await client.execute_command(*asked)) == 3
    other = door.client(db=5)
    with pytest.raises(ResponseError, match="model key is empty"):
        await other.execute_command(*asked)


@pytest.mark.usefixtures("rows")
async def test_inside_a_transaction_neither_is_run(door: OpenedDoor) -> None:
    line = await door.line()
    await line.say(dag("plain", 1, 1) + predict("m", "k:1"))
    await line.until_quiet()

    await line.say(command("MULTI") + dag("plain", 1, 1) + predict("m", "k:1") + command("EXEC"))
    heard = await line.until_quiet()

    assert heard.startswith(
        b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n-ERR Cannot run RedisAI command within a transaction"
    )
    assert b"-ERR Cannot run INSITU.PREDICT within a transaction" in heard


@pytest.mark.parametrize("how", ["call", "pcall"])
async def test_scripts_that_call_commands_of_ours_are_refused_in_their_words(
    door: OpenedDoor, how: str
) -> None:
    client = door.client()
    script = f"return redis.{how}('AI.TENSORGET', 'x')"
    refused = "Cannot run RedisAI command within a transaction or a LUA script"

    with pytest.raises(ResponseError, match=refused):
        await client.eval(script, 0)
    digest = await client.script_load(script)
    with pytest.raises(ResponseError, match=refused):
        await client.evalsha(digest, 0)

    assert await client.eval("return redis.call('SET', 'k', 'v')", 0) == b"OK"
    with pytest.raises(ResponseError, match=r"(?i)unknown"):
        await client.eval("return redis.call('NOSUCH')", 0)


@pytest.mark.usefixtures("rows")
async def test_keys_of_other_lengths_and_models_in_one_pipeline_are_told_apart(
    door: OpenedDoor, redis: Redis
) -> None:
    await redis.set("k:10", np.array([10, 11], "<f4").tobytes())
    commands = [predict("m", key) for key in ("k:1", "k:10", "k:2", "k:7", "k:10", "k:10")]
    commands += [
        predict("c", "k:1"),
        predict("m", "k:1"),
        predict("m", "k:3"),
        predict("m", "k:é"),
        predict("m", "k:4"),
    ]
    alone = await one_by_one(door, commands)

    for parts in ([commands], [commands[:2], commands[2:]], [[one] for one in commands * 2]):
        line = await door.line()
        heard = b""
        for part in parts:
            await line.say(b"".join(part))
            heard += await line.until_quiet()
        assert heard.replace(b"MARK", b"") == b"".join(alone) * (2 if len(parts) > len(commands) else 1)


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("words", [("AUTH", "ann", "pw"), ("HELLO", 2, "AUTH", "ann", "pw")])
async def test_another_user_of_redis_is_not_answered_as_the_one_before(
    door: OpenedDoor, redis: Redis, words: tuple[str | int, ...]
) -> None:
    await redis.execute_command("ACL", "SETUSER", "ann", "on", ">pw", "+@all", "~none")
    line = await door.line()
    for _ in range(2):
        await line.say(dag("plain", 1, 2))
        await line.until_quiet()

    await line.say(command(*words))
    await line.until_quiet()
    await line.say(dag("plain", 1, 2))
    heard = await line.until_quiet()
    await redis.execute_command("ACL", "DELUSER", "ann")

    assert heard.startswith(b"-NOPERM")


@pytest.mark.usefixtures("rows")
async def test_a_right_that_redis_takes_away_is_noticed_within_a_second(
    door: OpenedDoor, redis: Redis
) -> None:
    await redis.execute_command("ACL", "SETUSER", "ann", "on", ">pw", "+@all", "~*")
    line = await door.line()
    await line.ask(command("AUTH", "ann", "pw"), b"+OK\r\n")
    for _ in range(3):
        await line.say(dag("plain", 1, 2))
        assert (await line.until_quiet()).startswith(b"*3\r\n+OK")

    await redis.execute_command("ACL", "SETUSER", "ann", "resetkeys", "~none")
    await asyncio.sleep(FORM_SECONDS + 0.1)
    await line.say(dag("plain", 1, 2))
    heard = await line.until_quiet()
    await redis.execute_command("ACL", "DELUSER", "ann")

    assert heard.startswith(b"-NOPERM")


@pytest.mark.usefixtures("rows")
async def test_for_a_client_that_has_left_nobody_connects_to_redis(door: OpenedDoor, redis: Redis) -> None:
    line = await door.line()
    for _ in range(2):
        await line.say(dag("plain", 1, 2))
        await line.until_quiet()
    await redis.set("plain", "no pointer")  # each has to be answered by itself from now on
    before = await redis.info("stats")

    await redis.execute_command("CLIENT", "PAUSE", 200, "ALL")
    line.writer.write(dag("plain", 1, 2))
    await asyncio.sleep(0.05)
    reset = struct.pack("ii", 1, 0)
    line.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    line.writer.transport.abort()
    await asyncio.sleep(0.3)

    after = await redis.info("stats")
    assert after["total_connections_received"] == before["total_connections_received"]
