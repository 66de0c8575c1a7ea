"""Data sets in a real Redis: whole, twice the same, and never over somebody's own keys."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from redis.asyncio import Redis

from models.assembly import Plan
from models.connecting import connect
from models.errors import BadRecipe, RedisUnavailable, SourceUnsupported
from models.recipe import Recipe
from models.recipe_data import CsvRows
from tests.servers import RedisNodes, RedisServer
from trainer.datasets.catalogue import DATASETS, dataset
from trainer.datasets.exchanges import exchange, features
from trainer.datasets.loading import Loaded, load_into
from trainer.errors import DatasetConflict
from trainer.events import Stage, silent
from trainer.reading.stored import dataset_of
from trainer.reading.table import read_columns


@pytest.mark.parametrize("name", sorted(name for name, found in DATASETS.items() if not found.package))
async def test_a_data_set_lies_in_redis_as_it_says(redis: Redis, name: str) -> None:
    every = [stored for row in dataset(name).rows() for stored in row]

    loaded = await load_into(redis, dataset(name))

    assert loaded == Loaded(dataset(name).count, len(every))
    assert await redis.dbsize() == len(every)
    for stored in (every[0], every[1], every[-2], every[-1]):
        kind = await redis.type(stored.key)
        if isinstance(stored.value, bytes):
            assert (kind, await redis.get(stored.key)) == (b"string", stored.value)
        elif isinstance(stored.value, tuple):
            assert (kind, await redis.lrange(stored.key, 0, -1)) == (b"list", list(stored.value))
        else:
            found: dict[Any, Any] = await redis.hgetall(stored.key)
            assert {field.decode(): text.decode() for field, text in found.items()} == stored.value


async def test_loading_again_writes_nothing(redis: Redis) -> None:
    await load_into(redis, dataset("digits"))

    assert await load_into(redis, dataset("digits")) == Loaded(1797, 0)


async def test_a_load_that_was_cut_off_is_completed(redis: Redis) -> None:
    await load_into(redis, dataset("japanese_vowels"))
    await redis.delete("utterance:7", "utterance:300:meta")

    assert await load_into(redis, dataset("japanese_vowels")) == Loaded(640, 2)
    assert await redis.llen("utterance:7") > 0


@pytest.mark.parametrize(
    "command", [("SET", "x"), ("HSET", "name", "Ada"), ("HSET", "mean_radius", "1"), ("RPUSH", "x")]
)
async def test_somebody_s_own_key_is_left_alone_and_nothing_is_written(
    redis: Redis, command: tuple[str, ...]
) -> None:
    await redis.execute_command(command[0], "patient:500", *command[1:])
    before = await redis.dump("patient:500")

    with pytest.raises(DatasetConflict, match="key 'patient:500' is already in this Redis and is not what"):
        await load_into(redis, dataset("breast_cancer"))

    assert await redis.dbsize() == 1
    assert await redis.dump("patient:500") == before


async def test_a_longer_value_under_the_same_key_is_a_conflict_too(redis: Redis) -> None:
    await load_into(redis, dataset("digits"))
    await redis.append("digit:3", b"x")

    with pytest.raises(DatasetConflict, match="digit:3"):
        await load_into(redis, dataset("digits"))


async def test_told_to_overwrite_a_load_replaces_what_is_there(redis: Redis) -> None:
    await redis.set("utterance:5", "mine")

    loaded = await load_into(redis, dataset("japanese_vowels"), overwrite=True)

    assert loaded.rows == 640
    assert await redis.type("utterance:5") == b"list"


async def test_a_field_that_was_added_beside_is_kept(redis: Redis) -> None:
    await load_into(redis, dataset("breast_cancer"))
    await redis.hset("patient:3", "score", "0.9")

    assert (await load_into(redis, dataset("breast_cancer"))).written == 0
    assert await redis.hget("patient:3", "score") == b"0.9"


async def test_progress_reaches_its_end(redis: Redis) -> None:
    told: list[tuple[int, int]] = []

    await load_into(redis, dataset("breast_cancer"), lambda done, total: told.append((done, total)))
    first, told[:] = told[-1], []
    await load_into(redis, dataset("breast_cancer"), lambda done, total: told.append((done, total)))

    assert first == (1138, 1138)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


async def test_a_data_set_is_spread_over_a_cluster(redis_cluster: RedisNodes) -> None:
    async with connect(redis_cluster.url.replace("redis://", "redis+cluster://")) as client:
        assert await load_into(client, dataset("japanese_vowels")) == Loaded(640, 1280)
        assert await load_into(client, dataset("japanese_vowels")) == Loaded(640, 0)


async def test_a_redis_that_is_away_is_named() -> None:
    with pytest.raises(RedisUnavailable):
        async with connect("redis://127.0.0.1:1") as client:
            await load_into(client, dataset("digits"))


SENSORS = """\
name: sensors
task: classification
data: {source: numpy, path: sensors.npz, target: {column: y}}
features:
  inputs:
    - {name: x, lengths: n, sources: [{key: "sensor:{id}", as: stream, fields: [temp, load], last: 5}]}
labels: ["0", "1"]
network: [{gru: 4}]
"""


async def test_sequences_of_a_file_are_loaded_as_streams_that_the_view_reads(
    redis: Redis, tmp_path: Path
) -> None:
    x, n = np.arange(30, dtype=np.float32).reshape(3, 5, 2) / 8, np.array([5, 1, 3])
    np.savez(tmp_path / "sensors.npz", x=x, n=n, y=np.array([0, 1, 0]), id=np.array([7, 8, 9]))
    recipe = Recipe.parse(SENSORS)

    loaded = await load_into(redis, dataset_of(recipe, tmp_path))
    again = await load_into(redis, dataset_of(recipe, tmp_path))
    await redis.xadd("sensor:8", {"temp": 1, "load": 2})
    with pytest.raises(DatasetConflict, match="sensor:8"):
        await load_into(redis, dataset_of(recipe, tmp_path))

    assert (loaded, again) == (Loaded(3, 3), Loaded(3, 0))
    prepared = Plan(recipe.features).prepare_keys(["sensor:7", "sensor:9"])
    feeds = (
        Plan(recipe.features).assemble(prepared, await exchange(redis, features(prepared))).groups[0].feeds
    )
    assert feeds["n"].tolist() == [5, 3]
    np.testing.assert_array_equal(feeds["x"][0], x[0])
    np.testing.assert_array_equal(feeds["x"][1, :3], x[2, :3])


def test_texts_in_the_steps_of_a_file_are_refused() -> None:
    text = SENSORS.replace("[temp, load]", "[temp, {name: mode, categories: [a, b]}]")

    with pytest.raises(
        BadRecipe, match=r"has categories \(mode\), and steps in a column are numbers; take the"
    ):
        Recipe.parse(text)


PROFILES = """\
name: profiles
task: classification
data: {source: csv, path: profiles.csv, target: {column: left}}
features:
  inputs:
    - name: x
      sources:
        - key: "profile:{id}"
          as: json
          fields:
            - {name: age, default: -1}
            - {name: city, path: "$.address.city", categories: [Berlin, "Rome"]}
            - {name: total, path: "$.orders[-1].total"}
    - {name: v, sources: [{key: "profile:{id}:one", as: json, fields: [size]}]}
labels: ["0", "1"]
network: {branches: {x: [{linear: 4}], v: []}}
"""


@pytest.fixture
def profiles(tmp_path: Path) -> Recipe:
    rows = "7,41,Berlin,9.25,1,0\n8,,Rome,1e-3,2.5,1\n9,12345678901,Berlin,0.1,0,1\n"
    (tmp_path / "profiles.csv").write_text("id,age,city,total,size,left\n" + rows)
    return Recipe.parse(PROFILES)


async def test_documents_are_read_by_the_view_as_the_rows_were(
    redis_server: Callable[..., RedisServer], profiles: Recipe, tmp_path: Path
) -> None:
    table = read_columns(profiles, cast(CsvRows, profiles.data), tmp_path, Stage("read", silent))
    plan = Plan(profiles.features)
    prepared = plan.prepare_keys(table.keys)
    async with connect(redis_server(json=True).url) as client:
        loaded = await load_into(client, dataset_of(profiles, tmp_path))
        again = await load_into(client, dataset_of(profiles, tmp_path))
        replies = await exchange(client, features(prepared))
        kinds = [await client.type(key) for key in ("profile:7", "profile:7:one")]

    assert (loaded, again) == (Loaded(3, 6), Loaded(3, 0))
    assert kinds == [b"ReJSON-RL"] * 2
    (group,) = plan.assemble(prepared, replies).groups
    for name in ("x", "v"):
        assert np.array_equal(group.feeds[name], table.inputs[name].x)


@pytest.mark.parametrize(
    "command",
    [
        ("SET", "profile:8", "mine"),
        ("HSET", "profile:8", "age", "1"),
        ("JSON.SET", "profile:8", "$", '{"age": 3}'),
        ("JSON.SET", "profile:8", "$", "[1]"),
        ("JSON.SET", "profile:8:one", "$", '{"size": "2.5"}'),
    ],
)
async def test_somebody_s_own_document_is_left_alone(
    redis_server: Callable[..., RedisServer], profiles: Recipe, tmp_path: Path, command: tuple[str, ...]
) -> None:
    async with connect(redis_server(json=True).url) as client:
        await client.execute_command(*command)

        with pytest.raises(DatasetConflict, match="profile:8"):
            await load_into(client, dataset_of(profiles, tmp_path))
        untouched = await client.dbsize()
        overwritten = await load_into(client, dataset_of(profiles, tmp_path), overwrite=True)

    assert untouched == 1
    assert overwritten == Loaded(3, 6)


async def test_a_document_may_have_other_members_beside(
    redis_server: Callable[..., RedisServer], profiles: Recipe, tmp_path: Path
) -> None:
    async with connect(redis_server(json=True).url) as client:
        await load_into(client, dataset_of(profiles, tmp_path))
        await client.execute_command("JSON.SET", "profile:7", "$.name", '"Ada"')

        assert await load_into(client, dataset_of(profiles, tmp_path)) == Loaded(3, 0)
        assert await client.execute_command("JSON.GET", "profile:7", "$.name") == b'["Ada"]'


async def test_a_redis_without_json_is_told_and_nothing_is_written(
    redis: Redis, profiles: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(SourceUnsupported, match=r"does not have JSON.SET; `as: json` needs Redis 8"):
        await load_into(redis, dataset_of(profiles, tmp_path))

    assert await redis.dbsize() == 0
