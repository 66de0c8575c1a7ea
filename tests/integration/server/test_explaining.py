"""Explanations of a running engine, against what they must be exactly."""

import asyncio
import time
from collections.abc import Callable, Mapping
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto
from redis.asyncio import Redis

from models.answers import AnswerSpec
from models.bundle import Bundle
from models.decoding import KeyRefused
from models.errors import BadFeatureView, BadRequest, KeyMissing, ModelNotFound
from models.recipe import Recipe, ready_recipe
from models.store import ModelStore
from server.inference.asking import Ask
from server.inference.engine import Engine
from server.inference.errors import (
    BadInput,
    DeadlineExceeded,
    NotExplainable,
    Overloaded,
    RunFailed,
    TooFewSamples,
    TooManyRows,
)
from server.inference.explaining.asking import ROWS_MOST, Wish
from server.inference.explaining.explainer import UNDER_WAY_MOST
from tests.graphs import (
    INT64,
    TEXT,
    bundle,
    dense,
    last_step,
    looked_up,
    looping,
    model,
    node,
    passed,
    running_total,
    scaled,
    value,
)
from tests.integration.server.conftest import StartEngine
from tests.servers import RedisServer
from tests.unit.trainer.tables import LINE, line
from tests.unit.trainer.test_branches import MIXED, things
from trainer.datasets.catalogue import dataset
from trainer.datasets.loading import load_into
from trainer.events import Journal
from trainer.reading.rows import read_rows
from trainer.run import train_on

WEIGHTS = np.array([[3.0], [-2.0], [0.0], [0.5]], np.float32)
FIELDS = ("a", "b", "c", "d")
HASH = {"key": "row:{id}", "as": "hash", "fields": list(FIELDS)}
VIEW = {"inputs": [{"name": "x", "sources": [HASH]}]}
CUBIC_VIEW = {"inputs": [{"name": "x", "sources": [{**HASH, "fields": ["a", "b", "c"]}]}]}
TWO_INPUTS = {
    "inputs": [
        {"name": "person", "sources": [{"key": "row:{id}", "as": "hash", "fields": ["a", "b"]}]},
        {"name": "house", "sources": [{"key": "house:{id}", "as": "hash", "fields": ["a", "rooms"]}]},
    ]
}
TYPICAL = {"reference": {"of": "medians", "inputs": {"x": [[1.0, 1.0, 1.0, 2.0]]}}}


def linear(card: dict[str, Any] | None = None) -> Bundle:
    """y = 3a - 2b + 0c + 0.5d."""
    made = bundle(dense(WEIGHTS), "linear", VIEW, task="regression")
    return Bundle(made.manifest.model_copy(update={"card": TYPICAL if card is None else card}), made.onnx)


def cubic() -> Bundle:
    """y = a * b * c + a, of three fields."""
    nodes = [
        node("Split", "x", "a b c", axis=1),
        node("Mul", "a b", "ab"),
        node("Mul", "ab c", "abc"),
        node("Add", "abc a", "y"),
    ]
    graph = model(nodes, [value("x", ["rows", 3])], [value("y", ["rows", 1])])
    return bundle(graph, "cubic", CUBIC_VIEW, task="regression")


def two_inputs(*nodes: NodeProto, **weights: Any) -> Bundle:
    """y of the inputs person (a, b) and house (a, rooms), each of which is asked by its own key."""
    inputs = [value(name, ["rows", 2]) for name in ("person", "house")]
    graph = model(nodes, inputs, [value("y", ["rows", 1])], weights)
    return bundle(graph, "two", TWO_INPUTS, task="regression")


def wide(features: int) -> Bundle:
    """y = (sum of x) ** 3: every feature depends on every other."""
    nodes = [node("MatMul", "x w", "s"), node("Mul", "s s", "q"), node("Mul", "q s", "y")]
    weights = {"w": np.full((features, 1), 1 / features, np.float32)}
    return bundle(model(nodes, [value("x", ["rows", features])], [value("y", ["rows", 1])], weights), "wide")


async def published(store: ModelStore, redis: Redis, *bundles: Bundle) -> None:
    for one in bundles:
        await store.publish(one)
    await redis.hset("row:1", mapping={"a": 5, "b": 2, "c": 9, "d": 2})
    await redis.hset("row:2", mapping={"a": 1, "b": 1, "c": 1, "d": 2})


def contributions(body: Mapping[str, Any]) -> dict[str, float]:
    return {one["feature"]: one["contribution"] for one in body["contributions"]}


async def one(engine: Engine, ask: Ask, wish: Wish | None = None) -> Mapping[str, Any]:
    """The explanation of the only row."""
    (row,) = (await engine.explainer.explain(ask, wish or Wish())).rows
    if row.error is not None:
        raise row.error
    return row.body


async def test_a_linear_model_is_explained_by_its_weights(
    engine: StartEngine, store: ModelStore, redis: Redis
) -> None:
    await published(store, redis, linear())

    body = await one(await engine(), Ask("linear", keys=["row:1"]))

    assert contributions(body) == {"a": 12.0, "b": -2.0, "c": 0.0, "d": 0.0}
    assert [told["feature"] for told in body["contributions"]] == ["a", "b", "c", "d"]
    assert (body["prediction"], body["baseline"]) == (12.0, 2.0)
    assert (body["sum_error"], body["sampling_error"], body["method"]) == (0, 0, "exact")
    assert body["reference"] == "medians"
    assert body["contributions"][0] == {
        "feature": "a",
        "value": 5.0,
        "reference": 1.0,
        "contribution": 12.0,
        "error": 0.0,
    }


async def test_a_row_like_the_reference_has_nothing_to_explain(
    engine: StartEngine, store: ModelStore, redis: Redis
) -> None:
    await published(store, redis, linear())

    body = await one(await engine(), Ask("linear", keys=["row:2"]))

    assert body["prediction"] == body["baseline"] == 2.0
    assert set(contributions(body).values()) == {0.0}
    assert body["runs"] == 1


async def test_many_features_of_a_linear_model_are_explained_by_their_weights(
    engine: StartEngine, store: ModelStore, redis: Redis
) -> None:
    random = np.random.default_rng(0)
    weights, x = random.normal(size=(40, 1)).astype(np.float32), random.normal(size=40).astype(np.float32)
    await store.publish(bundle(dense(weights), "many"))

    body = await one(await engine(), Ask("many", inputs={"x": x[None].tolist()}))

    found = contributions(body)
    assert body["method"] == "sampled"
    assert [found[f"x[{at}]"] for at in range(40)] == pytest.approx(weights[:, 0] * x, abs=1e-5)
    assert body["sampling_error"] < 1e-5
    assert body["sum_error"] < 1e-9


async def test_what_features_do_together_is_shared_among_them(
    engine: StartEngine, store: ModelStore, redis: Redis
) -> None:
    await published(store, redis, cubic())

    body = await one(await engine(), Ask("cubic", keys=["row:1"]))

    assert contributions(body) == pytest.approx({"a": 30 + 5, "b": 30, "c": 30}, abs=1e-4)


async def test_an_interaction_is_what_all_orders_say_on_the_mean(
    engine: StartEngine, store: ModelStore, redis: Redis
) -> None:
    """Against Shapley's definition."""
    await published(store, redis, cubic())
    x, base = np.array([5.0, 2.0, 9.0]), np.array([[1.0, 2.0, -1.0], [0.0, 3.0, 2.0]])
    expected = np.mean([on_the_mean(of, x, row) for row in base], axis=0)

    body = await one(await engine(), Ask("cubic", keys=["row:1"]), Wish(reference={"x": base.tolist()}))

    found = contributions(body)
    assert [found[name] for name in "abc"] == pytest.approx(expected, abs=1e-4)
    assert body["baseline"] == pytest.approx(np.mean([of(row) for row in base]))
    assert (body["reference"], body["reference_rows"]) == ("the request", 2)
    assert {told["reference"] for told in body["contributions"]} == {None}


def on_the_mean(value: Callable[[Any], float], x: Any, base: Any) -> Any:
    """What each feature adds, over every order in which features can take the place of those of the base."""
    orders = [*permutations(range(len(x)))]
    added = np.zeros(len(x))
    for order in orders:
        now, before = base.copy(), value(base)
        for feature in order:
            now[feature] = x[feature]
            added[feature] += value(now) - before
            before = value(now)
    return added / len(orders)


def of(row: Any) -> float:
    return float(row[0] * row[1] * row[2] + row[0])


async def test_a_linear_model_over_two_inputs_is_explained_by_the_weights_of_both(
    engine: StartEngine, store: ModelStore, redis: Redis
) -> None:
    made = two_inputs(
        node("MatMul", "person w", "p"),
        node("MatMul", "house v", "h"),
        node("Add", "p h", "y"),
        w=np.array([[3.0], [-2.0]], np.float32),
        v=np.array([[10.0], [0.5]], np.float32),
    )
    typical = {"reference": {"of": "medians", "inputs": {"person": [[1.0, 1.0]], "house": [[4.0, 2.0]]}}}
    await published(store, redis, Bundle(made.manifest.model_copy(update={"card": typical}), made.onnx))
    await redis.hset("house:1", mapping={"a": 5, "rooms": 6})

    body = await one(await engine(), Ask("two", keys=["row:1"]))

    assert contributions(body) == pytest.approx(
        {
            "a (row:{id})": 3.0 * (5 - 1),
            "b": -2.0 * (2 - 1),
            "a (house:{id})": 10.0 * (5 - 4),
            "rooms": 0.5 * (6 - 2),
        }
    )
    assert (body["prediction"], body["baseline"]) == (64.0, 42.0)
    assert body["sum_error"] < 1e-9
    assert (body["sampling_error"], body["method"]) == (0, "exact")
    assert {told["feature"]: told["reference"] for told in body["contributions"]}["rooms"] == 2.0


async def test_what_features_of_two_inputs_do_together_is_what_all_orders_say_on_the_mean(
    engine: StartEngine, store: ModelStore, redis: Redis
) -> None:
    """y = a * b * (a of the house) + rooms * a, against Shapley's definition."""
    await published(
        store,
        redis,
        two_inputs(
            node("Split", "person", "a b", axis=1),
            node("Split", "house", "c d", axis=1),
            node("Mul", "a b", "ab"),
            node("Mul", "ab c", "abc"),
            node("Mul", "d a", "da"),
            node("Add", "abc da", "y"),
        ),
    )
    await redis.hset("house:1", mapping={"a": 9, "rooms": 3})
    x, base = np.array([5.0, 2.0, 9.0, 3.0]), np.array([1.0, 2.5, -1.0, 2.0])
    expected = on_the_mean(lambda row: float(row[0] * row[1] * row[2] + row[3] * row[0]), x, base)
    reference = {"person": [base[:2].tolist()], "house": [base[2:].tolist()]}
    running = await engine()

    body = await one(running, Ask("two", keys=["row:1"]), Wish(reference=reference))
    half = await one(running, Ask("two", keys=["row:1"]), Wish(reference={"person": [[0.0, 0.0]]}))

    found = contributions(body)
    names = ("a (row:{id})", "b", "a (house:{id})", "rooms")
    assert [found[name] for name in names] == pytest.approx(expected, abs=1e-4)
    assert sum(found.values()) == pytest.approx(body["prediction"] - body["baseline"], abs=1e-9)
    assert {told["feature"]: told["reference"] for told in half["contributions"]}["rooms"] == 0.0


async def test_a_row_that_one_of_two_inputs_has_not_is_its_own_error(
    engine: StartEngine, store: ModelStore, redis: Redis
) -> None:
    await published(
        store,
        redis,
        two_inputs(
            node("Add", "person house", "s"), node("MatMul", "s w", "y"), w=np.ones((2, 1), np.float32)
        ),
    )

    with pytest.raises(KeyMissing, match="house:2"):
        await one(await engine(), Ask("two", keys=["row:2"]))


async def test_a_vector_a_sequence_and_an_image_are_explained_in_one_model(
    engine: StartEngine, store: ModelStore, redis: Redis
) -> None:
    trained = await asyncio.to_thread(
        train_on, Recipe.parse(MIXED.replace("epochs: 25", "epochs: 3")), things()
    )
    await store.publish(trained.bundle)
    await redis.hset("thing:1", mapping={"a": 4.5, "b": 3})
    await redis.rpush("thing:1:s", *[np.array([at, 1, 2], "<f4").tobytes() for at in range(4)])
    await redis.set("thing:1:i", bytes(range(36)))
    running = await engine()

    body = await one(running, Ask("mixed", keys=["thing:1"]))
    predicted = (await running.predictor.predict(Ask("mixed", keys=["thing:1"]))).rows[0].body

    found = contributions(body)
    assert body["prediction"] == pytest.approx(predicted["probabilities"][body["label"]], abs=1e-6)
    assert sum(found.values()) == pytest.approx(body["prediction"] - body["baseline"], abs=1e-9)
    assert body["sum_error"] < 1e-9
    assert len(found) == 2 + 4 + 36
    assert {"a", "b", "thing:{id}:s[3]", "thing:{id}:i[5,5]"} < set(found)
    assert body["reference"].startswith("median of ")


async def test_more_samples_make_the_stated_error_smaller_and_the_sum_is_kept(
    engine: StartEngine, store: ModelStore
) -> None:
    x = np.random.default_rng(1).normal(1, 3, 30)
    await store.publish(wide(30))
    running = await engine()

    few, many = [
        await one(running, Ask("wide", inputs={"x": [x.tolist()]}), Wish(samples=samples))
        for samples in (200, 16_000)
    ]

    assert few["runs"] <= 201
    assert many["sampling_error"] < few["sampling_error"] / 4
    for body in (few, many):
        total = sum(contributions(body).values())
        assert abs(total - (body["prediction"] - body["baseline"])) == pytest.approx(
            body["sum_error"], abs=1e-12
        )
        assert body["sum_error"] < 1e-9
    apart = [abs(contributions(few)[name] - one_) for name, one_ in contributions(many).items()]
    errors = {told["feature"]: told["error"] for told in few["contributions"]}
    assert np.mean([gap <= error for gap, error in zip(apart, errors.values(), strict=True)]) > 0.5


async def test_the_same_request_has_the_same_answer(engine: StartEngine, store: ModelStore) -> None:
    x = np.random.default_rng(1).normal(1, 3, (1, 30)).tolist()
    await store.publish(wide(30))
    running = await engine()

    first, again, other = [
        contributions(await one(running, Ask("wide", inputs={"x": x}), Wish(samples=200, seed=seed)))
        for seed in (7, 7, 8)
    ]

    assert first == pytest.approx(again, rel=1e-5)
    assert first != pytest.approx(other, rel=1e-5)


async def test_a_trained_model_adds_up_to_what_it_predicts(
    engine: StartEngine, store: ModelStore, redis: Redis, redis_url: str
) -> None:
    await load_into(redis, dataset("breast_cancer"))
    recipe = ready_recipe("breast_cancer")
    short = recipe.model_copy(update={"training": recipe.training.model_copy(update={"epochs": 15})})
    table = await asyncio.to_thread(read_rows, short, redis_url, Journal())
    trained = await asyncio.to_thread(train_on, short, table)
    await store.publish(trained.bundle)
    running = await engine()

    body = await one(running, Ask("breast_cancer", keys=["patient:17"]))
    predicted = await running.predictor.predict(Ask("breast_cancer", keys=["patient:17"]))

    row = predicted.rows[0].body
    assert body["label"] == row["label"]
    assert body["prediction"] == pytest.approx(row["probabilities"][row["label"]], abs=1e-6)
    assert sum(contributions(body).values()) == pytest.approx(body["prediction"] - body["baseline"], abs=1e-9)
    assert body["sum_error"] < 1e-9
    assert len(body["contributions"]) == 30
    assert 0 < body["sampling_error"] < 0.1
    assert body["reference"].startswith("median of ")
    await sampled_is_near_exact(
        running, trained.bundle, {one_["feature"]: one_["value"] for one_ in body["contributions"]}
    )


async def sampled_is_near_exact(engine: Engine, made: Bundle, values: Mapping[str, Any]) -> None:
    """Of a row in which 13 features differ from the typical one, all 8191 combinations and few orders."""
    assert made.manifest.features is not None
    row = list(made.manifest.card["reference"]["inputs"]["x"][0])
    fields = [field.name for field in made.manifest.features.inputs[0].sources[0].fields]  # type: ignore[union-attr]  # a hash
    row[:13] = [values[name] for name in fields[:13]]
    asked = Ask("breast_cancer", inputs={"x": [row]})

    exact = await one(engine, asked, Wish(samples=16_384, label="malignant"))
    sampled = [
        await one(engine, asked, Wish(samples=1000, seed=seed, label="malignant")) for seed in range(10)
    ]

    truth = contributions(exact)
    within = [
        abs(told["contribution"] - truth[told["feature"]]) <= told["error"] + 1e-6
        for body in sampled
        for told in body["contributions"]
    ]
    assert {body["method"] for body in sampled} == {"sampled"}
    assert (exact["method"], exact["runs"]) == ("exact", 2**13)
    assert np.mean(within) > 0.9


async def test_a_label_may_be_named_and_all_of_them_add_up_to_nothing(
    engine: StartEngine, store: ModelStore
) -> None:
    weights = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    await store.publish(bundle(dense(weights, "Softmax"), "three", labels=("x", "y", "z")))
    running, asked = await engine(), Ask("three", inputs={"x": [[1, 2, 3]]})

    bodies = {name: await one(running, asked, Wish(label=name)) for name in "xyz"}
    chosen = await one(running, asked)

    totals = np.sum([list(dict(sorted(contributions(body).items())).values()) for body in bodies.values()], 0)
    assert totals == pytest.approx([0, 0, 0], abs=1e-6)
    assert chosen == max(bodies.values(), key=lambda body: body["prediction"])
    with pytest.raises(BadRequest, match="label 'w' is none of the model's; there are x, y, z"):
        await one(running, asked, Wish(label="w"))


async def test_one_sigmoid_is_the_second_label_and_the_rest_of_it_the_first(
    engine: StartEngine, store: ModelStore
) -> None:
    weights = np.array([[2.0], [-1.0]], np.float32)
    await store.publish(bundle(dense(weights, "Sigmoid"), "two", labels=("no", "yes")))
    running, asked = await engine(), Ask("two", inputs={"x": [[1, 1]]})

    yes, no = [await one(running, asked, Wish(label=label)) for label in ("yes", "no")]

    assert yes["prediction"] == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-6)
    assert no["prediction"] == pytest.approx(1 - yes["prediction"])
    assert contributions(no) == pytest.approx({name: -one_ for name, one_ in contributions(yes).items()})
    assert (await one(running, asked))["label"] == "yes"


async def test_any_number_of_any_output_can_be_explained(engine: StartEngine, store: ModelStore) -> None:
    await store.publish(bundle(scaled(), "plain"))
    running, asked = await engine(), Ask("plain", inputs={"x": [[1, 5]]})

    body = await one(running, asked, Wish(output="y", element=1))

    assert contributions(body) == {"x[1]": 10.0, "x[0]": 0.0}
    assert (body["output"], body["element"], body["reference"]) == ("y", 1, "zeros")


QUANTILES = AnswerSpec(quantiles=(0.1, 0.5, 0.9))
TWO_VALUES = AnswerSpec(values=("cost", "hours"), quantiles=(0.5,))


@pytest.mark.parametrize(
    ("task", "answer", "width", "wanted", "explained"),
    [
        ("regression", QUANTILES, 3, None, (1, "quantile 0.5")),
        ("regression", QUANTILES, 3, 2, (2, "quantile 0.9")),
        ("regression", TWO_VALUES, 2, 1, (1, "hours, quantile 0.5")),
        ("forecasting", None, 3, None, (0, "step 1 of 3")),
        ("forecasting", None, 3, 1, (1, "step 2 of 3")),
        ("anomaly", AnswerSpec(threshold=1.0), 1, None, (0, None)),
    ],
)
async def test_tasks_of_several_numbers_are_explained_by_one_of_them(  # noqa: PLR0913, PLR0917  # a case is five
    engine: StartEngine,
    store: ModelStore,
    task: str,
    answer: AnswerSpec | None,
    width: int,
    wanted: int | None,
    explained: tuple[int, str | None],
) -> None:
    weights = np.arange(1, 2 * width + 1, dtype=np.float32).reshape(2, width)
    made = bundle(dense(weights), "numbers", task=task, output="y")
    await store.publish(Bundle(made.manifest.model_copy(update={"answer": answer}), made.onnx))

    body = await one(await engine(), Ask("numbers", inputs={"x": [[2, 5]]}), Wish(element=wanted))

    chosen = explained[0]
    assert (body["element"], body.get("part")) == explained
    assert contributions(body) == {"x[0]": 2 * weights[0, chosen], "x[1]": 5 * weights[1, chosen]}


async def test_the_value_of_a_regression_with_quantiles_is_what_is_explained(
    engine: StartEngine, store: ModelStore, redis: Redis
) -> None:
    recipe = Recipe.parse(LINE.replace("task: regression", "task: regression\nquantiles: [0.1, 0.5]"))
    short = recipe.model_copy(update={"training": recipe.training.model_copy(update={"epochs": 3})})
    trained = await asyncio.to_thread(train_on, short, line())
    await store.publish(trained.bundle)
    await redis.hset("point:1", mapping={"a": 1.5, "b": -2})
    running = await engine()

    body = await one(running, Ask("line", keys=["point:1"]))
    predicted = (await running.predictor.predict(Ask("line", keys=["point:1"]))).rows[0].body

    assert body["prediction"] == pytest.approx(predicted["value"], abs=1e-6)
    assert sum(contributions(body).values()) == pytest.approx(body["prediction"] - body["baseline"], abs=1e-9)


async def test_several_values_are_named_where_none_was_chosen(engine: StartEngine, store: ModelStore) -> None:
    made = bundle(dense(np.ones((2, 4), np.float32)), "several", task="regression", output="y")
    spec = AnswerSpec(values=("cost", "hours"), quantiles=(0.1, 0.5))
    await store.publish(Bundle(made.manifest.model_copy(update={"answer": spec}), made.onnx))

    with pytest.raises(BadRequest, match="from 0 to 3: 1 is cost, 3 is hours"):
        await one(await engine(), Ask("several", inputs={"x": [[1, 5]]}))


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        (Wish(), "say which with `element`, from 0 to 1"),
        (Wish(element=2), "from 0 to 1, not 2"),
        (Wish(output="z"), "the model has no output 'z', it has y"),
        (Wish(label="a"), "model 'plain' has no labels, so no 'a'"),
        (Wish(label="a", element=1), "label goes without output and element"),
        (Wish(samples=10), "samples is 10; send a whole number of 64 to 16384"),
        (Wish(seed=-1), "seed is -1"),
        (Wish(element=0, reference={"z": [[1]]}), "reference names 'z', which is no input; there are x"),
        (
            Wish(element=0, reference={"x": [[0, 0]] * 65}),
            "have rows: x 65; give as many for each, at most 64",
        ),
    ],
)
async def test_what_cannot_be_meant_is_refused_whole(
    engine: StartEngine, store: ModelStore, wish: Wish, told: str
) -> None:
    await store.publish(bundle(scaled(), "plain"))

    with pytest.raises(BadRequest, match=told):
        await (await engine()).explainer.explain(Ask("plain", inputs={"x": [[1, 5]] * 2}), wish)


async def test_a_reference_of_another_shape_or_kind_is_refused(
    engine: StartEngine, store: ModelStore
) -> None:
    await store.publish(bundle(scaled(), "plain"))
    running, asked = await engine(), Ask("plain", inputs={"x": [[1, 5]]})

    for reference in ([[1, 2, 3]], [["a", "b"]], [1, 2]):
        with pytest.raises(BadInput, match=r"^reference.*'x'"):
            await one(running, asked, Wish(element=0, reference={"x": reference}))


async def test_a_reference_that_does_not_run_is_told_from_the_row(
    engine: StartEngine, store: ModelStore
) -> None:
    await store.publish(bundle(looked_up(np.eye(3, 2, dtype=np.float32)), "gather"))
    running, asked = await engine(), Ask("gather", inputs={"i": [1]})

    with pytest.raises(RunFailed, match=r"idx=99 .* somewhere between the row and its reference; name other"):
        await one(running, asked, Wish(element=0, reference={"i": [99]}))
    with pytest.raises(RunFailed, match=r"idx=99 .*\]$"):
        await one(running, Ask("gather", inputs={"i": [99]}), Wish(element=0))


async def test_a_reference_of_the_card_that_does_not_fit_leaves_zeros(
    engine: StartEngine, store: ModelStore, redis: Redis
) -> None:
    await published(store, redis, linear({"reference": {"inputs": {"x": [["many"]]}}}))

    body = await one(await engine(), Ask("linear", keys=["row:1"]))

    assert (body["reference"], body["baseline"]) == ("zeros", 0.0)


async def test_rows_that_fail_carry_their_errors_beside_the_others(
    engine: StartEngine, store: ModelStore, redis: Redis
) -> None:
    await published(store, redis, linear())
    running = await engine()

    answer = await running.explainer.explain(
        Ask("linear", keys=["row:1", "row:9", "row:2"], missing=None), Wish()
    )

    assert [type(row.error) for row in answer.rows] == [type(None), KeyMissing, type(None)]
    assert [row.key for row in answer.rows] == ["row:1", "row:9", "row:2"]


async def test_what_was_filled_in_is_named(engine: StartEngine, store: ModelStore, redis: Redis) -> None:
    await published(store, redis, linear())
    await redis.hdel("row:1", "d")
    running = await engine()

    answer = await running.explainer.explain(Ask("linear", keys=["row:1"], missing={"d": 4}), Wish())

    assert answer.rows[0].filled == ["d"]
    assert contributions(answer.rows[0].body)["d"] == 1.0


async def test_sequences_of_their_own_lengths_are_explained_by_their_steps(
    engine: StartEngine, store: ModelStore, redis: Redis
) -> None:
    source = {"key": "walk:{id}", "as": "list", "shape": [2], "last": 9}
    view = {"inputs": [{"name": "x", "lengths": "lengths", "sources": [source]}]}
    made = bundle(last_step(), "walks", view)
    card = {"reference": {"of": "a typical step", "inputs": {"x": [[[1.0, 1.0]]]}}}
    await store.publish(Bundle(made.manifest.model_copy(update={"card": card}), made.onnx))
    for key, steps in (("walk:1", 3), ("walk:2", 5)):
        await redis.rpush(key, *[np.array([at, at], "<f4").tobytes() for at in range(1, steps + 1)])
    running = await engine()

    answer = await running.explainer.explain(Ask("walks", keys=["walk:1", "walk:2"]), Wish(element=0))

    first, second = (contributions(row.body) for row in answer.rows)
    assert first == {"walk:{id}[2]": 2.0, "walk:{id}[0]": 0.0, "walk:{id}[1]": 0.0}
    assert len(second) == 5
    assert second["walk:{id}[4]"] == 4.0


async def test_a_sequence_in_a_stream_is_explained_by_fields_and_steps(
    engine: StartEngine, store: ModelStore, redis: Redis
) -> None:
    source = {"key": "sensor:{id}", "as": "stream", "fields": ["temp", "load"], "last": 9}
    view = {"inputs": [{"name": "x", "lengths": "lengths", "sources": [source]}]}
    made = bundle(last_step(), "sensors", view)
    card = {"reference": {"of": "a typical step", "inputs": {"x": [[[1.0, 1.0]]]}}}
    await store.publish(Bundle(made.manifest.model_copy(update={"card": card}), made.onnx))
    for at in (1, 2, 3):
        await redis.xadd("sensor:1", {"load": 7, "temp": at})
    running = await engine()

    answer = await running.explainer.explain(Ask("sensors", keys=["sensor:1"]), Wish(element=0))

    (told,) = (contributions(row.body) for row in answer.rows)
    assert told == {
        "temp[2]": 2.0,
        **{f"temp[{at}]": 0.0 for at in (0, 1)},
        **{f"load[{at}]": 0.0 for at in range(3)},
    }


async def test_a_row_that_the_reference_does_not_fit_fails_alone(
    engine: StartEngine, store: ModelStore, redis: Redis
) -> None:
    source = {"key": "walk:{id}", "as": "list", "shape": [2], "last": 9}
    view = {"inputs": [{"name": "x", "lengths": "lengths", "sources": [source]}]}
    await store.publish(bundle(last_step(), "walks", view))
    for key, steps in (("walk:1", 3), ("walk:2", 5)):
        await redis.rpush(key, *[np.array([at, at], "<f4").tobytes() for at in range(1, steps + 1)])
    running = await engine()
    wish = Wish(element=0, reference={"x": [[[1.0, 1.0]] * 3]})

    answer = await running.explainer.explain(Ask("walks", keys=["walk:2", "walk:1"]), wish)

    longer, fitting = answer.rows
    assert contributions(fitting.body)["walk:{id}[2]"] == 2.0
    assert isinstance(longer.error, BadInput)
    assert str(longer.error).startswith(
        "reference 'x' has rows of shape [3, 2], the row that is explained has [5, 2]; "
    )
    with pytest.raises(BadInput, match="reference 'x' has rows of shape"):
        await running.explainer.explain(Ask("walks", keys=["walk:2", "walk:2"]), wish)


async def test_a_key_that_redis_refuses_is_explained_beside_others_as_an_error(
    engine: StartEngine, redis_server: Callable[..., RedisServer]
) -> None:
    server = redis_server()
    running = await engine(redis_url=server.url)
    await published(running.store, running.store.redis, linear())
    with server.connect() as client:
        client.execute_command("ACL", "SETUSER", "default", "resetkeys", "~insitu*", "~row:1")

    answer = await running.explainer.explain(Ask("linear", keys=["row:2", "row:1"]), Wish())

    assert isinstance(answer.rows[0].error, KeyRefused)
    assert contributions(answer.rows[1].body)["a"] == 12.0


async def test_instances_with_values_of_their_own_are_explained(
    engine: StartEngine, store: ModelStore
) -> None:
    inline = {"inline": True, "fields": ["hour", {"name": "plan", "categories": ["free", "paid"]}]}
    view = {"inputs": [{"name": "x", "sources": [inline]}]}
    await store.publish(
        bundle(dense(np.array([[1.0], [10.0]], np.float32)), "inline", view, task="regression")
    )

    body = await one(await engine(), Ask("inline", instances=[{"hour": 3, "plan": "paid"}]))

    assert [(told["feature"], told["value"], told["reference"]) for told in body["contributions"]] == [
        ("plan", "paid", "free"),
        ("hour", 3.0, 0.0),
    ]


async def test_each_row_is_explained_by_the_version_that_answers_it(
    engine: StartEngine, store: ModelStore, redis: Redis
) -> None:
    for factor in (1.0, 2.0):
        made = bundle(dense(WEIGHTS * factor), "linear", VIEW, task="regression")
        await store.publish(made)
    await store.set_traffic("linear", {1: 50, 2: 50})
    keys = [f"row:{at}" for at in range(20)]
    for key in keys:
        await redis.hset(key, mapping={"a": 1, "b": 0, "c": 0, "d": 0})
    running = await engine()

    explained = (await running.explainer.explain(Ask("linear", keys=keys), Wish())).rows
    predicted = (await running.predictor.predict(Ask("linear", keys=keys))).rows

    assert [row.version for row in explained] == [row.version for row in predicted]
    assert [row.body["prediction"] for row in explained] == [row.body["value"] for row in predicted]
    assert len({row.body["prediction"] for row in explained}) == 2


async def test_what_has_no_amount_or_no_rows_of_its_own_is_not_explained(
    engine: StartEngine, store: ModelStore
) -> None:
    await store.publish(bundle(passed(INT64, ["rows", 1]), "whole_numbers"))
    await store.publish(bundle(passed(TEXT, ["rows", 1]), "texts"))
    await store.publish(bundle(running_total(), "coupled"))
    running = await engine()

    for name, value_, told in (
        ("whole_numbers", [[1]], "output 'y' is int64, and only an amount can be shared out"),
        ("texts", [["a"]], "is string"),
        ("coupled", [[1, 2]], "are coupled: an answer depends on the rows beside it"),
    ):
        with pytest.raises(NotExplainable, match=told):
            await one(running, Ask(name, inputs={"x": value_}))


async def test_what_is_between_the_row_and_the_reference_may_be_no_number(
    engine: StartEngine, store: ModelStore
) -> None:
    nodes = [node("Split", "x", "a b", axis=1), node("Sub", "a b", "d"), node("Reciprocal", "d", "y")]
    graph = model(nodes, [value("x", ["rows", 2])], [value("y", ["rows", 1])])
    await store.publish(bundle(graph, "gap", task="regression"))

    with pytest.raises(RunFailed, match="no finite number somewhere between the row and its reference"):
        await one(await engine(), Ask("gap", inputs={"x": [[1, 2]]}), Wish(reference={"x": [[2, 5]]}))


async def test_a_request_is_held_to_its_bounds(engine: StartEngine, store: ModelStore, redis: Redis) -> None:
    await published(store, redis, linear())
    await store.publish(bundle(scaled(width="n"), "plain"))
    running = await engine()
    explain = running.explainer.explain

    with pytest.raises(TooManyRows):
        await explain(Ask("linear", keys=["row:1"] * (ROWS_MOST + 1)), Wish())
    with pytest.raises(TooManyRows):
        await explain(Ask("linear", inputs={"x": [[1, 2, 3, 4]] * (ROWS_MOST + 1)}), Wish())
    with pytest.raises(BadRequest, match="no rows"):
        await explain(Ask("linear", keys=[]), Wish())
    with pytest.raises(BadRequest, match="exactly one of"):
        await explain(Ask("linear"), Wish())
    with pytest.raises(BadRequest, match="missing names 'z'"):
        await explain(Ask("linear", keys=["row:1"], missing={"z": 1}), Wish())
    with pytest.raises(BadFeatureView, match="reads no keys"):
        await explain(Ask("plain", keys=["row:1"]), Wish())
    with pytest.raises(ModelNotFound):
        await explain(Ask("nowhere", keys=["row:1"]), Wish())


async def test_features_are_bounded_by_the_runs_that_they_take(
    engine: StartEngine, store: ModelStore
) -> None:
    await store.publish(wide(64))
    for size in (4000, 4200):
        view: dict[str, Any] = {
            "inputs": [{"name": "x", "sources": [{**HASH, "fields": [f"f{at}" for at in range(4000)]}]}]
        }
        if size > 4000:
            more = {"key": "more:{id}", "as": "hash", "fields": [f"g{at}" for at in range(200)]}
            view["inputs"][0]["sources"].append(more)
        weights = np.ones((size, 1), np.float32)
        await store.publish(bundle(dense(weights), f"f{size}", view, task="regression"))
    running = await engine()

    most = await one(running, Ask("f4000", inputs={"x": np.ones((1, 4000), np.float32)}))
    with pytest.raises(NotExplainable, match="has 4200 features that differ"):
        await one(running, Ask("f4200", inputs={"x": np.ones((1, 4200), np.float32)}))
    with pytest.raises(TooFewSamples, match="ask for at least 253"):
        await one(running, Ask("wide", inputs={"x": [[1.0] * 64]}), Wish(samples=100))

    assert {round(value_, 3) for value_ in contributions(most).values()} == {1.0}


async def test_a_deadline_that_was_over_before_is_told_as_no_time(
    engine: StartEngine, store: ModelStore
) -> None:
    running = await engine()

    with pytest.raises(
        DeadlineExceeded, match="not answered within its time, which was over before it began"
    ) as caught:
        await running.explainer.explain(Ask("any", keys=["k"], deadline=time.monotonic() - 1), Wish())

    assert caught.value.details["seconds"] == 0


async def test_an_explanation_ends_with_its_deadline(engine: StartEngine, store: ModelStore) -> None:
    await store.publish(bundle(looping(20_000), "slow"))
    running = await engine()
    begun = time.monotonic()

    with pytest.raises(DeadlineExceeded):
        await running.explainer.explain(
            Ask("slow", inputs={"x": [[1.0]] * 40}, deadline=begun + 0.15), Wish()
        )

    assert time.monotonic() - begun < 2
    assert running.predictor.under_way == 0


async def test_only_so_many_explanations_are_under_way(engine: StartEngine, store: ModelStore) -> None:
    await store.publish(wide(30))
    running = await engine()
    asked = Ask("wide", inputs={"x": [[1.0] * 30]})

    outcomes = await asyncio.gather(
        *(running.explainer.explain(asked, Wish()) for _ in range(UNDER_WAY_MOST + 4)), return_exceptions=True
    )

    refused = [one_ for one_ in outcomes if isinstance(one_, Overloaded)]
    assert len(refused) == 4
    assert len(outcomes) - len(refused) == UNDER_WAY_MOST
    assert (await running.explainer.explain(asked, Wish())).rows[0].error is None


@pytest.mark.alone  # waits are measured
async def test_predictions_go_first(engine: StartEngine, store: ModelStore, redis: Redis) -> None:
    """While explanations are asked without end, predictions of the same model wait for milliseconds."""
    await published(store, redis, linear())
    await store.publish(wide(60))
    running = await engine()
    ended, explained = False, 0

    async def explain() -> None:
        nonlocal explained
        while not ended:
            await running.explainer.explain(Ask("wide", inputs={"x": [[1.0] * 60]}), Wish(samples=16_000))
            explained += 1

    explaining = [asyncio.create_task(explain()) for _ in range(4)]
    waits: list[float] = []
    while len(waits) < 150 or explained <= 4:
        begun = time.monotonic()
        await running.predictor.predict(Ask("wide", inputs={"x": [[1.0] * 60]}))
        waits.append(time.monotonic() - begun)
        await asyncio.sleep(0.005)
    ended = True
    await asyncio.gather(*explaining)

    assert np.median(waits) < 0.02


async def test_a_full_queue_takes_no_explanation(engine: StartEngine, store: ModelStore) -> None:
    await store.publish(bundle(scaled(), "plain"))
    running = await engine(max_queue_rows=8)
    serving = await running.catalogue.get("plain")
    serving.batcher.admit(6)

    with pytest.raises(Overloaded, match="model 'plain' is busy"):
        await one(running, Ask("plain", inputs={"x": [[1, 5]]}), Wish(element=0))

    serving.batcher.release(6)
    assert await one(running, Ask("plain", inputs={"x": [[1, 5]]}), Wish(element=0))


async def test_a_row_that_does_not_run_is_its_own_error(engine: StartEngine, store: ModelStore) -> None:
    await store.publish(bundle(looked_up(np.eye(3, 1, dtype=np.float32)), "gather"))

    answer = await (await engine()).explainer.explain(Ask("gather", inputs={"i": [1, 7]}), Wish())

    assert answer.rows[0].error is None
    assert isinstance(answer.rows[1].error, RunFailed)


async def test_an_explanation_calls_private_features_by_their_aliases(
    engine: StartEngine, store: ModelStore, redis: Redis
) -> None:
    fields = [{"name": "a", "private": True}, "b", {"name": "c", "private": True, "default": 1}, "d"]
    view = {"inputs": [{"name": "x", "sources": [{**HASH, "fields": fields}]}]}
    await store.publish(bundle(dense(WEIGHTS), "linear", view, task="regression"))
    await redis.hset("row:1", mapping={"a": 5, "b": 2, "d": 2})

    answer = await (await engine()).explainer.explain(Ask("linear", keys=["row:1", "row:9"]), Wish())

    named = {told["feature"] for told in answer.rows[0].body["contributions"]}
    assert named == {"private 1", "b", "private 2", "d"}
    assert answer.rows[0].filled == ["private 2"]
    assert isinstance(answer.rows[1].error, KeyMissing)
