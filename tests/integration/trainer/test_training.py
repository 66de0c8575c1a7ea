"""The ready recipes whose data are shipped, from keys in a real Redis to a version that answers as it was judged."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis

from models.assembly import Plan
from models.connecting import connect
from models.errors import BadName, RedisUnavailable
from models.recipe import ready_recipe
from models.store import ModelStore
from trainer.datasets.catalogue import dataset
from trainer.datasets.loading import load_into
from trainer.events import Event, StageEnded
from trainer.exporting.export import session
from trainer.publish import publish
from trainer.run import train

AIMED_AT = {"breast_cancer": 0.97, "digits": 0.98, "japanese_vowels": 0.97, "wine": 0.95}


async def load(url: str, name: str) -> None:
    async with connect(url) as client:
        await load_into(client, dataset(name))


async def predict(redis: Redis, name: str, keys: list[str]) -> list[str]:
    """What the stored version says of keys, asked of ONNX Runtime directly."""
    store = ModelStore(redis)
    bundle = await store.load(name, await store.resolve(name))
    assert bundle.manifest.features is not None
    plan = Plan(bundle.manifest.features)
    prepared = plan.prepare_keys(keys)
    replies: list[Any] = [await redis.execute_command(*command) for command in prepared.commands]
    (group,) = plan.assemble(prepared, replies).groups
    probabilities = session(bundle.onnx).run([bundle.manifest.output], group.feeds)[0]
    return [bundle.manifest.labels[number] for number in np.argmax(probabilities, 1)]


@pytest.mark.parametrize("name", sorted(AIMED_AT))
def test_a_ready_recipe_beats_its_baseline_and_is_served_as_it_was_judged(redis_url: str, name: str) -> None:
    told: list[Event] = []
    asyncio.run(load(redis_url, name))

    result = train(ready_recipe(name), redis_url, told.append)
    manifest = asyncio.run(publish(result.bundle, redis_url))

    async def answers() -> list[str]:
        async with Redis.from_url(redis_url) as client:
            return await predict(client, name, list(result.outcome.held_out.keys))

    right = np.mean(np.array(asyncio.run(answers())) == np.array(result.outcome.held_out.targets))
    assert manifest.version == 1
    assert manifest.metrics["accuracy"] == pytest.approx(right, abs=1e-6)
    assert manifest.metrics["accuracy"] >= AIMED_AT[name]
    assert manifest.metrics["accuracy"] >= manifest.metrics["baseline_accuracy"]
    assert manifest.card["data"]["rows"]["skipped"] == {}
    assert [event.stage for event in told if isinstance(event, StageEnded)] == [
        "read",
        "fit",
        "export",
        "evaluate",
        "baseline",
        "judge",
        "attribute",
    ]
    assert sum(result.outcome.seconds.values()) < 90


def test_a_regression_beats_its_baseline(redis_url: str) -> None:
    asyncio.run(load(redis_url, "diabetes"))

    metrics = train(ready_recipe("diabetes"), redis_url).bundle.manifest.metrics

    assert metrics["r2"] > 0.4
    assert metrics["rmse"] < metrics["baseline_rmse"]


def test_what_the_page_on_recipes_shows_runs(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(put_customers(redis_url))
    page = (Path(__file__).parents[3] / "docs" / "recipes.md").read_text(encoding="utf-8")
    recipe, program = (page.split(f"```{language}\n")[1].split("```")[0] for language in ("yaml", "python"))
    (tmp_path / "churn.yaml").write_text(recipe)
    monkeypatch.chdir(tmp_path)

    exec(program.replace("redis://127.0.0.1:6379", redis_url), {})  # noqa: S102  # the page's own program

    assert "'accuracy': " in capsys.readouterr().out
    assert (tmp_path / "churn.png").stat().st_size > 5000


async def put_customers(url: str) -> None:
    """Customers as the page has them; the ones who spend little leave."""
    random = np.random.default_rng(0)
    async with Redis.from_url(url) as client:
        pipeline = client.pipeline(transaction=False)
        for number, spend in enumerate(random.uniform(0, 100, 300)):
            plan = ("free", "paid")[number % 2]
            pipeline.hset(
                f"customer:{number}", mapping={"age": number % 80, "spend": float(spend), "plan": plan}
            )
            pipeline.hset(f"customer:{number}:truth", "left", str(int(spend < 30)))
        await pipeline.execute()


def test_a_redis_that_is_away_is_named_before_any_work() -> None:
    with pytest.raises(RedisUnavailable):
        train(ready_recipe("digits"), "redis://127.0.0.1:1")


def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(BadName, match="Redis URL"):
        train(ready_recipe("digits"), "localhost")
