"""redis-py finds Redis behind the door, in both versions of the protocol, and our commands beside it."""

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Any

import pytest
import redis as blocking
from redis import asyncio as aio
from redis.exceptions import NoScriptError, ResponseError, WatchError

from server.resp.wire.scanning import Scanner
from tests import graphs
from tests.integration.resp.doors import OpenedDoor, command

BIG = 64 << 20
RESP = pytest.mark.parametrize("protocol", [2, 3])


async def until_waiting(redis: aio.Redis, count: int, seconds: float = 2.0) -> None:
    """Wait until so many clients of Redis are in a BLPOP."""
    async with asyncio.timeout(seconds):
        while [one["cmd"] for one in await redis.client_list()].count("blpop") != count:  # noqa: ASYNC110  # Redis tells nobody
            await asyncio.sleep(0.005)


def every_kind(door: OpenedDoor, protocol: int) -> dict[str, Any]:
    """What the client that blocks is told by commands of all kinds."""
    with blocking.Redis(door.host, door.port, protocol=protocol, decode_responses=True) as client:
        told: dict[str, Any] = {"set": client.set("a", 1), "get": client.get("a"), "none": client.get("none")}
        client.hset("h", mapping={"f": 1, "g": "x"})
        client.zadd("z", {"a": 1.5, "b": 2})
        client.xadd("st", {"f": "v"}, id="1-1")
        told |= {
            "hash": client.hgetall("h"),
            "sorted": client.zscore("z", "b"),
            "stream": client.xrange("st"),
        }
        client.mset({f"many:{number}": number for number in range(1000)})
        told["scan"] = len({*client.scan_iter("many:*", count=100)})
        told["script"] = client.eval("return {KEYS[1], ARGV[1], 3}", 1, "k", "v")
        told["registered"] = client.register_script("return redis.call('INCR', KEYS[1])")(keys=["n"])
        told["info"] = client.info()["redis_version"] == client.info("server")["redis_version"]
        told["type"], told["ttl"] = client.type("h"), client.ttl("h")
        with client.pipeline() as pipe:
            told["transaction"] = pipe.incr("n").hgetall("h").execute()
        with client.pipeline(transaction=False) as pipe:
            told["pipeline"] = pipe.get("a").incr("a").lpush("l", 1, 2).execute()
        with client.monitor() as monitor:
            client.set("seen", 1)
            told["monitored"] = next(one["command"] for one in monitor.listen() if "seen" in one["command"])
        told["lock"] = client.lock("lock", timeout=5).acquire(blocking=False)
        return told


@RESP
async def test_the_client_that_blocks_is_answered(door: OpenedDoor, protocol: int) -> None:
    assert await asyncio.to_thread(every_kind, door, protocol) == {
        "set": True, "get": "1", "none": None, "hash": {"f": "1", "g": "x"}, "sorted": 2.0,
        "stream": [("1-1", {"f": "v"})],
        "scan": 1000, "script": ["k", "v", 3], "registered": 1, "info": True, "type": "hash", "ttl": -1,
        "transaction": [2, {"f": "1", "g": "x"}], "pipeline": ["1", 2, 2], "monitored": "SET seen 1", "lock": True,
    }  # fmt: skip


@RESP
async def test_own_commands_and_redis_take_turns(door: OpenedDoor, protocol: int) -> None:
    client = door.client(protocol)
    pipe = client.pipeline(transaction=False)
    for number in range(50):
        pipe.set("a", number)
        pipe.execute_command("T.GET", "a")
        pipe.execute_command("T.PUT", "b", number)
        pipe.get("b")
        pipe.execute_command("T.WAIT", 50 - number, number)

    told = await pipe.execute()

    assert told == [one for n in range(50) for one in (True, b"%d" % n, b"OK", b"%d" % n, b"%d" % n)]
    assert await client.execute_command("T.GET", "none") is None
    with pytest.raises(ResponseError, match=r"wrong number of arguments for 't\.get' command"):
        await client.execute_command("T.GET")


@RESP
async def test_a_transaction_holds_own_commands(door: OpenedDoor, protocol: int) -> None:
    client = door.client(protocol)
    pipe = client.pipeline()
    pipe.set("a", 1)
    pipe.execute_command("T.PUT", "a", 2)
    pipe.get("a")
    pipe.execute_command("T.SAY", "x")
    pipe.execute_command("T.PUT", "new", 3)

    first, put, second, refused, last = await pipe.execute(raise_on_error=False)

    assert (first, put, second, last) == (True, b"put instead of 1", b"2", b"put instead of nothing")
    assert "Cannot run T.SAY within a transaction" in str(refused)
    assert await client.get("new") == b"3"


@RESP
async def test_a_transaction_gets_and_deletes_models(
    door: OpenedDoor, redis: aio.Redis, protocol: int
) -> None:
    client, file = door.client(protocol), graphs.scaled()
    for key in ("m", "n"):
        await client.execute_command("AI.MODELSTORE", key, "ONNX", "CPU", "TAG", "first", "BLOB", file)
    alone = [await client.execute_command("AI.MODELGET", "m", *one) for one in ((), ("META",), ("BLOB",))]
    pipe = client.pipeline()
    pipe.execute_command("AI.MODELGET", "m")
    pipe.execute_command("AI.MODELGET", "m", "META")
    pipe.execute_command("AI.MODELGET", "m", "BLOB")
    pipe.rename("m", "renamed")
    pipe.execute_command("AI.MODELGET", "m", "META")
    pipe.execute_command("AI.MODELGET", "renamed", "META")
    pipe.execute_command("AI.MODELDEL", "n")
    pipe.execute_command("AI.MODELDEL", "n")
    pipe.exists("n")
    pipe.lpush("list", 1)
    pipe.execute_command("AI.MODELGET", "list")
    pipe.execute_command("AI.MODELDEL", "list")
    pipe.execute_command("AI.MODELGET", "m", "META", "BLOB", "MORE")

    told = await pipe.execute(raise_on_error=False)

    assert told[:3] == alone
    assert told[3] is True
    assert str(told[4]) == str(told[7]) == "model key is empty"
    assert told[5:9:3] == [alone[1], 0]
    assert told[6] == b"OK"
    assert ["Operation against a key" in str(one) for one in told[10:12]] == [True, True]
    assert "wrong number of arguments for 'ai.modelget'" in str(told[12])
    assert await redis.exists("n") == 0
    assert await door.engine.store.names() == ["m"]


@pytest.mark.parametrize("commands", [("SELECT 1", "AI.MODELDEL moved"), ("AI.MODELDEL m", "SELECT 1")])
async def test_a_transaction_of_two_databases_deletes_no_version_that_a_key_may_point_to(
    door: OpenedDoor, redis: aio.Redis, commands: Sequence[str]
) -> None:
    client = door.client(2)
    await client.execute_command("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", graphs.scaled())
    await redis.copy("m", "copied")
    if commands[0] == "SELECT 1":
        await redis.copy("m", "moved", destination_db="1")
    pipe = client.pipeline()
    for words in commands:
        pipe.execute_command(*words.split())

    assert b"OK" in await pipe.execute()

    assert await door.engine.store.versions("m") == [1]
    assert await door.client(2).execute_command("AI.MODELGET", "copied", "BLOB") == graphs.scaled()


async def test_a_watched_key_that_changes_stops_own_commands_too(door: OpenedDoor, redis: aio.Redis) -> None:
    client = door.client()
    async with client.pipeline() as pipe:
        await pipe.watch("a")
        pipe.multi()
        pipe.execute_command("T.PUT", "a", 1)
        await redis.set("a", "else")
        with pytest.raises(WatchError):
            await pipe.execute()

    assert await redis.get("a") == b"else"
    assert await client.execute_command("T.GET", "a") == b"else"


async def test_a_mistaken_own_command_spoils_its_transaction(door: OpenedDoor) -> None:
    one = await door.line()
    await one.say(
        command("MULTI"),
        command("SET", "a", 1),
        command("T.PUT", "x"),
        command("EXEC"),
        command("T.GET", "a"),
    )

    assert await one.until_quiet() == (
        b"+OK\r\n+QUEUED\r\n-ERR wrong number of arguments for 't.put' command\r\n"
        b"-EXECABORT Transaction discarded because of previous errors.\r\n$-1\r\nMARK"
    )


@RESP
async def test_sixteen_databases_are_kept_apart(door: OpenedDoor, redis: aio.Redis, protocol: int) -> None:
    clients = [door.client(protocol, db=number) for number in range(16)]

    await asyncio.gather(*(client.set("a", number) for number, client in enumerate(clients)))

    assert await asyncio.gather(*(client.execute_command("T.GET", "a") for client in clients)) == [
        b"%d" % number for number in range(16)
    ]
    assert (await redis.info("keyspace"))["db15"]["keys"] == 1


async def test_a_database_that_a_transaction_selects_stays_selected(door: OpenedDoor) -> None:
    one = await door.line()

    await one.say(
        command("MULTI")
        + command("SELECT", 5)
        + command("SET", "a", 5)
        + command("EXEC")
        + command("T.GET", "a")
    )

    assert (await one.until_quiet()).endswith(b"$1\r\n5\r\nMARK")


@RESP
async def test_messages_arrive_and_the_connection_is_used_again(door: OpenedDoor, protocol: int) -> None:
    client, heard = door.client(protocol), door.client(protocol).pubsub(ignore_subscribe_messages=True)
    await heard.subscribe("c")
    await heard.psubscribe("p*")
    await heard.ssubscribe("s")
    await heard.get_message(timeout=1)
    await heard.get_message(timeout=1)
    await heard.get_message(timeout=1)

    await client.publish("c", "one")
    await client.publish("pattern", "two")
    await client.execute_command("SPUBLISH", "s", "three")
    told = [await heard.get_message(timeout=2) for _ in range(3)]

    assert [one and one["data"] for one in told] == [b"one", b"two", b"three"]
    await heard.unsubscribe()
    await heard.punsubscribe()
    await heard.sunsubscribe()
    await client.set("a", 1)
    assert await client.publish("c", "nobody") == 0


async def test_a_subscriber_of_the_newer_protocol_asks_own_commands(door: OpenedDoor) -> None:
    one, other = await door.line(), door.client()
    await one.say(command("HELLO", 3), command("SUBSCRIBE", "c"))
    await one.until_quiet()
    big = b"m" * 300_000
    message = b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$300000\r\n" + big + b"\r\n"

    async def publishing() -> None:
        for _ in range(20):
            await other.publish("c", big)

    async with asyncio.TaskGroup() as group:
        group.create_task(publishing())
        await one.say(
            *(command("T.SAY", f"word{number:05}") + command("T.GET", "none") for number in range(300))
        )
        heard = await one.hear(20 * len(message) + 300 * (15 + 3))

    assert heard.count(message) == 20
    assert heard.replace(message, b"") == b"".join(
        b"$9\r\nword%05d\r\n_\r\n" % number for number in range(300)
    )


async def test_a_subscriber_of_the_older_protocol_is_told_what_it_may_ask(door: OpenedDoor) -> None:
    one = await door.line()
    await one.say(command("SUBSCRIBE", "c"))
    await one.hear(len(b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"))

    await one.say(command("T.SAY", "x"))
    assert (await one.line()).startswith(b"-ERR Can't execute 't.say': only (P|S)SUBSCRIBE")
    await one.say(command("UNSUBSCRIBE"), command("T.SAY", "x"))
    assert (await one.until_quiet()).endswith(b":0\r\n$1\r\nx\r\nMARK")


async def test_a_client_that_caches_hears_of_changes_between_replies(
    door: OpenedDoor, redis: aio.Redis
) -> None:
    one = await door.line()
    await one.say(command("HELLO", 3), command("CLIENT", "TRACKING", "ON", "BCAST"))
    await one.until_quiet()
    stop = asyncio.Event()

    async def changing() -> None:
        while not stop.is_set():
            await redis.mset({f"key{number:03}": 1 for number in range(100)})

    async with asyncio.TaskGroup() as group:
        group.create_task(changing())
        for number in range(100):
            await one.say(
                command("T.GET", "none") + command("GET", "none") + command("T.SAY", f"{number:03}")
            )
            await asyncio.sleep(0.002)
        stop.set()
    heard = await one.until_quiet()

    pushed, replies = split(heard.removesuffix(b"MARK"))
    assert replies == b"".join(b"_\r\n_\r\n$3\r\n%03d\r\n" % number for number in range(100))
    assert b">2\r\n$10\r\ninvalidate\r\n*" in pushed


def split(heard: bytes) -> tuple[bytes, bytes]:
    """What was pushed, and the replies."""
    pushed, replies, start = b"", b"", 0
    for end, aside in Scanner().ends(heard):
        if aside:
            pushed += heard[start:end]
        else:
            replies += heard[start:end]
        start = end
    assert start == len(heard)
    return pushed, replies


@RESP
async def test_a_blocking_pop_waits_for_its_element_alone(door: OpenedDoor, protocol: int) -> None:
    waiting, other = door.client(protocol), door.client(protocol)
    popped: asyncio.Future[Any] = asyncio.ensure_future(waiting.blpop("l", 0))
    begun = time.monotonic()
    others = [await other.execute_command("T.SAY", "quick") for _ in range(50)]

    assert time.monotonic() - begun < 2
    assert others == [b"quick"] * 50
    await other.rpush("l", "x")
    assert [*await popped] == [b"l", b"x"]
    assert await waiting.blpop("l", 0.05) is None


@pytest.mark.parametrize("abrupt", [True, False])
async def test_a_client_that_leaves_while_blocked_takes_nothing(
    door: OpenedDoor, redis: aio.Redis, abrupt: bool
) -> None:
    one = await door.line()
    await one.say(command("BLPOP", "l", 0))

    await until_waiting(redis, 1)
    one.writer.transport.abort() if abrupt else one.writer.close()
    await until_waiting(redis, 0)
    await redis.rpush("l", "x")

    assert await redis.lrange("l", 0, -1) == [b"x"]


async def test_one_stalled_client_holds_up_nobody(door: OpenedDoor) -> None:
    stalled = [await door.line() for _ in range(20)]
    for one in stalled:
        await one.say(command("T.WAIT", 60_000, "x") + command("BLPOP", "none", 0))
    client = door.client()

    begun = time.monotonic()
    for number in range(100):
        await client.set("a", number)
        assert await client.execute_command("T.GET", "a") == b"%d" % number

    assert time.monotonic() - begun < 5


async def test_large_values_go_both_ways(door: OpenedDoor) -> None:
    client, value = door.client(), os.urandom(BIG)

    await client.set("big", value)

    assert await client.get("big") == value
    assert await client.execute_command("T.GET", "big") == value


async def test_scripts_that_are_not_known_are_said_so(door: OpenedDoor) -> None:
    with pytest.raises(NoScriptError):
        await door.client().evalsha("0" * 40, 0)


async def test_replies_of_own_commands_are_kept_back_as_asked(door: OpenedDoor) -> None:
    one = await door.line()
    reply = [command("CLIENT", "REPLY", word) for word in ("SKIP", "OFF", "ON")]
    skip, off, on = reply

    await one.say(
        skip
        + command("T.WAIT", 20, 1)
        + command("T.WAIT", 1, 2)
        + skip
        + command("T.SAY", 3)
        + command("GET", "a")
    )
    await one.say(
        off
        + command("T.SAY", 4)
        + skip
        + command("T.SAY", 5)
        + command("GET", "a")
        + on
        + command("T.SAY", 6)
    )

    assert await one.until_quiet() == b"$1\r\n2\r\n$-1\r\n+OK\r\n$1\r\n6\r\nMARK"


async def test_reset_forgets_everything(door: OpenedDoor, redis: aio.Redis) -> None:
    one = await door.line()
    begun = ("SELECT 3", "SET a 3", "HELLO 3", "SUBSCRIBE c", "MULTI", "SET a 4", "RESET")

    await one.say(*(command(*text.split()) for text in begun), command("T.GET", "a"), command("GET", "a"))

    assert (await one.until_quiet()).endswith(b"+RESET\r\n$-1\r\n$-1\r\nMARK")
    assert len(await redis.pubsub_channels()) == 0


async def test_lines_reach_own_commands(door: OpenedDoor) -> None:
    one = await door.line()

    await one.say(b"t.say 'a b'\r\n\"T.SAY\" x\r\nset a 1\r\nT.GET a\nGET a\r\n")

    assert await one.until_quiet() == b"$3\r\na b\r\n$1\r\nx\r\n+OK\r\n$1\r\n1\r\n$1\r\n1\r\nMARK"


async def test_what_was_asked_before_the_client_closed_its_side_is_answered(door: OpenedDoor) -> None:
    one = await door.line()

    await one.say(command("SET", "a", 1) + command("T.WAIT", 300, "late") + command("GET", "a"))
    one.writer.write_eof()

    assert await one.until_end() == b"+OK\r\n$4\r\nlate\r\n$1\r\n1\r\n"
