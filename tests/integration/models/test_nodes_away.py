"""A walk from model to model: a node that is away costs its own models, and is found out once."""

import pytest

from models.connecting import connect
from models.errors import RedisUnavailable
from models.nodes_away import Walk
from models.store import ModelStore
from tests.away import node_of, without_full_coverage
from tests.servers import RedisNodes


async def test_a_node_that_is_away_is_asked_once(redis_cluster: RedisNodes) -> None:
    without_full_coverage(redis_cluster)
    client = connect(redis_cluster.url.replace("redis://", "redis+cluster://"))
    gone = redis_cluster.nodes[2]
    names = [f"m{at}" for at in range(20)]
    away = [name for name in names if node_of(redis_cluster, name) is gone]
    asked: list[str] = []
    await ModelStore(client).names()
    gone.kill()

    async def look(name: str) -> str:
        asked.append(name)
        await ModelStore(client).aliases(name)
        return name

    walk = Walk(ModelStore(client))
    found = [await walk.at(name, look) for name in names]
    await client.aclose()

    assert found == [None if name in away else name for name in names]
    assert walk.left == away
    assert asked == [name for name in names if name not in away[1:]]
    assert walk.told.startswith(f"{away[0]}, {away[1]}, ")
    assert walk.told.endswith(f"; Redis does not answer: {walk.reason}")


async def test_one_redis_that_is_away_ends_the_walk() -> None:
    client = connect("redis://127.0.0.1:1")
    walk = Walk(ModelStore(client))

    with pytest.raises(RedisUnavailable):
        await walk.at("churn", ModelStore(client).aliases)

    assert walk.left == []
