"""Answers in the hash that was read: beside its features, never without them."""

import asyncio
import json

import numpy as np
import pytest

from models.errors import BadRequest, RedisRefused
from tests.graphs import FLOAT, bundle, dense, f32, numbered, passed
from tests.integration.server.batch.cases import CLASSES, NUMBERS, PART, SEVERAL, VIEW, Rows, nothing
from tests.integration.server.batch.conftest import Place


def fill(place: Place, rows: Rows) -> None:
    for key in rows.keys:
        place.client.hset(key, mapping={"a": 1, "b": 2})


@pytest.mark.parametrize("by_row", [False, True])
async def test_a_number_is_written_as_short_as_gives_it_back(place: Place, by_row: bool) -> None:
    rows = Rows(NUMBERS, by_row=by_row, count=300)
    fill(place, rows)
    place.client.expire("k:7", 1000)
    target = rows.target(place.ask, kind="field", field="score")

    for _ in range(2):
        assert await target.write(PART, rows.scored) == {}
    await target.finish()

    for key, value in zip(rows.keys, rows.output[:, 0], strict=True):
        assert place.client.hgetall(key) == {
            b"a": b"1",
            b"b": b"2",
            b"score": str(value).encode(),
            b"score_version": b"1",
            b"score_time": b"1800000000.25",
        }
    assert 0 < place.client.ttl("k:7") <= 1000


async def test_a_label_comes_with_its_probability(place: Place) -> None:
    rows = Rows(CLASSES)
    fill(place, rows)

    await rows.target(place.ask, kind="field", field="risk").write(PART, rows.scored)

    for key, shares in zip(rows.keys, rows.output, strict=True):
        label, share = place.client.hmget(key, "risk", "risk_probability")
        assert label.decode() == CLASSES.manifest.labels[shares.argmax()]
        assert np.float32(share) == shares.max()


@pytest.mark.parametrize(("model", "outputs"), [(NUMBERS, True), (SEVERAL, False)], ids=["asked", "several"])
async def test_what_is_no_label_and_no_number_is_written_as_json(
    single: Place, model: object, outputs: bool
) -> None:
    rows = Rows(NUMBERS if outputs else SEVERAL, outputs=outputs)
    fill(single, rows)

    await rows.target(single.ask, kind="field", field="said").write(PART, rows.scored)

    answer = json.loads(single.client.hget("k:3", "said"))
    found = answer["outputs"]["y"] if outputs else answer["forecast"]
    assert f32(found).tolist() == rows.output[3].tolist()
    assert not single.client.hexists("k:3", "said_probability")


async def test_a_row_deleted_meanwhile_does_not_come_back(place: Place) -> None:
    rows = Rows(CLASSES)
    fill(place, rows)
    place.client.delete("k:3")
    place.client.delete("k:5")
    place.client.set("k:5", "text")

    refused = await rows.target(place.ask, kind="field", field="risk").write(PART, rows.scored)

    assert {key: error.code for key, error in refused.items()} == {"k:3": "key_missing", "k:5": "wrong_type"}
    assert not place.client.exists("k:3")
    assert place.client.get("k:5") == b"text"
    assert place.client.hget("k:4", "risk") is not None


async def test_a_row_without_one_number_is_refused(single: Place) -> None:
    wide = numbered(bundle(passed(FLOAT, ["rows", "width"]), view=VIEW, task="regression", output="y"))
    rows = Rows(wide, count=2)
    fill(single, rows)

    refused = await rows.target(single.ask, kind="field", field="risk").write(PART, rows.scored)

    assert {key: error.code for key, error in refused.items()} == {
        "k:0": "not_a_number",
        "k:1": "not_a_number",
    }
    assert "which is not a single number" in str(refused["k:0"])
    assert not single.client.hexists("k:0", "risk")


async def test_scripts_that_redis_forgot_are_told_again(place: Place) -> None:
    rows = Rows(NUMBERS)
    fill(place, rows)
    target = rows.target(place.ask, kind="field", field="score")
    await target.write(PART, rows.scored)
    place.client.script_flush()
    place.client.hdel("k:3", "score")

    assert await target.write(PART, rows.scored) == {}

    assert place.client.hexists("k:3", "score")


async def test_parts_are_written_side_by_side(place: Place) -> None:
    parts = [Rows(NUMBERS, count=200, first=200 * number) for number in range(4)]
    for rows in parts:
        fill(place, rows)
    target = parts[0].target(place.ask, kind="field", field="score")

    refused = await asyncio.gather(*[target.write(PART, rows.scored) for rows in parts])

    assert refused == [{}] * 4
    assert all(place.client.hexists(f"k:{number}", "score") for number in range(800))


async def test_an_answer_is_present_if_it_is_of_this_version(place: Place) -> None:
    rows = Rows(NUMBERS, count=5)
    fill(place, rows)
    target = rows.target(place.ask, kind="field", field="score")
    await target.write(PART, rows.scored)
    place.client.hset("k:1", "score_version", "2")
    place.client.delete("k:2")
    place.client.delete("k:3")
    place.client.set("k:3", "text")

    assert await target.present(rows.keys) == [True, False, False, False, True]


async def test_what_redis_refuses_ends_the_job(single: Place) -> None:
    rows = Rows(NUMBERS)
    fill(single, rows)
    single.client.config_set("maxmemory", 1)
    try:
        with pytest.raises(RedisRefused, match="maxmemory"):
            await rows.target(single.ask, kind="field", field="score").write(PART, rows.scored)
    finally:
        single.client.config_set("maxmemory", 0)


TIMED = {"key": "k:{id}", "as": "hash", "fields": ["a", "b"], "time_field": "b_time"}


@pytest.mark.parametrize(
    ("source", "field", "told"),
    [
        (VIEW["inputs"][0]["sources"][0], "a", "would go to field a, which model 'm' reads as a feature"),
        (TIMED, "b", "would go to field b, b_time"),
        ({"key": "k:{id}", "as": "vector", "shape": [2]}, "score", "reads 'k:{id}' as vector first"),
        ({"inline": True, "fields": ["a", "b"]}, "score", "reads no key"),
    ],
)
def test_a_field_of_no_use_is_refused_before_the_first_row(source: dict, field: str, told: str) -> None:
    view = {"inputs": [{"name": "x", "sources": [source]}]}
    model = numbered(bundle(dense(f32([[1], [1]])), view=view, task="regression"))

    with pytest.raises(BadRequest) as caught:
        Rows(model).target(nothing, kind="field", field=field)

    assert told in str(caught.value)
