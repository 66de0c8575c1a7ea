"""What a draft sees of keys in a real Redis, some of which are of another kind, or go meanwhile."""

import asyncio
from typing import Any

import numpy as np
import pytest

from models.recipe import Recipe
from models.sources import HashSource, StreamSource
from models.store import Client
from trainer.datasets.targets import targets_of
from trainer.drafting.draft import drafted
from trainer.drafting.look_redis import list_of, look_at_redis, stream_of, string_of
from trainer.drafting.recipe_text import recipe_text
from trainer.errors import BadData, UnlabelledRow
from trainer.events import Journal
from trainer.reading.rows import read_rows

ROWS = 20
FORECAST = """\
name: made
task: forecasting
data: {source: redis, match: "row:*", target: {key: "row:{id}:next", as: vector, shape: [2], dtype: float64}}
features:
  inputs:
    - {name: x, sources: [{key: "row:{id}", as: hash, fields: [a]}]}
network: [standardize]
"""


async def fill(redis: Client, value: bytes) -> None:
    for row in range(ROWS):
        await redis.set(f"row:{row}", value)
        await redis.hset(f"row:{row}:meta", "y", str(row % 2))


async def test_a_key_of_another_kind_among_the_rows_is_no_row(redis: Client) -> None:
    await fill(redis, np.ones(4, "<f4").tobytes())
    await redis.hset("row:other", "y", "1")

    looked = await look_at_redis(redis, "row:*", "y", "made")

    assert (looked.rows, looked.every) == (ROWS, True)
    assert [one.shape for one in looked.vectors] == [(4,)]


async def test_a_key_of_another_kind_beside_a_row_says_nothing_of_it(redis: Client) -> None:
    await fill(redis, np.ones(4, "<f4").tobytes())
    await redis.set("row:1:meta", "alien")
    await redis.delete("row:2:meta")
    await redis.rpush("row:2:meta", "alien")

    looked = await look_at_redis(redis, "row:*", "y", "made")

    assert (looked.rows, looked.target.missing, looked.target.values) == (ROWS, 2, {"0": 9, "1": 9})


async def test_pixels_that_read_as_a_signalling_nan_are_pixels(redis: Client) -> None:
    await fill(redis, bytes([1, 0, 128, 127] * 4))

    looked = await look_at_redis(redis, "row:*", "y", "made")

    assert [(one.dtype, one.shape) for one in looked.vectors] == [("uint8", (4, 4))]


async def test_keys_that_go_while_they_are_looked_at_are_left_out(redis: Client) -> None:
    step = np.ones(2, "<f4").tobytes()
    await redis.set("row:1", step)
    await redis.rpush("walk:1", step, step)

    vector = await string_of(redis, ["row:1", "row:2"], "made", "row:{id}")
    steps = await list_of(redis, ["walk:1", "walk:2"], "made", "walk:{id}")

    assert (vector.shape, steps.shape) == ((2,), (2,))
    for look in (string_of, list_of, stream_of):
        with pytest.raises(BadData, match="are empty, or went while they were looked at"):
            await look(redis, ["gone:1"], "made", "gone:{id}")


async def test_streams_are_drafted_with_what_their_entries_hold_and_can_be_trained(
    redis: Client, redis_url: str
) -> None:
    for row in range(ROWS * 2):
        for at in range(3 + row % 4):
            told: dict[Any, Any] = {
                "temp": str(20 + (row * at) % 7 / 4),
                "mode": ("idle", "run")[at % 2],
                "site": "a",
            }
            await redis.xadd(f"row:{row}", told | ({"load": str(at / 2 + row)} if at % 3 else {}))
        await redis.hset(f"row:{row}:meta", "y", ("no", "yes")[row % 2])

    draft = drafted(await look_at_redis(redis, "row:*", "y", "made"))

    recipe = Recipe.parse(recipe_text(draft))
    (one,) = recipe.features.inputs
    (source,) = one.sources
    assert isinstance(source, StreamSource)
    assert (source.key, source.last, one.lengths) == ("row:{id}", 64, "made_length")
    assert [(field.name, field.categories, field.default) for field in source.fields] == [
        ("temp", (), None),
        ("mode", ("idle", "run"), None),
        ("load", (), -1),
    ]
    assert draft.left_out == [("site", "it is always a")]
    table = await asyncio.to_thread(read_rows, recipe, redis_url, Journal())
    assert (len(table), table.skipped) == (ROWS * 2, {})


async def test_a_target_that_is_a_field_of_entries_is_told_with_what_it_could_be(redis: Client) -> None:
    for row in range(ROWS):
        await redis.xadd(f"row:{row}", {"temp": row})

    told = (
        r"'temp' is a field of the entries at 'row:\{id\}'.* a hash beside each stream, 'row:\{id\}:meta', or"
    )
    with pytest.raises(BadData, match=told):
        await look_at_redis(redis, "row:*", "temp", "made")


async def test_streams_of_nothing_to_learn_from_are_told(redis: Client) -> None:
    for row in range(ROWS):
        await redis.xadd(f"row:{row}", {"site": "a"})
        await redis.hset(f"row:{row}:meta", "y", ("no", "yes")[row % 2])

    with pytest.raises(BadData, match="nothing to learn from beside the target \\(site: it is always a\\)"):
        drafted(await look_at_redis(redis, "row:*", "y", "made"))


def test_steps_to_come_that_float32_does_not_reach_are_refused_without_a_warning() -> None:
    targets = targets_of(Recipe.parse(FORECAST))

    with pytest.raises(UnlabelledRow, match="not finite"):
        targets.read("row:1", np.array([1e300, 1]).tobytes())


async def test_texts_that_stand_for_no_value_are_no_gaps_in_hashes(redis: Client, redis_url: str) -> None:
    for row in range(ROWS * 5):
        few, many = "" if row == 3 else str(row / 8), ("nan", "", "2.5", "3.5")[row % 4]
        kind = ("null", "", "car", "van")[row % 4]
        values: dict[Any, Any] = {"few": few, "many": many, "kind": kind}
        await redis.hset(f"row:{row}", mapping=values | {"y": ("no", "yes")[row % 2]})

    draft = drafted(await look_at_redis(redis, "row:*", "y", "made"))

    recipe = Recipe.parse(recipe_text(draft))
    (source,) = recipe.features.inputs[0].sources
    assert isinstance(source, HashSource)
    assert [(one.name, one.categories) for one in source.fields] == [
        ("few", ()),
        ("kind", ("", "car", "null", "van")),
    ]
    assert [name for name, _ in draft.left_out] == ["many"]
    assert draft.left_out[0][1].startswith("50 of 100 rows hold 'nan', '' there, which is no number; delete")
    assert (recipe.data.max_bad_share, draft.bad_note) == (0.01, "1 rows have no number in few")
    table = await asyncio.to_thread(read_rows, recipe, redis_url, Journal())
    assert (len(table), table.skipped) == (99, {"not_a_number": 1})
