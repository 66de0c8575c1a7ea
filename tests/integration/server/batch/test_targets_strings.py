"""Each row's answer lies under a key of its own, and never over features."""

import json
from typing import Any

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import BadRequest, RedisRefused, RedisUnavailable
from tests.graphs import bundle, dense, f32, numbered
from tests.integration.server.batch.cases import AT, CLASSES, NUMBERS, PART, SEVERAL, Rows, nothing
from tests.integration.server.batch.conftest import Place
from tests.servers import RedisNodes


@pytest.mark.parametrize("by_row", [False, True])
async def test_an_answer_is_what_the_graph_gives(place: Place, by_row: bool) -> None:
    rows = Rows(NUMBERS, by_row=by_row)

    refused = await rows.target(place.ask, kind="string").write(PART, rows.scored)

    assert refused == {}
    for key, value in zip(rows.keys, rows.output[:, 0], strict=True):
        answer = json.loads(place.client.get(f"score:{key}"))
        assert np.float32(answer.pop("value")) == value
        assert answer == {"model": "m", "version": 1, "time": AT, "key": key}


async def test_classes_have_their_probabilities(place: Place) -> None:
    rows = Rows(CLASSES)

    await rows.target(place.ask, kind="string").write(PART, rows.scored)

    for key, shares in zip(rows.keys, rows.output, strict=True):
        answer = json.loads(place.client.get(f"score:{key}"))
        assert answer["label"] == CLASSES.manifest.labels[shares.argmax()]
        assert f32([*answer["probabilities"].values()]).tolist() == shares.tolist()


async def test_output_tensors_are_written_where_they_are_asked_for(single: Place) -> None:
    rows = Rows(SEVERAL, outputs=True)

    await rows.target(single.ask, kind="string").write(PART, rows.scored)

    assert f32(json.loads(single.client.get("score:k:3"))["outputs"]["y"]).tolist() == (
        rows.output[3].tolist()
    )


async def test_a_part_written_twice_is_there_once(place: Place) -> None:
    rows = Rows(CLASSES, count=700)
    target = rows.target(place.ask, kind="string", key="{{{id}}}:said")
    places = [f"{{{key.removeprefix('k:')}}}:said" for key in rows.keys]

    await target.write(PART, rows.scored)
    first = [place.client.get(name) for name in places]
    await target.write(PART, rows.scored)
    await target.finish()

    assert None not in first
    assert [place.client.get(name) for name in places] == first


async def test_an_answer_expires_when_it_is_to(single: Place) -> None:
    rows = Rows(NUMBERS)

    await rows.target(single.ask, kind="string", ttl_seconds=100).write(PART, rows.scored)

    assert all(0 < single.client.ttl(f"score:{key}") <= 100 for key in rows.keys)


async def test_an_answer_is_present_if_it_is_of_this_version(place: Place) -> None:
    rows = Rows(NUMBERS, count=5)
    target = rows.target(place.ask, kind="string")
    await target.write(PART, rows.scored)
    later = Bundle(NUMBERS.manifest.model_copy(update={"version": 12}), NUMBERS.onnx)
    place.client.delete("score:k:1")
    place.client.delete("score:k:2")
    place.client.hset("score:k:2", "a", 1)

    assert await target.present(rows.keys) == [True, False, False, True, True]
    assert await Rows(later, count=5).target(place.ask, kind="string").present(rows.keys) == [False] * 5


VIEWS = {
    "one": [{"key": "k:{id}", "as": "hash", "fields": ["a", "b"]}],
    "two": [
        {"key": "k:{id}:{day}", "as": "hash", "fields": ["a"]},
        {"key": "u:{id}", "as": "hash", "fields": ["b"]},
    ],
}


def reading(view: str) -> Bundle:
    return numbered(
        bundle(
            dense(f32([[1], [1]])),
            view={"inputs": [{"name": "x", "sources": VIEWS[view]}]},
            task="regression",
        )
    )


@pytest.mark.parametrize(
    ("view", "key", "told"),
    [
        ("one", "score", "is the same for all rows; put {key} in it, such as 'score:{key}'"),
        ("one", "score:{other}", "names 'other', which a row's key does not say; it may name key, id"),
        ("one", "score:{", "is no placeholder"),
        ("one", "{key}", "would go to 'k:0', which 'k:{id}' reads as features; choose another key"),
        ("one", "k:{id}", "reads as features"),
        ("two", "u:{id}", "is the same for rows that differ in day"),
        ("two", "score:{id}{day}", "nothing between"),
        ("two", "k:{id}:{key}", None),
        ("two", "u:{id}x{day}", "which 'u:{id}' reads as features"),
        ("two", "score:{day}:{id}", None),
    ],
)
def test_a_template_of_no_use_is_refused_before_the_first_row(view: str, key: str, told: str | None) -> None:
    if told is None:
        Rows(reading(view)).target(nothing, kind="string", key=key)
        return
    with pytest.raises(BadRequest) as caught:
        Rows(reading(view)).target(nothing, kind="string", key=key)

    assert told in str(caught.value)


async def test_one_row_that_would_go_over_features_ends_the_job(single: Place) -> None:
    sources = [VIEWS["one"][0], {"key": "z{id}y", "as": "vector", "shape": [2]}]
    view = {"inputs": [{"name": "x", "sources": sources}]}
    rows = Rows(NUMBERS, count=1)
    rows.model = Bundle(numbered(bundle(dense(f32(np.ones((4, 1)))), view=view)).manifest, NUMBERS.onnx)
    rows.keys = ["k:7y"]

    with pytest.raises(BadRequest, match=r"answer of 'k:7y' would go to 'z17y', which 'z{id}y' reads"):
        await rows.target(single.ask, kind="string", key="z1{id}").present(rows.keys)


async def test_rows_whose_keys_would_be_one_are_refused(single: Place) -> None:
    rows = Rows(reading("two"), count=3)
    rows.keys = ["k:1:mon", "k:1-2:3", "k:odd"]
    target = rows.target(single.ask, kind="string", key="score:{id}-{day}")

    refused = await target.write(PART, rows.scored)

    assert {key: error.code for key, error in refused.items()} == {
        "k:1-2:3": "instance_incomplete",
        "k:odd": "key_not_allowed",
    }
    assert single.client.keys() == [b"score:1-mon"]
    assert await target.present(rows.keys) == [True, False, False]


async def test_a_redis_without_memory_ends_the_job(redis_server: Any, reader: Any) -> None:
    server = redis_server()
    with server.connect() as client:
        client.config_set("maxmemory", 1)
    rows = Rows(NUMBERS)

    specs: list[dict[str, Any]] = [
        {"kind": "string"},
        {"kind": "hash", "key": "h"},
        {"kind": "stream", "key": "s"},
    ]
    for spec in specs:
        with pytest.raises(RedisRefused, match="maxmemory"):
            await rows.target(reader(server.url).ask, **spec).write(PART, rows.scored)


@pytest.mark.parametrize(
    "spec",
    [{"kind": "string"}, {"kind": "field", "field": "s"}, {"kind": "zset", "key": "z"}],
)
async def test_a_redis_that_is_away_ends_the_job(
    redis_server: Any, reader: Any, spec: dict[str, Any]
) -> None:
    server = redis_server()
    rows = Rows(NUMBERS)
    target = rows.target(reader(server.url).ask, **spec)
    server.kill()

    with pytest.raises(RedisUnavailable):
        await target.write(PART, rows.scored)


async def test_a_node_that_is_away_ends_the_job(redis_cluster: RedisNodes, reader: Any) -> None:
    rows = Rows(NUMBERS)
    target = rows.target(reader(redis_cluster.url.replace("redis://", "redis+cluster://")).ask, kind="string")
    await target.write(PART, rows.scored)
    redis_cluster.nodes[1].kill()

    with pytest.raises(RedisUnavailable):
        await target.write(PART, rows.scored)


async def test_a_user_who_may_not_write_is_told(single: Place, redis_url: str, reader: Any) -> None:
    single.client.execute_command("ACL", "SETUSER", "looker", "on", ">look", "~*", "+@read", "+ping")
    rows = Rows(NUMBERS)
    ask = reader(redis_url.replace("unix://", "unix://looker:look@")).ask

    try:
        with pytest.raises(RedisRefused, match="NOPERM"):
            await rows.target(ask, kind="string").write(PART, rows.scored)
    finally:
        single.client.execute_command("ACL", "DELUSER", "looker")
