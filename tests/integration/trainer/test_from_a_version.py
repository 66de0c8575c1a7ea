"""A training that begins with a version in a real Redis: what comes with the weights, and what is refused or told."""

import asyncio
from typing import Any

import numpy as np
import pytest
import redis as plain_redis

from models.manifest import Manifest
from models.recipe import Recipe
from trainer.errors import BadStart
from trainer.publish import publish
from trainer.run import train

PLACES = """\
name: places
task: regression
data: {source: redis, match: "place:*", target: {key: "place:{id}", as: hash, field: price}}
features:
  inputs:
    - {name: x, sources: [{key: "place:{id}", as: hash, fields: [a, {name: b, private: true}]}]}
network: [standardize, {linear: 8}, tanh]
training: {lr: 0.05, epochs: 40, batch: 32}
"""
HARDLY = PLACES.replace("lr: 0.05, epochs: 40", "lr: 1.0e-9, epochs: 1, from: places")


@pytest.fixture
def places(redis_url: str) -> str:
    """The URL of a Redis that has rows, and the version that learned from them."""
    write(redis_url, 1.0)
    asyncio.run(publish(train(Recipe.parse(PLACES), redis_url).bundle, redis_url))
    return redis_url


def write(url: str, spread: float) -> None:
    random = np.random.default_rng(1)
    with plain_redis.Redis.from_url(url) as client, client.pipeline() as pipeline:
        for number in range(400):
            a, b = spread * random.normal(size=2)
            values: dict[Any, Any] = {
                "a": f"{a:.4f}",
                "b": f"{b:.4f}",
                "price": f"{500 + 30 * a - 20 * b:.3f}",
            }
            pipeline.hset(f"place:{number}", mapping=values)
        pipeline.execute()


def made(url: str, text: str) -> Manifest:
    return train(Recipe.parse(text), url).bundle.manifest


def test_other_rows_are_answered_as_the_version_answers_them(places: str) -> None:
    write(places, 0.3)

    manifest = made(places, HARDLY)

    assert manifest.metrics["r2"] > 0.9
    assert manifest.card["training"]["notes"] == []


def test_rows_parted_otherwise_are_told(places: str) -> None:
    (note,) = made(places, HARDLY.replace("batch: 32", "batch: 32, seed: 3")).card["training"]["notes"]

    assert note.startswith("places version 1 may have learned from ")
    assert "of the 80 rows held out" in note


def test_fields_in_another_order_are_refused_without_a_private_name(places: str) -> None:
    swapped = HARDLY.replace("[a, {name: b, private: true}]", "[{name: b, private: true}, a]")

    with pytest.raises(BadStart, match="for other places: field private 1 is number 2 there, number 1 here"):
        made(places, swapped)


def published(url: str, text: str) -> Manifest:
    return asyncio.run(publish(train(Recipe.parse(text), url).bundle, url))


def test_rows_that_an_ancestor_learned_from_are_told(places: str) -> None:
    other_seed = HARDLY.replace("batch: 32", "batch: 32, seed: 3")
    published(places, other_seed)

    (note,) = made(places, other_seed).card["training"]["notes"]

    assert note.startswith("places version 2 or one that it began with may have learned from ")
    assert note.split()[12] != "0"


def test_an_ancestor_that_is_gone_is_told(places: str) -> None:
    published(places, HARDLY)
    with plain_redis.Redis.from_url(places) as client:
        client.delete("insitu:{places}:v1:manifest")

    (note,) = made(places, HARDLY).card["training"]["notes"]

    assert note.startswith("what places:1 learned from, which places version 2 began with, is not known")


def test_an_alias_to_begin_with_is_kept_as_the_version_that_it_meant(places: str) -> None:
    first = published(places, HARDLY)
    second = published(places, HARDLY.replace("from: places", "from: places:production"))

    assert [(one.recipe or {})["training"]["from"] for one in (first, second)] == ["places:1", "places:2"]
