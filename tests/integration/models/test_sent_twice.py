"""A change whose reply is lost on the way is sent again by the client, and done once all the same."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from models.bundle import Bundle
from models.connecting import connect
from models.errors import AliasNotFound, ModelNotFound, TrafficNotFound
from models.jobs import JobSpec, ToStrings
from models.ledger import Ledger
from models.store import ModelStore
from tests.servers import RedisServer

MakeBundle = Callable[..., Bundle]


class Losing:
    """A way to Redis on which the reply to the next command with a word in it is lost, with its connection."""

    def __init__(self, redis: Path) -> None:
        self.redis = redis
        self.word = b""
        self._ways: list[asyncio.Task[None]] = []

    def joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ways.append(asyncio.create_task(self._join(reader, writer)))

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(str(self.redis))
        with suppress(ConnectionError):
            while asked := await reader.read(1 << 16):
                back.write(asked)
                reply = await there.read(1 << 16)
                if self.word and self.word in asked:
                    self.word = b""
                    break
                writer.write(reply)
        writer.close()
        back.close()

    async def close(self) -> None:
        for way in self._ways:
            way.cancel()
        await asyncio.gather(*self._ways, return_exceptions=True)


@pytest.fixture
async def losing(redis_url: str, shared_server: RedisServer, tmp_path: Path) -> AsyncIterator[Losing]:
    way = Losing(shared_server.socket)
    server = await asyncio.start_unix_server(way.joined, str(tmp_path / "way"))
    yield way
    server.close()
    await way.close()


@pytest.fixture
async def store(losing: Losing, tmp_path: Path) -> AsyncIterator[ModelStore]:
    client = connect(f"unix://{tmp_path / 'way'}")
    yield ModelStore(client)
    await client.aclose()


async def test_a_rollback_whose_reply_is_lost_goes_back_one_step(
    store: ModelStore, losing: Losing, bundle: MakeBundle
) -> None:
    for _ in range(4):
        await store.publish(bundle())
    await store.delete("churn", 3)
    losing.word = b"EVAL"

    back = await store.rollback("churn")

    assert (back, losing.word) == (2, b"")
    assert await store.aliases("churn") == {"production": 2}
    assert await store.rollback("churn") == 1


async def test_a_rollback_beside_promotions_goes_back_from_where_the_alias_is(
    store: ModelStore, bundle: MakeBundle
) -> None:
    for _ in range(3):
        await store.publish(bundle())

    works = [store.promote("churn", 1 + number % 3) for number in range(9)]
    back, *_ = await asyncio.gather(store.rollback("churn"), *works)

    assert back in {1, 2, 3}
    assert await store.meant("churn") == {1, 2, 3}


async def test_an_alias_and_a_rule_whose_removal_is_not_replied_to_are_gone(
    store: ModelStore, losing: Losing, bundle: MakeBundle
) -> None:
    await store.publish(bundle())
    await store.publish(bundle(), "canary")
    await store.set_traffic("churn", {1: 1, 2: 1})

    losing.word = b"HDEL"
    await store.clear_traffic("churn")
    losing.word = b"EVAL"
    await store.remove_alias("churn", "canary")

    assert losing.word == b""
    assert await store.aliases("churn") == {"production": 1}
    with pytest.raises(TrafficNotFound):
        await store.clear_traffic("churn")
    with pytest.raises(AliasNotFound):
        await store.remove_alias("churn", "canary")


async def test_a_version_whose_deletion_is_not_replied_to_is_deleted(
    store: ModelStore, losing: Losing, bundle: MakeBundle
) -> None:
    for _ in range(2):
        await store.publish(bundle())
    losing.word = b"EVAL"

    await store.delete("churn", 1)
    losing.word = b"EVAL"
    await store.delete("churn", 2, with_aliases=True)

    assert losing.word == b""
    with pytest.raises(ModelNotFound):
        await store.versions("churn")
    with pytest.raises(ModelNotFound):
        await store.delete("churn", 1)


async def test_rows_that_are_found_are_added_once(store: ModelStore, losing: Losing) -> None:
    ledger = Ledger(store.redis, store.keys, "nightly", "here")
    losing.word = b"EVAL"
    await ledger.begin(JobSpec(model="churn", to=(ToStrings(),)))
    await ledger.lead()
    losing.word = b"EVAL"

    waiting = await ledger.add([b"[1]", b"[2]"], "7", 0.5, rows=2)

    assert (waiting, losing.word) == (2, b"")
    assert (await ledger.look()).found == 2
    assert await ledger.add([b"[3]"], "9", 1.0, rows=1) == 3
