"""Nothing is half-written and nothing is told wrongly when Redis, or a publisher, fails."""

import asyncio
import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from models.bundle import Bundle
from models.connecting import connect
from models.errors import RedisRefused, RedisUnavailable, VersionInUse, VersionNotFound
from models.keys import Keys
from models.scripts import PUBLISH
from models.store import Client, ModelStore
from tests.servers import RedisServer, free_port

MakeBundle = Callable[..., Bundle]
Start = Callable[..., RedisServer]
Change = Callable[[str, object], None]

ROOT = Path(__file__).parents[3]
KILLS = 12
MEBIBYTE = 1 << 20


def publish_and_kill(url: str, pause_seconds: float) -> None:
    """Let a process publish, and end it with SIGKILL some time after it is under way."""
    command = [sys.executable, str(Path(__file__).with_name("publisher.py")), url]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"published\n"
        time.sleep(pause_seconds)
        process.kill()


async def alone(redis: Redis) -> None:
    """Wait until Redis has read what killed clients had sent."""
    while len(await redis.client_list()) > 1:
        pass


@pytest.mark.timeout(300)
async def test_a_publisher_that_is_killed_leaves_no_version_half_written(
    lone_store: ModelStore, redis_url: str
) -> None:
    store, chance = lone_store, random.Random(7)

    for _ in range(KILLS):
        await asyncio.to_thread(publish_and_kill, redis_url, chance.uniform(0, 0.06))
    async with asyncio.timeout(10):
        await alone(store.redis)

    versions = await store.versions("churn")
    assert len(versions) >= KILLS
    kept = {store.keys.manifest("churn", version).encode() for version in versions}
    for version in versions:
        loaded = await store.load("churn", version)
        kept |= {store.keys.chunk("churn", version, at).encode() for at in range(loaded.manifest.chunks)}
    assert (await store.aliases("churn"))["production"] in versions
    left = [key async for key in store.redis.scan_iter("insitu:{churn}:v[0-9]*") if key not in kept]
    assert all([0 < await store.redis.ttl(key) <= 3600 for key in left])
    assert [await store.redis.ttl(key) for key in kept] == [-1] * len(kept)


async def test_out_of_memory_is_told_and_nothing_is_written(
    lone_store: ModelStore, bundle: MakeBundle, shared_server_settings: Change
) -> None:
    shared_server_settings("maxmemory", MEBIBYTE)  # less than an empty server uses

    with pytest.raises(RedisRefused, match="command not allowed when used memory > 'maxmemory'"):
        await lone_store.publish(bundle())

    assert await lone_store.redis.dbsize() == 0


async def test_out_of_memory_half_way_takes_the_uploaded_chunks_back(
    redis: Redis, bundle: MakeBundle, shared_server_settings: Change
) -> None:
    store = ModelStore(redis, chunk_bytes=MEBIBYTE)
    used = (await redis.info("memory"))["used_memory"]
    shared_server_settings("maxmemory", used + 6 * MEBIBYTE)

    with pytest.raises(RedisRefused, match="when used memory > 'maxmemory'"):
        await store.publish(bundle(bytes(32 * MEBIBYTE)))

    assert await store.names() == []
    assert [key async for key in redis.scan_iter("*:onnx:*")] == []


async def test_a_server_that_evicts_what_is_being_uploaded_is_told(
    redis: Redis, bundle: MakeBundle, shared_server_settings: Change
) -> None:
    store = ModelStore(redis, chunk_bytes=MEBIBYTE)
    used = (await redis.info("memory"))["used_memory"]
    shared_server_settings("maxmemory-policy", "volatile-ttl")
    shared_server_settings("maxmemory", used + 6 * MEBIBYTE)

    with pytest.raises(RedisRefused, match="met a chunk that was gone before the upload ended"):
        await store.publish(bundle(bytes(32 * MEBIBYTE)))

    assert await store.names() == []
    assert [key async for key in redis.scan_iter("*:onnx:*")] == []


async def test_a_chunk_that_is_gone_while_it_is_sent_is_told_and_nothing_is_left(
    redis: Redis, bundle: MakeBundle
) -> None:
    store = ModelStore(redis)
    chunk = store.keys.chunk("churn", 1, 0)
    publishing = asyncio.create_task(store.publish(bundle(bytes(64 * MEBIBYTE))))
    async with asyncio.timeout(10):
        while await redis.strlen(chunk) <= MEBIBYTE:
            pass
    await redis.delete(chunk)

    with pytest.raises(RedisRefused, match="met a chunk that was gone before the upload ended"):
        await publishing

    assert await store.names() == []
    assert [key async for key in redis.scan_iter("*:onnx:*")] == []


async def test_a_number_taken_during_the_upload_is_not_overwritten(
    client: Client, bundle: MakeBundle
) -> None:
    store = ModelStore(client, chunk_bytes=1000)
    publishing = asyncio.create_task(store.publish(bundle(bytes(300_000))))
    async with asyncio.timeout(10):
        while not await store.redis.exists(store.keys.chunk("churn", 1, 0)):
            pass
    await store.redis.set(store.keys.manifest("churn", 1), "somebody else's")

    with pytest.raises(RedisRefused, match="met another version of that number"):
        await publishing

    assert await store.redis.get(store.keys.manifest("churn", 1)) == b"somebody else's"


async def test_a_publish_sent_twice_is_done_once(store: ModelStore, bundle: MakeBundle) -> None:
    first = await store.publish(bundle(b"one"))
    await store.publish(bundle(b"two"))
    keys = store.keys
    names = [keys.model("churn"), keys.aliases("churn"), keys.versions("churn")]
    names += [keys.manifest("churn", 1), keys.chunk("churn", 1, 0)]

    again = await store.redis.eval(PUBLISH, 5, *names, 1, first.to_json(), "", "", 32, "production")

    assert again == 1
    assert await store.aliases("churn") == {"production": 2}


@pytest.mark.parametrize("key", ["model", "aliases", "versions"])
async def test_a_key_of_another_type_refuses_the_publish_before_anything_is_kept(
    store: ModelStore, bundle: MakeBundle, key: str
) -> None:
    await store.redis.set(getattr(store.keys, key)("churn"), "somebody else's")

    with pytest.raises(RedisRefused, match="WRONGTYPE"):
        await store.publish(bundle())

    for part in (store.keys.manifest("churn", 1), store.keys.chunk("churn", 1, 0)):
        assert not await store.redis.exists(part)


async def test_reading_a_key_of_another_type_is_refused(store: ModelStore, bundle: MakeBundle) -> None:
    await store.publish(bundle())
    chunk = store.keys.chunk("churn", 1, 0)
    await store.redis.delete(chunk)
    await store.redis.sadd(chunk, "somebody else's")

    with pytest.raises(RedisRefused, match="WRONGTYPE"):
        await store.load("churn", 1)


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ("+@all -sadd ~*", "no permissions to run the 'sadd' command"),
        ("+@all -eval ~*", "no permissions to run the 'eval' command"),
        ("+@all -eval -unlink ~*", "no permissions to run the 'eval' command"),
        ("+@all ~other:*", "permissions to access (a key|one of the keys)"),
    ],
)
async def test_a_user_without_permission_is_told_which_and_writes_nothing_that_stays(
    lone_store: ModelStore, redis_url: str, bundle: MakeBundle, rules: str, reason: str
) -> None:
    await lone_store.redis.execute_command("ACL", "SETUSER", "guest", "reset", "on", ">pass", *rules.split())

    async with Redis.from_url(redis_url, username="guest", password="pass") as guest:
        with pytest.raises(RedisRefused, match=reason):
            await ModelStore(guest).publish(bundle())

    assert await lone_store.names() == []
    left = [key async for key in lone_store.redis.scan_iter("*:onnx:*")]
    assert all([await lone_store.redis.ttl(key) > 0 for key in left])
    await lone_store.redis.execute_command("ACL", "DELUSER", "guest")


async def test_a_wrong_password_is_a_refusal_not_an_absence(redis_url: str) -> None:
    async with Redis.from_url(redis_url, username="nobody", password="wrong") as guest:
        with pytest.raises(RedisRefused, match="invalid username-password"):
            await ModelStore(guest).names()


async def test_a_read_only_replica_refuses(redis_server: Start, bundle: MakeBundle) -> None:
    server = redis_server()
    async with Redis.from_url(server.url) as client:
        await client.replicaof("127.0.0.1", free_port())

        with pytest.raises(RedisRefused, match="read only replica"):
            await ModelStore(client).publish(bundle())


async def calls(store: ModelStore, bundle: Bundle) -> list[type[BaseException]]:
    """What every method of the store raises."""
    found: list[type[BaseException]] = []
    for call in (
        store.publish(bundle),
        store.names(),
        store.versions("churn"),
        store.aliases("churn"),
        store.resolve("churn"),
        store.load("churn", 1),
        store.promote("churn", 1),
        store.rollback("churn"),
        store.delete("churn", 1),
        store.remove_alias("churn", "production"),
    ):
        try:
            await call
        except Exception as error:  # noqa: BLE001  # whatever it is, the test compares it
            found.append(type(error))
    return found


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
async def test_redis_that_is_away_is_told_at_once(bundle: MakeBundle, scheme: str) -> None:
    store = ModelStore(connect(f"{scheme}://127.0.0.1:{free_port()}"))
    started = time.monotonic()

    found = await calls(store, bundle())

    assert found == [RedisUnavailable] * 10
    assert time.monotonic() - started < 10
    await store.redis.aclose()


async def test_redis_that_stops_answering_is_told_after_the_reply_time(
    redis_server: Start, bundle: MakeBundle
) -> None:
    server = redis_server()
    store = ModelStore(connect(server.url, reply_seconds=0.2))
    await store.publish(bundle())
    server.pause()
    started = time.monotonic()

    with pytest.raises(RedisUnavailable, match="Timeout"):
        await store.load("churn", 1)

    assert time.monotonic() - started < 10
    server.resume()
    await store.redis.aclose()


async def test_the_store_goes_on_when_redis_is_back(redis_server: Start, bundle: MakeBundle) -> None:
    server = redis_server(aof=True)
    store = ModelStore(connect(server.url))
    await store.publish(bundle(b"kept"))
    server.kill()
    with pytest.raises(RedisUnavailable):
        await store.load("churn", 1)

    server.start()

    assert (await store.load("churn", 1)).onnx == b"kept"
    await store.redis.aclose()


async def test_promoting_and_deleting_at_once_never_leaves_an_alias_on_a_deleted_version(
    store: ModelStore, bundle: MakeBundle
) -> None:
    await store.publish(bundle())
    outcomes = set()
    for _ in range(40):
        version = (await store.publish(bundle(), alias=None)).version
        works = [store.promote("churn", version), store.delete("churn", version)]
        random.Random(version).shuffle(works)

        results = await asyncio.gather(*works, return_exceptions=True)

        outcomes |= {type(result) for result in results}
        current = (await store.aliases("churn"))["production"]
        assert current in await store.versions("churn")
        await store.load("churn", current)

    assert outcomes <= {int, type(None), VersionInUse, VersionNotFound}


async def test_rolling_back_and_deleting_at_once_never_leaves_an_alias_on_a_deleted_version(
    store: ModelStore, bundle: MakeBundle
) -> None:
    await store.publish(bundle())
    for _ in range(20):
        before = (await store.publish(bundle())).version
        await store.publish(bundle())

        with contextlib.suppress(VersionInUse):
            await asyncio.gather(store.rollback("churn"), store.delete("churn", before))

        assert (await store.aliases("churn"))["production"] in await store.versions("churn")


async def test_a_client_that_decodes_replies_is_refused_when_the_store_is_made(redis_url: str) -> None:
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        with pytest.raises(ValueError, match="decode_responses=False"):
            ModelStore(client, Keys())
