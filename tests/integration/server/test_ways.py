"""However Redis is asked for rows, they are answered as one by one; commands it counted say how it was."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from redis import Redis as Client
from redis.asyncio import Redis

from models.assembly import Plan, Prepared
from models.errors import RedisRefused
from models.store import ModelStore
from models.ways import LEAST_FIELDS, ODD_ROWS, PROBES, Together
from server.inference.asking import Ask
from server.inference.batcher import EARLY_ROWS
from server.inference.engine import Engine
from tests.graphs import bundle, dense, f32
from tests.integration.server.conftest import StartEngine
from tests.servers import RedisNodes, RedisServer

Start = Callable[..., RedisServer]
OfItsOwn = tuple[str, RedisServer, Engine]
FIELDS = [f"f{at}" for at in range(LEAST_FIELDS)]
HASH = {"key": "h:{id}", "as": "hash", "fields": FIELDS}
VECTOR = {"key": "v:{id}", "as": "vector", "shape": [LEAST_FIELDS]}
SUM = dense(f32([[1]] * LEAST_FIELDS))
READS = ("get", "mget", "hmget", "hrandfield")


def view(*sources: Mapping[str, Any]) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "sources": [*sources]}]}


def numbered(first: float) -> dict[Any, Any]:
    return {name: first if name == "f0" else 0 for name in FIELDS}


async def said(engine: Engine, keys: Sequence[str], **more: Any) -> list[Any]:
    """Return the value of each key, or the words of its error."""
    answer = await engine.predictor.predict(Ask("m", keys=keys, **more))
    return [row.body["value"] if row.error is None else str(row.error) for row in answer.rows]


async def reads(redis: Any) -> dict[str, int]:
    """Return how often each command that reads was called since the last time."""
    counts = await redis.info("commandstats")
    await redis.config_resetstat()
    return {name: counts[f"cmdstat_{name}"]["calls"] for name in READS if f"cmdstat_{name}" in counts}


@pytest.fixture
async def hashes(store: ModelStore, engine: StartEngine, redis: Redis) -> Engine:
    """An engine whose model adds the fields of hashes up, three of which it has seen."""
    for at in range(3):
        await redis.hset(f"h:{at}", mapping=numbered(at))
    await store.publish(bundle(SUM, view=view(HASH), task="regression"))
    running = await engine()
    await running.catalogue.get("m")
    await reads(redis)
    for _ in range(PROBES):
        assert await said(running, ["h:0", "h:1", "h:2"]) == [0.0, 1.0, 2.0]
    assert await reads(redis) == {"hmget": 3 * PROBES, "hrandfield": PROBES}
    return running


@pytest.fixture
async def vectors(store: ModelStore, engine: StartEngine, redis: Redis) -> Engine:
    """An engine whose model adds vectors up."""
    for at in range(3):
        await redis.set(f"v:{at}", f32([*numbered(at).values()]).tobytes())
    await store.publish(bundle(SUM, view=view(VECTOR), task="regression"))
    running = await engine()
    await running.catalogue.get("m")
    await reads(redis)
    return running


async def test_wide_hashes_are_read_whole(hashes: Engine, redis: Redis) -> None:
    assert await said(hashes, ["h:2", "h:1"]) == [2.0, 1.0]
    assert await said(hashes, ["h:0"]) == [0.0]
    assert await reads(redis) == {"hrandfield": 3}


async def test_fields_may_lie_in_any_order_and_beside_others(hashes: Engine, redis: Redis) -> None:
    await redis.hset("h:5", mapping={"other": "x", **dict(reversed(numbered(5).items()))})
    await redis.hset("h:6", mapping={"f7": 1, **numbered(6)})

    assert await said(hashes, ["h:1", "h:5", "h:6", "h:5"]) == [1.0, 5.0, 6.0, 5.0]
    assert await reads(redis) == {"hrandfield": 4}


async def test_what_is_wrong_with_a_hash_is_said_in_the_same_words(hashes: Engine, redis: Redis) -> None:
    await redis.set("h:7", "text")
    await redis.hset("h:8", mapping={"f1": 1})
    await redis.hset("h:9", mapping={**numbered(1), "f3": "many"})
    keys = ["h:1", "h:6", "h:7", "h:8", "h:9"]

    whole = await said(hashes, keys)
    assert await reads(redis) == {"hrandfield": 5}
    serving = await hashes.catalogue.get("m")
    assert serving.ways is not None
    serving.ways.narrow(0)
    one_by_one = await said(hashes, keys)
    assert await reads(redis) == {"hmget": 5}

    assert whole == one_by_one
    assert [type(one) for one in whole] == [float, str, str, str, str]


async def test_stand_ins_are_told_of(hashes: Engine, redis: Redis) -> None:
    answer = await hashes.predictor.predict(Ask("m", keys=["h:none", "h:1"], missing=2.0))

    assert [row.body["value"] for row in answer.rows] == [2.0 * LEAST_FIELDS, 1.0]
    assert [*answer.rows[0].filled] == FIELDS
    assert await reads(redis) == {"hrandfield": 2}


async def test_a_huge_hash_is_read_by_field(hashes: Engine, redis: Redis) -> None:
    await redis.hset("h:1", mapping={f"more {at}": "x" * 100 for at in range(50_000)})

    for _ in range(3):
        assert await said(hashes, ["h:0", "h:1", "h:2"]) == [0.0, 1.0, 2.0]

    assert await reads(redis) == {"hrandfield": 9, "hmget": 3}


async def test_hashes_that_are_mostly_large_are_read_by_field(hashes: Engine, redis: Redis) -> None:
    await redis.hset("h:1", mapping={f"more {at}": "x" * 100 for at in range(100)})
    await said(hashes, ["h:1"] * ODD_ROWS)
    await reads(redis)

    assert await said(hashes, ["h:0", "h:1"]) == [0.0, 1.0]
    assert await reads(redis) == {
        "hmget": 2,
        "hrandfield": 1,
    }  # one more hash of the many that are to be seen


async def test_hashes_and_vectors_are_read_side_by_side(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    for at in range(2):
        await redis.hset(f"h:{at}", mapping=numbered(at))
        await redis.set(f"v:{at}", f32([*numbered(10).values()]).tobytes())
    weights = dense(f32([[1]] * 2 * LEAST_FIELDS))
    await store.publish(bundle(weights, view=view(HASH, VECTOR), task="regression"))
    running = await engine()
    for _ in range(PROBES):
        assert await said(running, ["h:1"]) == [11.0]
    await reads(redis)

    assert await said(running, ["h:0", "h:1"]) == [10.0, 11.0]
    assert await reads(redis) == {"hrandfield": 2, "get": 2}


async def test_vectors_of_one_request_are_read_by_one_command(vectors: Engine, redis: Redis) -> None:
    assert await said(vectors, ["v:2", "v:0", "v:1"]) == [2.0, 0.0, 1.0]
    assert await reads(redis) == {"mget": 1}
    assert await said(vectors, ["v:2"]) == [2.0]
    assert await reads(redis) == {"get": 1}


async def test_what_is_wrong_with_a_vector_is_said_in_the_same_words(vectors: Engine, redis: Redis) -> None:
    await redis.hset("v:5", "a", "1")
    await redis.set("v:6", b"short")
    keys = ["v:1", "v:4", "v:5", "v:6"]

    together = await said(vectors, keys)
    assert await reads(redis) == {"mget": 1, "get": 2}
    alone = [(await said(vectors, [key]))[0] for key in keys]

    assert together == alone
    assert [type(one) for one in together] == [float, str, str, str]


async def test_a_vector_that_is_absent_has_its_stand_in(vectors: Engine) -> None:
    answer = await vectors.predictor.predict(Ask("m", keys=["v:1", "v:none"], missing=1.0))

    assert [row.body["value"] for row in answer.rows] == [1.0, 1.0 * LEAST_FIELDS]
    assert [*answer.rows[1].filled] == ["v:{id}"]


@pytest.fixture(params=["h", "v"])
async def of_its_own(request: pytest.FixtureRequest, engine: StartEngine, redis_server: Start) -> OfItsOwn:
    """The letter of hashes or vectors, and an engine that adds them up, over a Redis of the test's own."""
    server = redis_server()
    running = await engine(redis_url=server.url)
    redis = running.store.redis
    for at in range(3):
        await redis.hset(f"h:{at}", mapping=numbered(at))
        await redis.set(f"v:{at}", f32([*numbered(at).values()]).tobytes())
    source = HASH if request.param == "h" else VECTOR
    await running.store.publish(bundle(SUM, view=view(source), task="regression"))
    return request.param, server, running


def forbidden(client: Client, *commands: str) -> None:
    client.execute_command("ACL", "SETUSER", "default", *[f"-{name}" for name in commands])


async def test_a_user_who_may_not_ask_so_is_answered_all_the_same(of_its_own: OfItsOwn) -> None:
    kind, server, running = of_its_own
    keys = [f"{kind}:{at}" for at in range(3)]
    for _ in range(PROBES):
        assert await said(running, keys) == [0.0, 1.0, 2.0]
    with server.connect() as client:
        forbidden(client, "mget", "hrandfield")

    assert await said(running, keys) == [0.0, 1.0, 2.0]
    assert await said(running, keys) == [0.0, 1.0, 2.0]

    with server.connect() as client:
        forbidden(client, "get", "hmget")
    with pytest.raises(RedisRefused, match="NOPERM"):
        await said(running, keys)


async def test_keys_on_several_nodes_are_asked_for_one_by_one(
    engine: StartEngine, redis_cluster: RedisNodes
) -> None:
    running = await engine(redis_url=redis_cluster.url.replace("redis://", "redis+cluster://"))
    client = running.store.redis
    for at in range(20):
        await client.set(f"v:{at}", f32([*numbered(at).values()]).tobytes())
        await client.hset(f"h:{at}", mapping=numbered(at))
    for name, source in (("m", VECTOR), ("hashes", HASH)):
        await running.store.publish(bundle(SUM, name=name, view=view(source), task="regression"))

    assert await said(running, [f"v:{at}" for at in range(20)]) == [float(at) for at in range(20)]
    for _ in range(PROBES + 1):
        answer = await running.predictor.predict(Ask("hashes", keys=[f"h:{at}" for at in range(20)]))
        assert [row.body["value"] for row in answer.rows] == [float(at) for at in range(20)]

    calls = [Client.from_url(node.tcp_url).info("commandstats") for node in redis_cluster.nodes]
    assert not any("cmdstat_mget" in one for one in calls)
    assert sum(one.get("cmdstat_hrandfield", {}).get("calls", 0) for one in calls) >= 20


async def test_a_key_that_a_user_may_not_read_changes_nothing_for_others(of_its_own: OfItsOwn) -> None:
    kind, server, running = of_its_own
    redis = running.store.redis
    for _ in range(PROBES):
        await said(running, [f"{kind}:1", f"{kind}:2"])
    await reads(redis)
    with server.connect() as client:
        client.execute_command("ACL", "SETUSER", "default", "resetkeys", "~insitu*", "~?:1", "~?:2")

    refused, answered, absent = await said(running, [f"{kind}:0", f"{kind}:1", f"{kind}:2"])
    assert refused.startswith(f"Redis refused key '{kind}:0': NOPERM ")
    assert (answered, absent) == (1.0, 2.0)
    await reads(redis)
    assert await said(running, [f"{kind}:1", f"{kind}:2"]) == [1.0, 2.0]

    whole = {"hrandfield": 2} if kind == "h" else {"mget": 1}
    assert await reads(redis) == whole


async def test_an_mget_with_keys_that_may_not_be_read_is_given_up_where_there_are_many(
    engine: StartEngine, redis_server: Start
) -> None:
    server = redis_server()
    running = await engine(redis_url=server.url)
    redis = running.store.redis
    keys = [f"v:{at}" for at in range(8)]
    await redis.mset({key: f32([*numbered(at).values()]).tobytes() for at, key in enumerate(keys)})
    await running.store.publish(bundle(SUM, view=view(VECTOR), task="regression"))
    with server.connect() as client:
        client.execute_command("ACL", "SETUSER", "default", "resetkeys", "~insitu*", "~v:[1-7]")

    for _ in range(ODD_ROWS // len(keys)):
        assert (await said(running, keys))[1:] == [float(at) for at in range(1, 8)]
    await reads(redis)
    await said(running, keys)

    assert await reads(redis) == {"get": len(keys) - 1}  # those that are refused are not counted as calls


async def test_where_redis_is_lost_between_two_trips_what_was_read_is_answered(
    engine: StartEngine, redis_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = redis_server()
    running = await engine(redis_url=server.url, redis_timeout_ms=300)
    redis = running.store.redis
    await redis.set("v:1", f32([*numbered(1).values()]).tobytes())
    await running.store.publish(bundle(SUM, view=view(VECTOR), task="regression"))
    await running.catalogue.get("m")
    asked = Prepared.encoded_rows

    def encoded_rows(prepared: Prepared, rows: Sequence[int]) -> list[bytes]:
        server.kill()
        return asked(prepared, rows)

    monkeypatch.setattr(Prepared, "encoded_rows", encoded_rows)

    first, second = await said(running, ["v:1", "v:2"])

    assert first == 1.0
    assert str(second).startswith("Redis does not answer")


async def test_a_fault_over_replies_costs_the_way_and_no_answer(
    vectors: Engine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Together, "read", None)

    assert await said(vectors, ["v:0", "v:1"]) == [0.0, 1.0]
    await reads(redis)
    assert await said(vectors, ["v:0", "v:1"]) == [0.0, 1.0]
    assert await reads(redis) == {"get": 2}


async def test_a_fault_over_many_rows_is_told_at_once(
    hashes: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_self: Plan, _replies: Sequence[Any]) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(Plan, "columns", failing)

    with pytest.raises(MemoryError):
        await asyncio.wait_for(said(hashes, ["h:1"] * EARLY_ROWS), 5.0)

    assert (await hashes.catalogue.get("m")).batcher.waiting == 0
