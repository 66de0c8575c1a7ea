"""What a client says of itself in a transaction or while it is subscribed means what it means to Redis."""

import asyncio
from urllib.parse import urlsplit

import numpy as np
import pytest
from redis.asyncio import Redis

from models.store import ModelStore
from tests.graphs import bundle, scaled
from tests.integration.resp.doors import OpenedDoor, command
from tests.integration.resp.doors import line as connected_line
from tests.integration.resp.test_short_roads import VIEW, predict

FEATURES = np.array([1, 2], "<f4").tobytes()
HELLO = b"server"


@pytest.fixture
async def stored(store: ModelStore, redis: Redis) -> None:
    await store.publish(bundle(scaled(), "m", VIEW))
    await redis.set("k:0", FEATURES)


@pytest.mark.usefixtures("stored")
async def test_a_database_that_a_transaction_could_not_select_is_not_selected(door: OpenedDoor) -> None:
    line = await door.line()
    await line.say(command("MULTI") + command("SELECT", 99) + command("EXEC") + predict("m", "k:0"))

    heard = await line.until_quiet()

    assert b"-ERR DB index is out of range" in heard
    assert b"outputs" in heard


@pytest.mark.usefixtures("stored")
async def test_the_database_that_a_transaction_selected_last_is_selected(door: OpenedDoor) -> None:
    line = await door.line()
    selects = command("SELECT", 1) + command("SELECT", 99)

    await line.say(command("MULTI") + selects + command("EXEC") + predict("m", "k:0"))

    assert b"-ERR features are read from database 0, this connection has selected 1;" in (
        await line.until_quiet()
    )


@pytest.mark.parametrize(("version", "number"), [(2, b"$1\r\n2\r\n"), (3, b",2\r\n")])
async def test_hello_in_a_transaction_has_its_place_in_the_reply(
    door: OpenedDoor, version: int, number: bytes
) -> None:
    line = await door.line()
    tensor, got = command("SET", "t", FEATURES), command("AI.TENSORGET", "t", "VALUES")

    await line.say(tensor + command("MULTI") + command("HELLO", version) + got + command("EXEC") + got)
    heard = await line.until_quiet()

    assert heard.count(b"+QUEUED") == 2
    assert heard.index(HELLO) < heard.index(b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n")
    assert heard.endswith(number + b"MARK")


async def test_hello_of_a_subscriber_is_refused_and_takes_no_message_for_its_reply(
    door: OpenedDoor, redis: Redis
) -> None:
    line = await door.line()
    await line.ask(command("SUBSCRIBE", "c"), b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")

    async def publish() -> None:
        for _ in range(400):
            await redis.publish("c", "x")

    publishing = asyncio.create_task(publish())
    for _ in range(20):
        await line.say(command("HELLO", 3))
        await asyncio.sleep(0.002)
    await publishing
    await line.say(command("UNSUBSCRIBE", "c"), command("T.SAY", "after"))
    heard = await line.until_quiet()

    assert heard.count(b"-ERR Can't execute 'hello'") == 20
    assert heard.count(b"$7\r\nmessage") == 400
    assert heard.endswith(b":0\r\n$5\r\nafter\r\nMARK")


@pytest.mark.parametrize("word", ["OFF", "SKIP", "ON"])
@pytest.mark.parametrize("ours", [False, True])
async def test_a_transaction_that_would_silence_replies_is_answered_all_the_same(
    door: OpenedDoor, redis: Redis, redis_url: str, word: str, ours: bool
) -> None:
    """As the server behind answers it, or, where that would leave EXEC without a reply, with an error in it."""
    await redis.set("k", "v")
    line = await door.line()
    got = command("AI.TENSORGET", "none") if ours else command("GET", "none")

    await line.say(
        command("MULTI") + got + command("CLIENT", "REPLY", word) + command("GET", "k") + command("EXEC")
    )
    heard = await line.until_quiet()

    if await refused_when_queued(redis_url):
        assert heard.startswith(
            b"+OK\r\n+QUEUED\r\n-ERR Command 'client|reply' not allowed inside a transaction\r\n"
        )
        assert heard.endswith(
            b"+QUEUED\r\n-EXECABORT Transaction discarded because of previous errors.\r\nMARK"
        )
        return
    absent = b"-ERR tensor key is empty or in a different shard\r\n" if ours else b"$-1\r\n"
    assert heard.startswith(
        b"+OK\r\n" + b"+QUEUED\r\n" * 3 + b"*3\r\n" + absent + b"-ERR CLIENT REPLY is not taken "
    )
    assert heard.endswith(b"say it before MULTI\r\n$1\r\nv\r\nMARK")


async def refused_when_queued(redis_url: str) -> bool:
    """Whether the server behind takes no CLIENT REPLY in a transaction: Valkey from 9 on."""
    async with connected_line(urlsplit(redis_url).path, 0) as direct:
        await direct.say(command("MULTI") + command("CLIENT", "REPLY", "ON") + command("DISCARD"))
        return b"not allowed" in await direct.until_quiet()
