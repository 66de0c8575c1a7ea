"""The suite's own Redis servers do what the other tests rely on."""

from collections.abc import Callable

import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ConnectionError as RedisAway

from tests.servers import RedisNodes, RedisServer, free_port

Start = Callable[..., RedisServer]


@pytest.mark.parametrize("run", [1, 2])
async def test_the_shared_server_is_empty_before_each_test(redis: Redis, run: int) -> None:
    assert await redis.dbsize() == 0

    await redis.set("left by run", run)


def test_a_killed_server_keeps_what_its_append_only_file_has(redis_server: Start) -> None:
    server = redis_server(aof=True)
    with server.connect() as client:
        client.set("k", "v")

    server.kill()
    server.start()

    with server.connect() as client:
        assert client.get("k") == b"v"


def test_a_server_comes_back_on_the_same_port(redis_server: Start) -> None:
    server = redis_server(port=free_port())
    with BlockingRedis.from_url(server.tcp_url) as client:
        client.ping()
        server.kill()

        with pytest.raises(RedisAway):
            client.ping()

        server.start()
        assert client.ping()


def test_a_server_with_json_reads_a_path(redis_server: Start) -> None:
    server = redis_server(json=True)

    with server.connect() as client:
        client.execute_command("JSON.SET", "doc", "$", '{"a": {"b": 7}}')
        assert client.execute_command("JSON.GET", "doc", "$.a.b") == b"[7]"


async def test_a_cluster_serves_every_slot(redis_cluster: RedisNodes) -> None:
    keys = [f"key:{i}" for i in range(50)]

    async with RedisCluster.from_url(redis_cluster.url) as client:
        for key in keys:
            await client.set(key, key)
        values = [await client.get(key) for key in keys]

    assert values == [key.encode() for key in keys]
