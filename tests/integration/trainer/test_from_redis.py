"""Training rows out of a real Redis, through the feature view that serves."""

from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis

from models.assembly import Plan
from models.connecting import connect
from models.errors import RedisRefused
from models.recipe import Recipe, ready_recipe
from tests import feast_store
from tests.servers import RedisNodes
from trainer.datasets.catalogue import dataset
from trainer.datasets.from_redis import read_table
from trainer.datasets.loading import load_into
from trainer.errors import BadData, FieldAbsent, NoRows, TooManyBadRows, TooMuchData
from trainer.events import Event, Stage, StageAdvanced, silent
from trainer.table import Table

CHURN = """\
name: churn
task: classification
data:
  source: redis
  match: "user:*"
  target: {key: "user:{id}:truth", as: hash, field: left}
  max_bad_share: 0.5
features:
  inputs:
    - name: x
      sources:
        - {key: "user:{id}", as: hash, fields: [age, {name: plan, categories: [free, paid]}]}
        - {key: "user:{id}:v", as: vector, dtype: float64, shape: [2]}
labels: {"0": stays, "1": leaves}
network: [{linear: 4}]
"""
WALKS = """\
name: walks
task: classification
data: {source: redis, match: "walk:*", target: {key: "walk:{id}:meta", as: hash, field: way}}
features:
  inputs:
    - {name: x, lengths: x_length, sources: [{key: "walk:{id}", as: list, shape: [16], last: 65536}]}
labels: [up, down]
network: [{gru: 4}]
"""


SENSORS = """\
name: sensors
task: classification
data:
  source: redis
  match: "sensor:*"
  target: {key: "sensor:{id}:meta", as: hash, field: fails}
  max_bad_share: 0.5
features:
  inputs:
    - name: x
      lengths: n
      sources:
        - {key: "sensor:{id}", as: stream, fields: [temp, {name: load, default: 0}], last: 3, max_age_seconds: 60}
labels: ["0", "1"]
network: [{gru: 4}]
"""


async def read(redis: Any, recipe: Recipe) -> Table:
    return await read_table(redis, recipe, Stage("read", silent))


async def put_user(redis: Redis, number: int, left: str | None = "0", **fields: str) -> None:
    values: dict[Any, Any] = {"age": str(20 + number), "plan": "paid", **fields}
    await redis.hset(f"user:{number}", mapping=values)
    await redis.set(f"user:{number}:v", np.array([number, -number], "<f8").tobytes())
    if left is not None:
        await redis.hset(f"user:{number}:truth", "left", left)


@pytest.mark.parametrize("name", ["breast_cancer", "digits", "japanese_vowels"])
async def test_rows_are_read_as_the_server_would_assemble_them(redis: Redis, name: str) -> None:
    recipe = ready_recipe(name)
    await load_into(redis, dataset(name))

    table = await read(redis, recipe)

    plan = Plan(recipe.features)
    chosen = [0, 5, len(table) - 1]
    prepared = plan.prepare_keys([table.keys[row] for row in chosen])
    replies = [await redis.execute_command(*command) for command in prepared.commands]
    (group,) = plan.assemble(prepared, replies).groups
    one = recipe.features.inputs[0]
    values, served = table.inputs[one.name], group.feeds[one.name]
    width = served.shape[1]
    assert len(table) == dataset(name).count
    assert np.array_equal(values.x[chosen][:, :width], served)
    assert values.x.dtype == served.dtype
    if one.lengths:
        assert values.lengths is not None
        assert values.lengths[chosen].tolist() == group.feeds[one.lengths].tolist()
        assert not values.x[chosen][:, width:].any()


async def test_rows_come_sorted_with_their_targets(redis: Redis) -> None:
    for number in (3, 1, 2):
        await put_user(redis, number, "1" if number == 2 else "0")

    table = await read(redis, Recipe.parse(CHURN))

    assert table.keys == ("user:1", "user:2", "user:3")
    assert table.targets.tolist() == [0, 1, 0]
    assert table.inputs["x"].x.tolist() == [[21, 1, 1, -1], [22, 1, 2, -2], [23, 1, 3, -3]]


async def fill_sensors(redis: Any) -> None:
    for number in (1, 2, 3):
        for at in range(number + 1):
            await redis.xadd(f"sensor:{number}", {"temp": 10 * number + at, "note": "x"}, id=f"{at + 1}-0")
        await redis.hset(f"sensor:{number}:meta", "fails", number % 2)
    await redis.xadd("sensor:3", {"load": 1, "temp": "warm"})
    await redis.set("sensor:4", "no stream")


async def test_rows_are_the_last_entries_of_streams_however_old(redis: Redis) -> None:
    await fill_sensors(redis)

    table = await read(redis, Recipe.parse(SENSORS))

    x = table.inputs["x"]
    assert (table.keys, table.targets.tolist()) == (("sensor:1", "sensor:2"), [1, 0])
    assert x.x.tolist() == [[[10, 0], [11, 0], [0, 0]], [[20, 0], [21, 0], [22, 0]]]
    assert x.lengths is not None
    assert x.lengths.tolist() == [2, 3]
    assert (table.skipped, table.filled) == ({"not_a_number": 1}, {"load": 2})


async def test_streams_of_a_cluster_are_rows_too(redis_cluster: RedisNodes) -> None:
    async with connect(redis_cluster.url.replace("redis://", "redis+cluster://")) as client:
        await fill_sensors(client)
        table = await read(client, Recipe.parse(SENSORS))

    assert table.inputs["x"].x.tolist() == [[[10, 0], [11, 0], [0, 0]], [[20, 0], [21, 0], [22, 0]]]


async def test_rows_of_several_inputs_come_together(redis: Redis) -> None:
    text = CHURN.replace(
        '        - {key: "user:{id}:v", as: vector, dtype: float64, shape: [2]}\n',
        """\
    - {name: v, dtype: float64, sources: [{key: "user:{id}:v", as: vector, dtype: float64, shape: [2]}]}
    - {name: steps, lengths: n, sources: [{key: "user:{id}:s", as: list, shape: [1], last: 9}]}
""",
    ).replace("network: [{linear: 4}]", "network: {branches: {x: [{linear: 4}], v: [], steps: [{gru: 2}]}}")
    for number in (1, 2):
        await put_user(redis, number)
        await redis.rpush(f"user:{number}:s", *[np.array([step], "<f4").tobytes() for step in range(number)])
    await put_user(redis, 3)  # without steps it is no row

    table = await read(redis, Recipe.parse(text))

    assert table.keys == ("user:1", "user:2")
    assert table.inputs["x"].x.tolist() == [[21, 1], [22, 1]]
    assert table.inputs["v"].x.dtype == np.float64
    assert table.inputs["steps"].x.tolist() == [[[0], [0]], [[0], [1]]]
    assert table.inputs["steps"].lengths is not None
    assert table.inputs["steps"].lengths.tolist() == [1, 2]


async def test_rows_that_cannot_be_used_are_counted_by_reason(redis: Redis) -> None:
    for number in range(20):
        await put_user(redis, number)
    await put_user(redis, 20, left=None)
    await put_user(redis, 21, left="perhaps")
    await put_user(redis, 22, age="old")
    await put_user(redis, 23, plan="gold")
    await put_user(redis, 24)
    await redis.delete("user:24:v")
    await put_user(redis, 25)
    await redis.set("user:25:truth", "no hash")

    table = await read(redis, Recipe.parse(CHURN))

    assert len(table) == 20
    assert dict(table.skipped) == {
        "not_a_number": 1,
        "unknown_category": 1,
        "key_missing": 1,
        "unlabelled_row": 3,
    }


async def test_too_many_unusable_rows_are_an_error_with_an_example(redis: Redis) -> None:
    for number in range(10):
        await put_user(redis, number, left="0" if number else "perhaps")

    with pytest.raises(
        TooManyBadRows, match=r"1 of 10 rows cannot be used \(1 unlabelled_row\), 10.0% where .* 5.0%"
    ):
        await read(redis, Recipe.parse(CHURN.replace("0.5", "0.05")))
    with pytest.raises(TooManyBadRows, match="the target of 'user:0' is 'perhaps', which is none of"):
        await read(redis, Recipe.parse(CHURN.replace("0.5", "0.05")))


async def test_when_no_row_is_left_it_is_an_error_whatever_is_allowed(redis: Redis) -> None:
    await put_user(redis, 1, left="perhaps")

    with pytest.raises(TooManyBadRows):
        await read(redis, Recipe.parse(CHURN.replace("0.5", "1")))


async def test_keys_that_only_look_like_rows_are_passed_over(redis: Redis) -> None:
    await put_user(redis, 1)
    await redis.set("user:2", "a string")
    await redis.hset("user:3:settings", "age", "3")
    await redis.hset(b"user:\xff", "age", "3")

    assert (await read(redis, Recipe.parse(CHURN))).keys == ("user:1",)


async def test_no_rows_say_what_was_looked_for(redis: Redis) -> None:
    with pytest.raises(
        NoRows, match=r"no key in this Redis matches 'user:\*' and the template 'user:\{id\}'; check"
    ):
        await read(redis, Recipe.parse(CHURN))
    with pytest.raises(NoRows, match="`insitu train` with --load puts the data set digits there first"):
        await read(redis, ready_recipe("digits"))


async def test_a_sample_is_bounded_and_always_the_same(redis: Redis) -> None:
    await load_into(redis, dataset("breast_cancer"))
    whole = ready_recipe("breast_cancer")
    recipe = whole.model_copy(update={"data": whole.data.model_copy(update={"max_rows": 50})})

    first, second = await read(redis, recipe), await read(redis, recipe)

    assert len(first) == 50
    assert first.keys == second.keys == tuple(sorted(first.keys))
    assert len({int(key.split(":")[1]) // 100 for key in first.keys}) > 3


async def test_an_age_limit_is_for_serving_and_not_for_learning(redis: Redis) -> None:
    await put_user(redis, 1, seen="1600000000")
    timed = CHURN.replace(
        "as: hash, fields: [age", "as: hash, time_field: seen, max_age_seconds: 60, fields: [age"
    )

    assert len(await read(redis, Recipe.parse(timed))) == 1


async def test_a_regression_skips_targets_that_are_no_numbers(redis: Redis) -> None:
    text = CHURN.replace("classification", "regression").replace('labels: {"0": stays, "1": leaves}\n', "")
    for number, value in enumerate(["1.5", "-2e3", "nan", "inf", "much"]):
        await put_user(redis, number, left=value)

    table = await read(redis, Recipe.parse(text.replace("0.5", "0.9")))

    assert table.targets.tolist() == [1.5, -2000]
    assert table.targets.dtype == np.float32
    assert table.skipped == {"unlabelled_row": 3}


async def test_more_rows_than_memory_should_hold_are_refused_before_they_are_padded(redis: Redis) -> None:
    recipe = Recipe.parse(WALKS)
    pipeline = redis.pipeline(transaction=False)
    for number in range(1100):
        pipeline.rpush(f"walk:{number}", bytes(64))
        pipeline.hset(f"walk:{number}:meta", "way", "up")
    pipeline.rpush("walk:0", *[bytes(64)] * 65_535)
    await pipeline.execute()

    with pytest.raises(
        TooMuchData, match=r"rows of 4194304 bytes are over .* set data\.max_rows to 1024 or less"
    ):
        await read(redis, recipe)


async def test_progress_reaches_every_row(redis: Redis) -> None:
    await load_into(redis, dataset("japanese_vowels"))
    told: list[Event] = []

    recipe = ready_recipe("japanese_vowels")
    await read_table(redis, recipe, Stage("read", told.append))

    advanced = [event for event in told if isinstance(event, StageAdvanced)]
    assert [event.done for event in advanced] == [341, 640]
    assert {event.total for event in advanced} == {640}


async def test_rows_are_read_from_every_node_of_a_cluster(redis_cluster: RedisNodes) -> None:
    async with connect(redis_cluster.url.replace("redis://", "redis+cluster://")) as client:
        await load_into(client, dataset("japanese_vowels"))

        table = await read(client, ready_recipe("japanese_vowels"))

    assert len(table) == 640


async def test_entities_of_feast_are_rows_by_their_names(redis: Redis) -> None:
    await feast_store.written(redis)
    for number, left in ((1001, 1), (1002, 0)):
        await redis.hset(f"driver:{number}:truth", "left", left)
    recipe = Recipe.parse(
        """\
name: drivers
task: classification
data: {source: redis, match: "driver_id:100[12]", target: {key: "driver:{driver_id}:truth", field: left}}
features:
  inputs:
    - name: x
      sources:
        - as: feast
          project: probe_repo
          view: driver_hourly_stats
          entity: {driver_id: int64}
          fields: [conv_rate, {name: tier, categories: [silver, gold]}, {name: embedding, shape: [3]}]
          max_age_seconds: 1
labels: {"0": stays, "1": leaves}
network: [{linear: 4}]
"""
    )

    table = await read(redis, recipe)

    assert table.keys == ("driver_id:1001", "driver_id:1002")
    assert table.targets.tolist() == [1, 0]
    assert table.inputs["x"].x.tolist() == [
        [pytest.approx(0.1), 1.0, 0.5, -0.25, 1.5],
        [0.25, 0.0, 0.5, -0.25, 1.5],
    ]


async def test_sensitive_fields_are_read_beside_and_stay_out_of_the_input(redis: Redis) -> None:
    for number in range(4):
        await put_user(redis, number, sex="fm"[number % 2]) if number else await put_user(redis, number)
    recipe = Recipe.parse(CHURN + "fairness: {fields: [sex]}\n")

    table = await read(redis, recipe)

    assert table.beside["sex"].tolist() == [None, "m", "f", "m"]
    assert table.inputs["x"].x.shape == (4, 4)
    assert table.take(np.array([1, 2])).beside["sex"].tolist() == ["m", "f"]
    assert table.joined_with(table).beside["sex"].tolist() == [None, "m", "f", "m"] * 2


async def test_sensitive_fields_may_lie_in_a_hash_of_their_own(redis: Redis) -> None:
    for number in range(3):
        await put_user(redis, number)
    await redis.hset("user:1:about", "sex", "f")
    await redis.set("user:2:about", "no hash")

    table = await read(redis, Recipe.parse(CHURN + 'fairness: {fields: [sex], key: "user:{id}:about"}\n'))

    assert table.beside["sex"].tolist() == [None, "f", None]


async def test_a_sensitive_field_that_no_row_has_is_an_error(redis: Redis) -> None:
    await put_user(redis, 1)

    with pytest.raises(FieldAbsent, match=r"no row has the field 'sexx' in its hash 'user:\{id\}'"):
        await read(redis, Recipe.parse(CHURN + "fairness: {fields: [sexx]}\n"))


async def test_what_stood_in_for_a_feature_is_counted(redis: Redis) -> None:
    text = CHURN.replace("fields: [age,", "fields: [{name: age, default: 40},")
    for number in range(4):
        await put_user(redis, number)
    await redis.hdel("user:2", "age")

    assert (await read(redis, Recipe.parse(text))).filled == {"age": 1}


async def test_an_error_about_rows_calls_a_private_field_by_its_alias(redis: Redis) -> None:
    await put_user(redis, 1, age="old")

    with pytest.raises(TooManyBadRows) as caught:
        await read(redis, Recipe.parse(CHURN + "private: [age]\n"))

    assert "field 'private 1' of key 'user:1'" in str(caught.value)
    assert "age" not in str(caught.value).replace("message", "")


async def test_rows_say_how_they_are_parted_in_a_field_beside_their_target(redis: Redis) -> None:
    for number, clinic in enumerate(["north", "south", "north"]):
        await put_user(redis, number)
        await redis.hset(f"user:{number}:truth", "clinic", clinic)
    await put_user(redis, 3)
    text = CHURN.replace("labels:", "split: {group: clinic}\nlabels:")

    table = await read(redis, Recipe.parse(text))

    assert table.keys == ("user:0", "user:1", "user:2")
    assert table.marks is not None
    assert table.marks[0] == table.marks[2] != table.marks[1]
    assert table.skipped == {"unmarked_row": 1}


async def test_a_time_in_another_hash_and_a_part_of_the_key_part_rows_too(redis: Redis) -> None:
    for number in range(2):
        await put_user(redis, number, seen=f"2026-11-0{number + 1}")
    await redis.set("user:0:v", np.array([1, 2], "<f8").tobytes())
    timed = CHURN.replace("labels:", 'split: {time: seen, key: "user:{id}"}\nlabels:')
    keyed = CHURN.replace("labels:", "split: {group: id}\nlabels:")

    times = await read(redis, Recipe.parse(timed))
    keys = await read(redis, Recipe.parse(keyed))

    assert times.marks is not None
    assert keys.marks is not None
    assert times.marks[1] - times.marks[0] == 24 * 3600
    assert len(set(keys.marks.tolist())) == 2


async def test_a_hash_that_is_none_is_told_as_the_row_s_fault(redis: Redis) -> None:
    await put_user(redis, 1)
    await put_user(redis, 2)
    await redis.set("user:2:truth2", "no hash")
    await redis.hset("user:1:truth2", "clinic", "north")
    text = CHURN.replace("labels:", 'split: {group: clinic, key: "user:{id}:truth2"}\nlabels:')

    table = await read(redis, Recipe.parse(text))

    assert table.keys == ("user:1",)
    assert table.skipped == {"unmarked_row": 1}


async def test_rows_of_a_file_are_not_looked_for_in_redis(redis: Redis) -> None:
    data = {"source": "csv", "path": "users.csv", "target": {"column": "left"}}
    recipe = Recipe.model_validate(Recipe.parse(CHURN).as_data() | {"data": data})

    with pytest.raises(BadData, match=r"lie in users\.csv, not in Redis"):
        await read(redis, recipe)


async def test_rows_that_a_user_may_not_read_are_refused_by_name(redis: Redis, redis_url: str) -> None:
    for number in range(4):
        await put_user(redis, number)
    rights = ("%R~user:*", "-@all", "+@read", "+@connection")
    await redis.execute_command("ACL", "SETUSER", "learns", "reset", "on", ">pw", *rights)
    learner = Redis.from_url(redis_url, username="learns", password="pw")
    recipe = Recipe.parse(CHURN)
    try:
        table = await read(learner, recipe)
        await redis.execute_command("ACL", "SETUSER", "learns", "resetkeys", "%R~user:?", "%R~user:?:truth")

        with pytest.raises(RedisRefused, match=r"permissions to access .*; ACL LOG of Redis names the key"):
            await read(learner, recipe)
    finally:
        await learner.aclose()
        await redis.execute_command("ACL", "DELUSER", "learns")

    assert len(table) == 4
