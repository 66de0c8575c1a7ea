"""What was fetched is kept: loads without Redis, starts without Redis, and takes over what changed meanwhile."""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from models.errors import BundleCorrupt, RedisUnavailable, VersionNotFound
from models.keys import Keys
from models.signing_errors import NotTrusted
from models.store import ModelStore
from server.inference import catalogue
from server.inference.asking import Ask
from server.inference.engine import Engine
from server.inference.keeping import store as keeping
from server.inference.keeping.claims import Claim
from server.inference.keeping.files import KeptFiles
from server.inference.keeping.identity import Identity
from server.inference.keeping.store import KeptStore
from server.metrics import Metrics
from tests.attacks import STRANGER, TRUSTED, trusting
from tests.away import url_of_all
from tests.graphs import bundle, constant, heavy
from tests.integration.server.conftest import StartEngine, until
from tests.servers import RedisNodes, RedisServer

Start = Callable[..., RedisServer]
CHUNK = "insitu:{m}:v1:onnx:0"
MANIFEST = "insitu:{m}:v1:manifest"


async def answer(engine: Engine, name: str = "m", reference: str | int | None = None) -> float:
    given = await engine.predictor.predict(Ask(name, reference, inputs={"x": [[1, 2]]}))
    value: float = given.rows[0].body["outputs"]["y"][0]
    return value


async def arranged(server: RedisServer, work: Callable[[ModelStore], Any]) -> None:
    """Change what is stored."""
    async with Redis.from_url(server.url) as client:
        await work(ModelStore(client))


def counted(engine: Engine, what: str) -> float:
    """What the server tells of its cache."""
    lines = engine.metrics.exposition().decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"insitu_model_cache_{what} ")))


def files_in(cache: Path, part: str) -> list[Path]:
    return sorted(path for path in cache.rglob("*") if path.is_file() and path.parent.name == part)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
async def served(
    redis_server: Start, engine: StartEngine, cache: Path
) -> tuple[RedisServer, Callable[..., Any]]:
    """A Redis with two versions of a model, kept by a server that has ended, and a factory of servers on both."""
    redis = redis_server(aof=True)

    async def fill(store: ModelStore) -> None:
        await store.publish(bundle(constant(1)))
        await store.publish(bundle(constant(2)), "canary")

    async def start(wait_seconds: float = 10.0, **settings: Any) -> Engine:
        told = {"redis_url": redis.url, "model_cache": cache, "resync_seconds": 0.05, **settings}
        return await engine(wait_seconds, **told)

    await arranged(redis, fill)
    running = await start()
    assert (await answer(running), await answer(running, "m", "canary")) == (1, 2)
    await until(lambda: len(files_in(cache, "m")) == 3)  # two manifests, and the pointers
    await running.stop()
    return redis, start


async def test_a_version_is_fetched_once_for_all_who_share_the_directory(
    store: ModelStore, engine: StartEngine, cache: Path
) -> None:
    await store.publish(bundle(constant(1)))

    servers = await asyncio.gather(*(engine(model_cache=cache) for _ in range(4)))

    assert [await answer(one) for one in servers] == [1] * 4
    assert sum(counted(one, "misses_total") for one in servers) == 1
    assert sum(counted(one, "hits_total") for one in servers) == 3


async def test_a_start_without_redis_serves_what_was_served_last(served: tuple[RedisServer, Any]) -> None:
    redis, start = served
    redis.kill()

    running = await start()

    ready, reason = running.ready()
    assert ready
    assert "Redis is away" in reason
    assert "models are served from the cache, as Redis had them at 20" in reason
    assert not running.redis_ok
    assert (await answer(running), await answer(running, "m", "canary")) == (1, 2)
    assert await answer(running, "m", 2) == 2
    with pytest.raises(RedisUnavailable):
        await answer(running, "m", "shadow")
    with pytest.raises(RedisUnavailable):
        await answer(running, "other")
    with pytest.raises(RedisUnavailable):
        await answer(running, "m", 3)


async def test_what_changed_while_both_were_away_is_taken_over(served: tuple[RedisServer, Any]) -> None:
    redis, start = served

    async def change(store: ModelStore) -> None:
        await store.promote("m", 2)
        await store.remove_alias("m", "canary")
        await store.delete("m", 1)
        await store.publish(bundle(constant(3), "n"))

    await arranged(redis, change)
    redis.kill()
    running = await start()
    assert await answer(running) == 1

    redis.start()
    await until(lambda: running.ready() == (True, ""))

    assert (await answer(running), await answer(running, "n")) == (2, 3)
    with pytest.raises(VersionNotFound):
        await answer(running, "m", 1)


async def test_a_signature_is_kept_with_its_version(served: tuple[RedisServer, Any], cache: Path) -> None:
    redis, start = served
    await arranged(redis, lambda store: store.sign("m", 1, TRUSTED))
    running = await start(**trusting())
    assert await answer(running) == 1
    await running.stop()
    redis.kill()

    running = await start(**trusting())

    assert await answer(running) == 1
    with pytest.raises(NotTrusted, match="unsigned"):
        await answer(running, "m", 2)


async def test_a_server_that_trusts_everybody_keeps_signatures_for_those_that_do_not(
    served: tuple[RedisServer, Any],
) -> None:
    redis, start = served
    await arranged(redis, lambda store: store.sign("m", 1, TRUSTED))
    strict = await start(**trusting())
    assert await answer(strict) == 1
    await strict.stop()
    open_to_all = await start()
    assert await answer(open_to_all) == 1
    await open_to_all.stop()
    redis.kill()

    running = await start(**trusting())

    assert await answer(running) == 1


async def test_what_lies_on_the_disk_is_asked_for_its_signature_too(served: tuple[RedisServer, Any]) -> None:
    redis, start = served
    await arranged(redis, lambda store: store.sign("m", 1, STRANGER))
    redis.kill()

    running = await start(**trusting())

    assert not running.ready()[0]
    with pytest.raises(NotTrusted, match="unsigned"):  # as it was when it was kept
        await answer(running, "m", 1)
    redis.start()
    await until(lambda: running.redis_ok)
    with pytest.raises(NotTrusted, match=STRANGER.public.fingerprint):
        await answer(running, "m", 1)


async def test_an_outage_later_is_told_without_the_cache(served: tuple[RedisServer, Any]) -> None:
    redis, start = served
    running = await start()

    redis.kill()
    await until(lambda: not running.redis_ok)

    assert running.ready()[0]
    assert "cache" not in running.ready()[1]


async def test_a_traffic_rule_and_a_shadow_are_kept(served: tuple[RedisServer, Any], cache: Path) -> None:
    redis, start = served

    async def change(store: ModelStore) -> None:
        await store.promote("m", 2, "shadow")
        await store.set_traffic("m", {1: 1, 2: 1})

    await arranged(redis, change)
    running = await start()
    await until(lambda: b'"shadow":2' in pointers(cache) and b"traffic" in pointers(cache))
    await running.stop()
    redis.kill()

    running = await start()

    route = running.catalogue.route("m")
    assert route is not None
    assert route.split is not None
    assert {one.manifest.version for one in route.split.servings} == {1, 2}
    assert route.shadow is not None


def pointers(cache: Path) -> bytes:
    return next(path for path in files_in(cache, "m") if path.name == "pointers").read_bytes()


async def test_a_cluster_starts_without_the_nodes_that_are_away(
    redis_cluster: RedisNodes, engine: StartEngine, cache: Path
) -> None:
    settings = {"redis_url": url_of_all(redis_cluster), "model_cache": cache, "resync_seconds": 0.05}
    running = await engine(**settings)
    for number, name in enumerate("abcd"):
        await running.store.publish(bundle(constant(number), name))
        assert await answer(running, name) == number
    await until(lambda: len(list(cache.rglob("pointers"))) == 4)
    await running.stop()
    for node in redis_cluster.nodes:
        node.kill()

    running = await engine(**settings)

    assert [await answer(running, name) for name in "abcd"] == [0, 1, 2, 3]
    assert "from the cache" in running.ready()[1]


async def test_a_rule_that_cannot_be_read_leaves_production(
    served: tuple[RedisServer, Any], cache: Path
) -> None:
    redis, start = served
    files = KeptFiles(cache, 1 << 20, Identity.of(redis.url, "insitu"))
    files.note("m", {"production": 2}, "no rule")
    redis.kill()

    assert await answer(await start()) == 2


async def test_a_model_without_production_is_served_by_its_number(
    served: tuple[RedisServer, Any], cache: Path
) -> None:
    redis, start = served
    KeptFiles(cache, 1 << 20, Identity.of(redis.url, "insitu")).note("m", {}, None)
    redis.kill()

    running = await start()

    assert [one.manifest.version for one in running.catalogue.loaded()] == [2]
    assert running.ready()[0]


async def test_only_as_many_as_are_preloaded_are_loaded_and_the_others_when_they_are_asked_for(
    served: tuple[RedisServer, Any],
) -> None:
    redis, start = served
    await arranged(redis, lambda store: store.publish(bundle(constant(3), "n")))
    running = await start()
    await until(lambda: counted(running, "misses_total") == 1)
    await running.stop()
    redis.kill()

    running = await start(preload_models=1)

    assert len(running.catalogue.loaded()) == 1
    assert (await answer(running), await answer(running, "n")) == (1, 3)


async def test_what_does_not_fit_the_memory_is_left_to_its_first_request(
    served: tuple[RedisServer, Any],
) -> None:
    redis, start = served

    async def fill(store: ModelStore) -> None:
        for number, name in enumerate("nopqrs"):
            await store.publish(bundle(heavy(number), name))

    await arranged(redis, fill)
    running = await start(model_memory_bytes=64 << 20)
    await until(lambda: counted(running, "misses_total") >= 6)
    await running.stop()
    redis.kill()

    running = await start(model_memory_bytes=9 << 20)

    assert len(running.catalogue.loaded()) < 6
    assert await answer(running) == 1


async def test_damaged_files_are_thrown_away_and_fetched_again(
    served: tuple[RedisServer, Any], cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, start = served
    for path in files_in(cache, "onnx"):
        path.write_bytes(b"damaged")

    running = await start()

    assert await answer(running) == 1
    assert counted(running, "discarded_total") == 1
    assert counted(running, "misses_total") == 1
    assert "is damaged, or not of our making" in caplog.text


async def test_damaged_files_are_never_served_while_redis_is_away(
    served: tuple[RedisServer, Any], cache: Path
) -> None:
    redis, start = served
    for path in files_in(cache, "onnx"):
        path.write_bytes(path.read_bytes()[:-1])
    redis.kill()

    running = await start()

    assert not running.ready()[0]
    with pytest.raises(RedisUnavailable):
        await answer(running)
    redis.start()
    await until(lambda: running.ready() == (True, ""))
    assert await answer(running) == 1


@pytest.mark.parametrize("size_bytes", [10**12, 2**64])
async def test_a_manifest_that_says_a_size_beyond_all_memory_is_refused_as_damaged(
    served: tuple[RedisServer, Any], size_bytes: int
) -> None:
    redis, start = served
    with redis.connect() as client:
        stored = json.loads(client.get(MANIFEST))
        client.set(MANIFEST, json.dumps(stored | {"size_bytes": size_bytes}))

    running = await start()

    assert running.ready() == (True, "")
    with pytest.raises(BundleCorrupt, match=f"published were {size_bytes}"):
        await answer(running)
    assert await answer(running, "m", "canary") == 2


async def test_a_version_that_is_damaged_in_redis_is_taken_from_the_disk_and_refused_without(
    served: tuple[RedisServer, Any], cache: Path
) -> None:
    redis, start = served
    with redis.connect() as client:
        client.set(CHUNK, b"x" * client.strlen(CHUNK))

    assert await answer(await start()) == 1

    shutil.rmtree(cache)
    with pytest.raises(BundleCorrupt):
        await answer(await start())
    assert files_in(cache, "onnx") == []


async def test_files_of_a_model_that_is_deleted_go(served: tuple[RedisServer, Any], cache: Path) -> None:
    redis, start = served
    running = await start()

    await arranged(redis, lambda store: store.delete("m", 2, with_aliases=True))
    await until(lambda: len(files_in(cache, "onnx")) == 1)
    await arranged(redis, lambda store: store.delete("m", 1, with_aliases=True))
    await until(lambda: files_in(cache, "onnx") == [] and files_in(cache, "m") == [])
    assert running.ready() == (True, "")


async def test_files_of_a_model_that_was_deleted_meanwhile_go_though_nobody_asked_for_it(
    served: tuple[RedisServer, Any], cache: Path
) -> None:
    redis, start = served

    async def delete(store: ModelStore) -> None:
        for version in (1, 2):
            await store.delete("m", version, with_aliases=True)

    await arranged(redis, delete)
    await start(preload_models=0)

    assert files_in(cache, "onnx") == []


async def test_another_redis_or_prefix_takes_nothing_from_the_same_directory(
    served: tuple[RedisServer, Any], redis_server: Start
) -> None:
    redis, start = served
    staging = redis_server()
    staging.kill()
    redis.kill()

    for settings in ({"redis_url": staging.url}, {"prefix": "other"}, {"redis_url": f"{redis.url}?db=1"}):
        running = await start(**settings)
        assert not running.ready()[0]
        assert running.catalogue.loaded() == []


def spoil(cache: Path, obstacle: str) -> None:
    if obstacle == "a file":
        shutil.rmtree(cache)
        cache.touch()
    else:
        for path in cache.iterdir():
            path.chmod(0o777)
            shutil.rmtree(path / "onnx")


@pytest.mark.parametrize("obstacle", ["a file", "a folder of others"])
async def test_a_directory_that_cannot_be_used_keeps_nobody_from_being_served(
    obstacle: str, store: ModelStore, engine: StartEngine, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await store.publish(bundle(constant(1)))
    await store.publish(bundle(constant(2), "n"))
    await (await engine(model_cache=cache)).stop()
    spoil(cache, obstacle)

    running = await engine(model_cache=cache, resync_seconds=0.05)

    assert (await answer(running), await answer(running, "n")) == (1, 2)
    await until(lambda: counted(running, "misses_total") == 2)
    assert counted(running, "bytes") == 0
    assert caplog.text.count("no new model is kept in") == 1


async def test_a_full_disk_is_told_once_and_its_end_too(
    store: ModelStore,
    engine: StartEngine,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(_claim: Claim, _onnx: bytes) -> bool:
        raise OSError(28, "No space left on device")

    caplog.set_level("INFO")
    with monkeypatch.context() as patch:
        patch.setattr(Claim, "write", full)
        running = await engine(model_cache=cache, resync_seconds=0.05)
        for name in ("m", "n"):
            await store.publish(bundle(constant(1), name))
            assert await answer(running, name) == 1
    assert caplog.text.count("No space left on device; it is loaded from Redis") == 1
    assert files_in(cache, "onnx") == []

    await store.publish(bundle(constant(2), "o"))
    assert await answer(running, "o") == 2
    assert "models are kept in" in caplog.text
    assert len(files_in(cache, "onnx")) == 1


async def test_who_waits_for_another_process_waits_no_longer_than_a_bound(
    redis: Redis, store: ModelStore, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "WAIT_SECONDS", 0.0)
    manifest = await store.publish(bundle(constant(1)))
    files = KeptFiles(cache, 1 << 20, Identity("redis://here", "insitu"))
    kept = KeptStore(redis, Keys(), files, Metrics().model_cache)
    held = files.claim(manifest.digest)
    assert held is not None

    assert (await kept.load("m", 1)).onnx == bundle(constant(1)).onnx

    held.release()
    assert files_in(cache, "onnx") == []


async def test_a_look_at_redis_that_is_away_lets_nothing_go(
    served: tuple[RedisServer, Any], cache: Path
) -> None:
    redis, _ = served
    redis.kill()
    files = KeptFiles(cache, 1 << 20, Identity.of(redis.url, "insitu"))
    before = files.looked_at()
    async with Redis.from_url(redis.url) as client:
        await KeptStore(client, Keys(), files, Metrics().model_cache).looked([])

    assert len(files_in(cache, "onnx")) == 2
    assert files.looked_at() == before


async def test_a_manifest_without_a_digest_names_no_file(
    redis: Redis, store: ModelStore, cache: Path
) -> None:
    manifest = await store.publish(bundle(constant(1)))
    await redis.set(
        "insitu:{m}:v1:manifest", manifest.model_copy(update={"digest": "../../escaped"}).to_json()
    )
    files = KeptFiles(cache, 1 << 20, Identity("redis://here", "insitu"))
    kept = KeptStore(redis, Keys(), files, Metrics().model_cache)

    with pytest.raises(BundleCorrupt):
        await kept.load("m", 1)

    assert not list(cache.parent.rglob("escaped*"))


async def test_a_fault_of_ours_while_kept_models_are_looked_for_is_logged(
    served: tuple[RedisServer, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    redis, start = served
    redis.kill()

    async def broken(_store: KeptStore) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(KeptStore, "known", broken)
    running = await start()

    assert not running.ready()[0]
    assert "serving what is kept" in caplog.text


async def test_a_kept_model_that_takes_long_is_not_waited_for(
    served: tuple[RedisServer, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    redis, start = served
    redis.kill()

    monkeypatch.setattr(catalogue, "PRELOAD_SECONDS", 0.0)
    running = await start()

    assert running.ready()[0]
    assert "m takes long to load" in caplog.text
    assert await answer(running) == 1
