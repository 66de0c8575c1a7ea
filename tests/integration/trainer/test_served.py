"""Networks of every kind trained on keys of a real Redis, published, and asked by key through the server's core.

What is answered is held against ONNX Runtime on the rows as the trainer reads them.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis

from models.connecting import connect
from models.layers.columns import COLUMN_LAYERS, Columns
from models.layers.layer import Layer
from models.layers.network import LAYERS, Residual
from models.layers.presets import PRESETS
from models.recipe import Recipe
from server.building import build_engine
from server.inference.asking import Ask
from server.settings import ServerSettings
from trainer.datasets.from_redis import read_table
from trainer.events import Stage, silent
from trainer.exporting.export import answers
from trainer.outcome import TrainResult
from trainer.publish import publish
from trainer.run import train
from trainer.table import Table
from trainer.tasks.task import task_of
from trainer.training import signature_of

ROWS = 60
HEAD = """\
name: made
task: TASK
data: {source: redis, match: "thing:*", TARGET}
features:
  inputs:
"""
TRAINING = "training: {lr: 0.01, epochs: 4, batch: 16, test: 0.3}\n"
HASH = """\
    - name: x
      sources:
        - key: "thing:{id}"
          as: hash
          fields: [{name: age, default: -1}, spend, {name: plan, categories: [free, paid, gold]}]
"""
LIST = """\
    - {name: series, lengths: steps, sources: [{key: "thing:{id}:s", as: list, shape: [2], last: 8}]}
"""
PADDED = """\
    - {name: series, sources: [{key: "thing:{id}:s", as: list, shape: [2], last: 6, pad: left, pad_value: -1}]}
"""
STREAM = """\
    - name: clicks
      lengths: clicks_length
      sources:
        - key: "thing:{id}:e"
          as: stream
          fields: [seconds, {name: kind, categories: [view, buy]}, {name: price, default: 0}]
          last: 8
          max_age_seconds: 60
"""
IMAGE = """\
    - {name: image, dtype: uint8, sources: [{key: "thing:{id}:i", as: vector, dtype: uint8, shape: [6, 6]}]}
"""


def target(written: str) -> str:
    return f'target: {{key: "thing:{{id}}:truth", as: hash, {written}}}'


@dataclass(frozen=True)
class Case:
    """A recipe over the things that lie in Redis, and what one answer looks like."""

    task: str
    target: str
    inputs: str
    rest: str
    keys: set[str] = field(default_factory=set)

    @property
    def recipe(self) -> Recipe:
        return Recipe.parse(
            HEAD.replace("TASK", self.task).replace("TARGET", self.target)
            + self.inputs
            + self.rest
            + TRAINING
        )


PLAN = """\
    - {name: plan, sources: [{key: "thing:{id}", as: hash, fields: [{name: plan, categories: [free, paid, gold]}]}]}
"""
CLASSES = "labels: [low, high]\n"
COLUMNS = """\
network:
  - columns:
      age: [missing, standardize, gelu, silu, swish, mish, softplus, softsign, selu, hard_sigmoid, hard_swish, relu]
      spend: [{clip: {low: 0, high: 100}}, {scale: 10}, log1p, robust, min_max, hard_tanh, relu6, tanh, sigmoid, none]
      plan: one_hot
"""
ACTIVATIONS = (
    "log1p", "relu6", "gelu", "selu", "silu", "swish", "mish", "sigmoid", "softplus", "softsign", "hard_sigmoid",
    "hard_swish", "hard_tanh", "none", "{leaky_relu: 0.1}", "{elu: 1}", "prelu", "{clip: {low: -9, high: 9}}",
    "softmax", "log_softmax",
)  # fmt: skip
ACTIVATED = ", {linear: 8}, ".join(ACTIVATIONS)
CASES = {
    "a vector, a sequence and an image": Case(
        "classification",
        target("field: kind"),
        HASH + LIST + IMAGE,
        CLASSES
        + "network:\n  branches:\n    x: [columns, {linear: 8}, relu]\n    series: [standardize, {gru: 8}]\n"
        "    image: [{scale: 255}, {conv2d: 4}, relu, flatten]\n  then: [{linear: 8}, relu]\n",
        {"label", "probabilities"},
    ),
    "columns with missing values": Case(
        "classification",
        target("field: kind"),
        HASH,
        CLASSES
        + "network: [columns: {age: [missing, quantile], spend: [log1p, robust], plan: {embedding: 2}}, {linear: 8}]\n",
        {"label", "probabilities"},
    ),
    "a preset for each input": Case(
        "classification",
        target("field: kind"),
        HASH + PADDED + IMAGE,
        CLASSES
        + "network: {branches: {x: {preset: deep_mlp, width: 8, depth: 1}, series: {preset: tcn, width: 8, depth: 2}, "
        "image: {preset: cnn, width: 4}}}\n",
        {"label", "probabilities"},
    ),
    "attention over steps": Case(
        "classification",
        target("field: kind"),
        LIST,
        CLASSES + "network: [standardize, {attention: {heads: 2, positions: true}}, global_avg_pool]\n",
        {"label", "probabilities"},
    ),
    "every scaling of a column": Case(
        "classification",
        target("field: kind"),
        HASH,
        CLASSES + COLUMNS + "  - whiten\n  - {linear: 4}\n",
        {"label", "probabilities"},
    ),
    "every activation": Case(
        "regression",
        target("field: cost"),
        HASH,
        "network: [columns, robust, quantile, min_max, {maxout: 8}, {dropout: 0.1}, " + ACTIVATED + "]\n",
        {"value"},
    ),
    "every pool, normalisation and dropout": Case(
        "classification",
        target("field: kind"),
        LIST + IMAGE + PLAN,
        CLASSES
        + """\
network:
  branches:
    series:
      - standardize
      - {conv1d: 4}
      - layer_norm
      - {dropout1d: 0.1}
      - {adaptive_avg_pool: 3}
      - {lstm: {hidden: 4, output: all}}
      - last_step
    image:
      - {reshape: [1, 6, 6]}
      - {scale: 255}
      - {conv2d: {channels: 4, kernel: 3, padding: same}}
      - {group_norm: 2}
      - {dropout2d: 0.1}
      - {residual: [{conv2d: {channels: 4, kernel: 3, padding: same}}, batch_norm, {leaky_relu: 0.1}]}
      - {max_pool: 2}
      - {avg_pool: {size: 2, stride: 1}}
      - {adaptive_max_pool: 1}
      - flatten
    plan: [{embedding: {count: 3, size: 2}}, flatten]
""",
        {"label", "probabilities"},
    ),
    "pools over all steps": Case(
        "classification",
        target("field: kind"),
        LIST,
        CLASSES + "network: [standardize, {rnn: {hidden: 4, output: all}}, {avg_pool: 2}, global_max_pool]\n",
        {"label", "probabilities"},
    ),
    "labels in one field": Case(
        "multilabel",
        target("field: tags, separator: ','"),
        HASH,
        "labels: [a, b, c]\nnetwork: {preset: mlp, width: 8}\n",
        {"labels", "probabilities"},
    ),
    "labels in fields of their own": Case(
        "multilabel",
        target("fields: [young, rich]"),
        HASH,
        "network: {preset: mlp, width: 8}\n",
        {"labels", "probabilities"},
    ),
    "several values": Case(
        "regression",
        target("fields: [cost, hours]"),
        HASH,
        "network: {preset: mlp, width: 8}\n",
        {"values"},
    ),
    "a value with quantiles": Case(
        "regression",
        target("field: cost"),
        HASH,
        "quantiles: [0.1, 0.5, 0.9]\nnetwork: {preset: mlp, width: 8}\n",
        {"value", "quantiles"},
    ),
    "the end of a series": Case(
        "forecasting",
        "target: {as: following, steps: 3, windows: 4, every: 2, channels: [0]}",
        LIST,
        "network: {preset: gru, width: 8}\n",
        {"forecast"},
    ),
    "the end of a padded series beside a vector": Case(
        "forecasting",
        "target: {as: following, steps: 2}",
        HASH + PADDED,
        "network: {branches: {x: {preset: mlp, width: 8}, series: {preset: rnn, width: 8}}}\n",
        {"forecast"},
    ),
    "entries of a stream": Case(
        "classification",
        target("field: kind"),
        STREAM,
        CLASSES + "network: {preset: gru, width: 8}\n",
        {"label", "probabilities"},
    ),
    "the end of a stream": Case(
        "forecasting",
        "target: {as: following, steps: 2, channels: [0]}",
        STREAM,
        "network: {preset: gru, width: 8}\n",
        {"forecast"},
    ),
    "steps kept as a vector": Case(
        "forecasting",
        'target: {key: "thing:{id}:next", as: vector, shape: [4, 2]}',
        LIST,
        "network: {preset: lstm, width: 8}\n",
        {"forecast"},
    ),
    "anomalies of a vector": Case(
        "anomaly",
        "max_rows: 1000",
        HASH,
        "threshold: 0.9\nnetwork: [columns, {linear: 3}, tanh]\n",
        {"anomaly_score", "anomaly"},
    ),
    "anomalies of a series": Case(
        "anomaly",
        "max_rows: 1000",
        LIST,
        "network: [standardize, {gru: {hidden: 4, output: all}}]\n",
        {"anomaly_score", "anomaly"},
    ),
}


def every(written: Iterable[Layer]) -> Iterator[Layer]:
    for layer in written:
        yield layer
        if isinstance(layer, Residual):
            yield from every(layer.layers)
        if isinstance(layer, Columns):
            yield from every(
                one for treatment in (*layer.fields.values(), layer.rest or ()) for one in treatment
            )


def test_every_layer_and_preset_has_a_case() -> None:
    recipes = [case.recipe for case in CASES.values()]
    networks = [layers for one in recipes for layers in (*one.branches.values(), one.then)]

    used = {layer.layer for network in networks for layer in every(network)}

    assert set(LAYERS) | set(COLUMN_LAYERS) == used
    assert all(f"preset: {name}" in str([case.rest for case in CASES.values()]) for name in PRESETS)


async def fill(url: str) -> None:
    """Things with fields, a series, an image, and every kind of truth."""
    random = np.random.default_rng(3)
    async with Redis.from_url(url) as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(ROWS):
            age, spend = int(random.integers(18, 80)), float(np.exp(random.normal(3)))
            facts: dict[Any, Any] = {"spend": str(spend), "plan": ["free", "paid", "gold"][number % 3]}
            pipeline.hset(f"thing:{number}", mapping=facts if number % 5 == 0 else {**facts, "age": str(age)})
            truth: dict[Any, Any] = {
                "kind": "high" if number % 2 else "low",
                "tags": ",".join("abc"[: number % 4]),
                "young": str(int(age < 40)),
                "rich": "true" if spend > 20 else "false",
                "cost": str(1000 + 3 * spend),
                "hours": str(age / 100),
            }
            pipeline.hset(f"thing:{number}:truth", mapping=truth)
            steps = np.cumsum(random.normal(size=(int(random.integers(5, 16)), 2)), 0).astype("<f4")
            pipeline.rpush(f"thing:{number}:s", *[step.tobytes() for step in steps])
            for at, (seconds, price) in enumerate(steps.tolist()):
                clicked: dict[Any, Any] = {"kind": "buy" if at % 3 else "view", "seconds": repr(seconds)}
                pipeline.xadd(f"thing:{number}:e", clicked | ({"price": repr(price)} if at % 3 else {}))
            pipeline.set(f"thing:{number}:i", random.integers(0, 256, 36).astype(np.uint8).tobytes())
            pipeline.set(f"thing:{number}:next", random.normal(size=8).astype("<f4").tobytes())
        await pipeline.execute()


async def served(url: str, keys: list[str]) -> list[dict[str, Any]]:
    engine = build_engine(ServerSettings(redis_url=url))
    await engine.start()
    try:
        answer = await engine.predictor.predict(Ask("made", keys=keys))
        return [{**row.body, **({"error": str(row.error)} if row.error else {})} for row in answer.rows]
    finally:
        await engine.stop()


async def rows_now(url: str, recipe: Recipe) -> Table:
    """The rows as they are served: all of each series is shown, nothing is held back of it."""
    view = recipe.features
    whole = recipe.model_copy(
        update={"task": "anomaly", "data": recipe.data.model_copy(update={"target": None}), "features": view}
    )
    async with connect(url) as client:
        return await read_table(client, whole, Stage("read", silent))


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def numbers(body: dict[str, Any]) -> list[float]:
    """Every number of an answer, in the order of the graph's output."""
    if "quantiles" in body:
        return list(body["quantiles"].values())
    if "probabilities" in body:
        return list(body["probabilities"].values())
    for word, read in READ.items():
        if word in body:
            return read(body[word])
    raise AssertionError(body)


READ: dict[str, Callable[[Any], list[float]]] = {
    "value": lambda value: [value],
    "values": lambda values: list(values.values()),
    "forecast": lambda steps: np.array(steps).reshape(-1).tolist(),
    "anomaly_score": lambda score: [score],
}


def test_what_is_trained_is_served_by_key_as_onnx_runtime_answers(redis_url: str, case: Case) -> None:
    asyncio.run(fill(redis_url))
    recipe = case.recipe

    result: TrainResult = train(recipe, redis_url)
    asyncio.run(publish(result.bundle, redis_url))

    table = asyncio.run(rows_now(redis_url, recipe))
    wanted = answers(result.bundle.onnx, signature_of(recipe, task_of(recipe)), table)
    bodies = asyncio.run(served(redis_url, list(table.keys)))
    assert len(table) == ROWS
    assert set(bodies[0]) == case.keys
    np.testing.assert_allclose(
        [numbers(one) for one in bodies], wanted.reshape(ROWS, -1), rtol=1e-4, atol=1e-5
    )
    assert result.bundle.manifest.card["parity"]["largest_difference"] < 1e-4


def test_the_newest_windows_of_one_long_series_are_held_out(redis_url: str) -> None:
    text = CASES["the end of a series"]
    recipe = replace(text, target=text.target.replace("windows: 4", "windows: 50")).recipe

    async def put() -> Table:
        async with Redis.from_url(redis_url) as client:
            steps = np.arange(200, dtype="<f4").repeat(2).reshape(200, 2)
            await client.rpush("thing:1:s", *[step.tobytes() for step in steps])
            return await read_table(client, recipe, Stage("read", silent))

    table = asyncio.run(put())

    assert table.keys == ("thing:1:s",) * 50
    assert table.targets[0].tolist() == [[197], [198], [199]]
    assert table.targets[1].tolist() == [[195], [196], [197]]
    assert table.inputs["series"].x[0, :, 0].tolist() == list(range(189, 197))


def test_a_series_too_short_to_forecast_is_counted_and_left_out(redis_url: str) -> None:
    asyncio.run(fill(redis_url))
    recipe = CASES["the end of a series"].recipe
    allowed = recipe.model_copy(update={"data": recipe.data.model_copy(update={"max_bad_share": 0.5})})

    async def read() -> Table:
        async with Redis.from_url(redis_url) as client:
            await client.ltrim("thing:7:s", 0, 2)
            return await read_table(client, allowed, Stage("read", silent))

    assert asyncio.run(read()).skipped == {"unlabelled_row": 1}


@pytest.mark.parametrize(
    ("name", "command", "skipped"),
    [
        ("steps kept as a vector", ("SET", "thing:7:next", b"1234"), "unlabelled_row"),
        (
            "steps kept as a vector",
            ("SET", "thing:7:next", np.full(8, np.nan, "<f4").tobytes()),
            "unlabelled_row",
        ),
        ("steps kept as a vector", ("DEL", "thing:7:next"), "unlabelled_row"),
        ("labels in one field", ("HSET", "thing:7:truth", "tags", "a,x"), "unlabelled_row"),
        ("labels in fields of their own", ("HSET", "thing:7:truth", "rich", "perhaps"), "unlabelled_row"),
        ("several values", ("HSET", "thing:7:truth", "cost", "1e39"), "unlabelled_row"),
        ("several values", ("HDEL", "thing:7:truth", "hours"), "unlabelled_row"),
        ("several values", ("SET", "thing:7:truth", "no hash"), "unlabelled_row"),
    ],
)
def test_a_truth_that_is_none_is_counted_and_left_out(
    redis_url: str, name: str, command: tuple[Any, ...], skipped: str
) -> None:
    asyncio.run(fill(redis_url))
    recipe = CASES[name].recipe
    allowed = recipe.model_copy(update={"data": recipe.data.model_copy(update={"max_bad_share": 0.5})})

    async def read() -> Table:
        async with Redis.from_url(redis_url) as client:
            await client.execute_command(*command)
            return await read_table(client, allowed, Stage("read", silent))

    assert asyncio.run(read()).skipped == {skipped: 1}
