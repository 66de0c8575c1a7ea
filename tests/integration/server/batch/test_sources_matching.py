"""Every key that matches and stays is found at least once, whatever happens to Redis meanwhile."""

from collections.abc import Callable
from functools import partial

import pytest
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from models.assembly import Plan
from models.errors import BadFeatureView, BadRequest, RedisUnavailable
from models.features import FeatureView
from models.jobs import Matching
from models.shards import shards_of
from models.store import Client
from server.batch.parts import Step
from server.batch.sources import gathering
from server.batch.sources.opening import open_source
from tests.integration.server.batch.moving import Move
from tests.integration.server.batch.walks import PLAN, dropped_after, found, steps_of, write
from tests.servers import RedisNodes, RedisServer, agrees, wait_until

pytestmark = pytest.mark.usefixtures("small")
Start = Callable[..., RedisServer]
ClientOf = Callable[[RedisServer], Redis]
KEYS = {b"k:%d" % number for number in range(1000)}


async def test_every_key_of_the_pattern_and_the_type_is_found(redis: Redis) -> None:
    await write(redis, {*KEYS, b"other:1"})
    await redis.set("k:text", "1")

    steps = await steps_of(Matching(), redis)

    assert found(steps) == KEYS
    assert [step.share for step in steps] == sorted(step.share for step in steps)
    assert steps[-1].share == 1.0
    assert len(steps) > 5
    assert not any(step.anew for step in steps)
    assert not open_source(Matching(), redis, PLAN).strict


async def test_a_pattern_of_its_own_is_taken(redis: Redis) -> None:
    await write(redis, KEYS)

    assert found(await steps_of(Matching(pattern="k:99?"), redis)) == {
        b"k:%d" % one for one in range(990, 1000)
    }


async def test_an_empty_redis_is_one_step(redis: Redis) -> None:
    steps = await steps_of(Matching(), redis)

    assert [(len(step.part), step.share, step.anew) for step in steps] == [(0, 1.0, False)]
    assert await steps_of(Matching(), redis, steps[-1].position) == []


async def test_a_key_with_a_nul_is_somebody_elses(redis: Redis) -> None:
    await write(redis, [b"k:1", b"k:1\0k:2"])

    assert found(await steps_of(Matching(), redis)) == {b"k:1"}


async def test_no_step_is_over_the_bound(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "STEP_ROWS", 20)
    await write(redis, KEYS)

    steps = await steps_of(Matching(), redis)

    assert max(len(step.part) for step in steps) <= 20
    assert found(steps) == KEYS


@pytest.mark.parametrize("count", [1, 3, 6])
async def test_a_walk_taken_up_finds_the_rest(redis: Redis, count: int) -> None:
    await write(redis, KEYS)

    taken = await dropped_after(open_source(Matching(), redis, PLAN).steps(""), count)
    rest = await steps_of(Matching(), redis, taken[-1].position)

    assert found(taken) | found(rest) == KEYS
    assert not rest[0].anew
    assert rest[0].share > taken[-1].share
    assert len(found(rest)) < len(KEYS)


async def test_keys_that_stay_are_found_while_others_come_and_go(redis: Redis) -> None:
    await write(redis, KEYS)
    await write(redis, [b"k:old%d" % number for number in range(500)])
    steps: list[Step] = []

    async for step in open_source(Matching(), redis, PLAN).steps(""):
        number = len(steps)
        steps.append(step)
        await redis.delete(*[f"k:old{one}" for one in range(50 * number, 50 * number + 50)])
        if number < 20:  # the table grows under the walk
            await write(redis, [b"k:new%d:%d" % (number, one) for one in range(300)])

    assert found(steps) >= KEYS
    assert not any(step.anew for step in steps)


async def test_a_restart_within_a_walk_begins_it_anew(redis_server: Start, client_of: ClientOf) -> None:
    server = redis_server(aof=True)
    redis = client_of(server)
    await write(redis, KEYS)
    walk = open_source(Matching(), redis, PLAN).steps("")
    taken = [await anext(walk) for _ in range(2)]

    server.kill()
    server.start()
    rest = [step async for step in walk]  # the client opens its connection again and says nothing

    began = [at for at, step in enumerate(rest) if step.anew]
    assert len(began) == 1
    assert found(rest[began[0] :]) == KEYS
    assert rest[began[0]].share < taken[-1].share


async def test_redis_that_is_away_is_told_and_taken_up_anew(redis_server: Start, client_of: ClientOf) -> None:
    server = redis_server(aof=True)
    redis = client_of(server)
    await write(redis, KEYS)
    source = open_source(Matching(), redis, PLAN)
    walk = source.steps("")
    positions = [(await anext(walk)).position]

    server.kill()
    with pytest.raises(RedisUnavailable):
        positions.extend([step.position async for step in walk])
    server.start()
    rest = await steps_of(Matching(), redis, positions[-1])

    assert [step.anew for step in rest] == [True] + [False] * (len(rest) - 1)
    assert found(rest) == KEYS


async def test_a_position_of_another_walk_begins_anew(redis: Redis) -> None:
    await write(redis, KEYS)

    for position in ("{}", "nonsense", '["", {"": ["0123456789abcdef", 5, 1]}]', '{"at": 3}'):
        steps = await steps_of(Matching(), redis, position)
        assert steps[0].anew
        assert found(steps) == KEYS


async def test_redis_that_does_not_tell_which_process_it_is_is_refused(redis: Redis, redis_url: str) -> None:
    await redis.execute_command(
        "ACL", "SETUSER", "reader", "on", ">secret", "~*", "-@all", "+@read", "+@connection"
    )
    try:
        async with Redis.from_url(redis_url, username="reader", password="secret") as reader:
            with pytest.raises(BadRequest, match=r"\+info"):
                await steps_of(Matching(), reader)
    finally:
        await redis.execute_command("ACL", "DELUSER", "reader")


async def test_a_view_that_reads_no_key_has_none_to_match(redis: Redis) -> None:
    inline = {"inputs": [{"name": "x", "sources": [{"inline": True, "fields": ["a"]}]}]}

    with pytest.raises(BadFeatureView, match="reads no key"):
        open_source(Matching(), redis, Plan(FeatureView.read(inline)))


async def test_nodes_of_a_cluster_are_walked_side_by_side(cluster: Client) -> None:
    await write(cluster, KEYS)
    assert isinstance(cluster, RedisCluster)
    homes: set[int] = set()
    taken: list[Step] = []
    for _ in range(5):  # a node that is slow to answer may come late once
        # about half: one after the other, two nodes would be met
        taken = await dropped_after(open_source(Matching(), cluster, PLAN).steps(""), 5)
        homes = {cluster.keyslot(key) * 3 // 16384 for key in found(taken)}
        if len(homes) == 3:
            break
    rest = await steps_of(Matching(), cluster, taken[-1].position)

    assert len(found(taken)) < len(KEYS) * 2 / 3
    assert len(homes) == 3
    assert found(taken) | found(rest) == KEYS
    assert not rest[0].anew
    assert [step.share for step in taken + rest] == sorted(step.share for step in taken + rest)
    assert rest[-1].share == 1.0
    assert await steps_of(Matching(), cluster, rest[-1].position) == []


async def test_slots_that_moved_begin_a_walk_anew(cluster: Client, module_cluster: RedisNodes) -> None:
    await write(cluster, KEYS)
    walk = open_source(Matching(), cluster, PLAN).steps("")
    taken = [await anext(walk) for _ in range(3)]
    move = Move(module_cluster, min(KEYS))

    move.begin()
    with pytest.raises(RedisUnavailable, match="move"):
        await steps_of(Matching(), cluster, taken[-1].position)
    move.end()
    rest = [step async for step in walk]
    again = await steps_of(Matching(), cluster, taken[-1].position)

    began = [at for at, step in enumerate(rest) if step.anew]
    assert len(began) == 1
    assert found(rest[began[0] :]) == KEYS
    assert again[0].anew
    assert found(again) == KEYS


async def test_a_node_restarted_begins_the_walk_of_all_anew(
    cluster: Client, module_cluster: RedisNodes
) -> None:
    await write(cluster, KEYS)
    taken = await dropped_after(open_source(Matching(), cluster, PLAN).steps(""), 2)
    node = module_cluster.nodes[1]
    with node.connect() as one:
        one.save()

    node.kill()
    with pytest.raises(RedisUnavailable):
        await shards_of(cluster)
    node.start()
    for each in module_cluster.nodes:
        wait_until(partial(agrees, each), "the cluster did not come back")
    rest = await steps_of(Matching(), cluster, taken[-1].position)

    assert rest[0].anew
    assert found(rest) == KEYS
