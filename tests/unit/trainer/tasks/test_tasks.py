"""Every task on a small generated problem: learned, exported, judged, and worded in the manifest."""

from typing import Any

import numpy as np
import pytest
import torch

from models.answers import AnswerSpec
from models.recipe import Recipe
from tests.unit.trainer.tables import keys
from trainer.blueprints import blueprint_of
from trainer.errors import BadNetwork
from trainer.evaluate import evaluate
from trainer.exporting.export import answers
from trainer.networks.building import check
from trainer.outcome import TrainResult
from trainer.run import train_on
from trainer.table import Table, Values
from trainer.tasks.multilabel import Multilabel
from trainer.tasks.task import Regression, task_of
from trainer.tasks.values import Quantiles, Unit
from trainer.training import signature_of

TEXT = """\
name: made
task: TASK
data: {source: redis, match: "point:*", TARGET}
features:
  inputs:
    - {name: x, INPUT}
network: NETWORK
training: {lr: 0.02, epochs: 40, batch: 16}
"""
HASH = 'sources: [{key: "point:{id}", as: hash, fields: [a, b]}]'
LIST = 'lengths: x_length, sources: [{key: "point:{id}", as: list, shape: [CHANNELS], last: 12}]'
MLP = "[standardize, {linear: 16}, tanh]"


def recipe(task: str, target: str, view: str = HASH, network: str = MLP, **more: str) -> Recipe:
    text = TEXT.replace("TASK", task).replace("TARGET", target).replace("INPUT", view)
    return Recipe.parse(
        text.replace("NETWORK", network) + "".join(f"{key}: {value}\n" for key, value in more.items())
    )


def fields(names: str) -> str:
    return f'target: {{key: "point:{{id}}", as: hash, {names}}}'


def points(count: int = 160) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, 2)).astype(np.float32)


def table(x: np.ndarray, targets: np.ndarray, lengths: np.ndarray | None = None) -> Table:
    return Table(keys(len(x)), {"x": Values(x, lengths)}, targets)


def said(result: TrainResult, made: Recipe, rows: Table) -> np.ndarray:
    return answers(result.bundle.onnx, signature_of(made, task_of(made, rows)), rows)


def checked(result: TrainResult) -> TrainResult:
    """Within a tenth of what is allowed of PyTorch, and stored as it was."""
    assert result.bundle.manifest.card["parity"]["largest_difference"] < 1e-5
    manifest = result.bundle.sealed(1).manifest
    assert type(manifest).from_json(manifest.to_json(), "made", 1) == manifest
    return result


def test_several_labels_are_learned_at_once() -> None:
    made = recipe("multilabel", fields("fields: [high, right, both]"))
    x = points()
    high, right = x[:, 0] > 0, x[:, 1] > 0.5

    result = checked(train_on(made, table(x, np.stack([high, right, high & right], 1).astype(np.float32))))

    manifest = result.bundle.manifest
    assert (manifest.task, manifest.labels, manifest.answer) == (
        "multilabel",
        ("high", "right", "both"),
        None,
    )
    assert manifest.metrics["f1_micro"] > 0.85
    assert {"f1", "accuracy", "log_loss", "roc_auc", "baseline_f1_micro"} <= set(manifest.metrics)
    assert result.outcome.held_out.targets[0] in ([0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 1])


def test_a_label_that_always_holds_breaks_nothing() -> None:
    made = recipe("multilabel", fields("fields: [high, always, never]"))
    x = points(60)
    targets = np.stack([x[:, 0] > 0, x[:, 0] > -99, x[:, 0] > 99], 1).astype(np.float32)

    assert train_on(made, table(x, targets)).bundle.manifest.metrics["f1_micro"] > 0.8


def test_several_values_are_learned_each_in_its_own_unit() -> None:
    made = recipe("regression", fields("fields: [length, price]"))
    x = points()
    targets = np.stack([1000 + 50 * x[:, 0], x[:, 1] / 1000], 1).astype(np.float32)

    result = checked(train_on(made, table(x, targets)))

    manifest = result.bundle.manifest
    assert manifest.answer == AnswerSpec(values=("length", "price"))
    assert manifest.metrics["r2"] > 0.9
    values = said(result, made, table(x, targets))
    assert values.shape == targets.shape
    assert [np.corrcoef(values[:, at], targets[:, at])[0, 1] > 0.95 for at in (0, 1)] == [True, True]


def test_quantiles_hold_as_many_values_as_they_say_and_never_cross() -> None:
    made = recipe("regression", fields("field: y"), quantiles="[0.9, 0.5, 0.1]")
    random = np.random.default_rng(3)
    x = points(400)
    targets = (100 + 10 * x[:, 0] + (1 + 3 * (x[:, 1] > 0)) * random.normal(size=400)).astype(np.float32)

    result = checked(train_on(made, table(x, targets)))

    manifest = result.bundle.manifest
    values = said(result, made, table(x, targets))
    below = (targets[:, None] <= values).mean(0)
    assert manifest.answer == AnswerSpec(quantiles=(0.1, 0.5, 0.9))
    assert (np.diff(values, axis=1) >= 0).all()
    assert below == pytest.approx([0.1, 0.5, 0.9], abs=0.08)
    assert 0.65 < manifest.metrics["coverage"] <= 0.95
    assert manifest.metrics["r2"] > 0.8
    assert manifest.metrics["pinball"] < 2 * manifest.metrics["baseline_pinball"]


def test_several_values_have_quantiles_each() -> None:
    made = recipe("regression", fields("fields: [p, q]"), quantiles="[0.25, 0.5, 0.75]")
    x = points()

    result = checked(train_on(made, table(x, x * np.array([1, 100], np.float32))))

    assert result.bundle.manifest.answer == AnswerSpec(values=("p", "q"), quantiles=(0.25, 0.5, 0.75))
    assert said(result, made, table(x, x)).shape == (len(x), 2, 3)
    assert result.bundle.manifest.outputs[0].shape == ("batch", 2, 3)


def test_quantiles_that_a_head_gives_at_random_never_cross() -> None:
    task = Quantiles((0.1, 0.3, 0.5, 0.9), Unit((1e6, -3.0), (1e-3, 1e4)))

    values = task.answer(torch.randn(500, 8) * 100)

    assert values.shape == (500, 2, 4)
    assert bool((values.diff(dim=-1) >= 0).all())


def waves(count: int, channels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A generated problem: sines of any phase, shown from any place on, with the steps that follow."""
    random = np.random.default_rng(6)
    lengths = random.integers(6, 13, count)
    x = np.zeros((count, 12, channels), np.float32)
    following = np.zeros((count, 3, channels), np.float32)
    for row, length in enumerate(lengths):
        phase = random.uniform(0, 2 * np.pi, channels)
        steps = 10 + 5 * np.sin(phase + 0.6 * np.arange(length + 3)[:, None])
        x[row, :length], following[row] = steps[:length], steps[length:]
    return x, lengths.astype(np.int64), following


@pytest.mark.parametrize("network", ["[standardize, {gru: 16}]", "{preset: tcn, width: 16, depth: 2}"])
def test_the_next_steps_of_a_series_are_forecast(network: str) -> None:
    made = recipe("forecasting", "target: {as: following, steps: 3}", LIST.replace("CHANNELS", "1"), network)
    x, lengths, following = waves(300, 1)

    result = checked(train_on(made, table(x, following, lengths)))

    manifest = result.bundle.manifest
    assert (manifest.task, manifest.answer, manifest.outputs[0].shape) == ("forecasting", None, ("batch", 3))
    assert manifest.metrics["r2"] > 0.9
    assert manifest.metrics["rmse"] < manifest.metrics["baseline_rmse"]
    assert np.array(result.outcome.held_out.targets).shape == (len(result.outcome.held_out.keys), 3, 1)


def test_several_channels_are_forecast_together() -> None:
    made = recipe(
        "forecasting",
        "target: {as: following, steps: 3}",
        LIST.replace("CHANNELS", "2"),
        "[standardize, {gru: 16}]",
    )
    x, lengths, following = waves(200, 2)

    result = checked(train_on(made, table(x, following, lengths)))

    assert result.bundle.manifest.outputs[0].shape == ("batch", 3, 2)
    assert result.bundle.manifest.metrics["r2"] > 0.7


AUTOENCODER = "[standardize, {linear: 8}, tanh, {linear: 1}, {linear: 8}, tanh]"


def circle(count: int = 240) -> np.ndarray:
    """A generated problem: two numbers of which one follows from the other."""
    random = np.random.default_rng(8)
    t = random.uniform(-1, 1, count)
    return np.stack([1e4 * t, t**2 + random.normal(size=count) / 50], 1).astype(np.float32)


def test_a_row_unlike_those_it_was_trained_on_has_a_high_score() -> None:
    made = recipe("anomaly", "max_rows: 1000", network=AUTOENCODER, threshold="0.95")
    x = circle()

    result = checked(train_on(made, table(x, np.zeros(len(x), np.float32))))

    manifest = result.bundle.manifest
    assert manifest.answer is not None
    assert (manifest.task, manifest.output, manifest.labels) == ("anomaly", "anomaly_score", ())
    assert manifest.metrics["r2"] > 0.8
    assert manifest.metrics["baseline_r2"] == pytest.approx(0, abs=0.3)
    assert manifest.metrics["flagged"] < 0.2
    assert manifest.metrics["baseline_flagged"] < 0.2  # by a threshold of its own
    odd = table(np.array([[0, 3], [9e3, -2]], np.float32), np.zeros(2, np.float32))
    assert (said(result, made, odd) > 5 * (manifest.answer.threshold or 0)).all()
    assert (
        said(result, made, table(x, np.zeros(len(x)))) <= manifest.answer.threshold
    ).mean() == pytest.approx(0.95, abs=0.03)
    assert result.outcome.held_out.targets == ()


def test_steps_of_a_series_are_given_again_each_by_itself() -> None:
    network = "[standardize, {gru: {hidden: 8, output: all}}, {linear: 4}]"
    made = recipe("anomaly", "max_rows: 1000", LIST.replace("CHANNELS", "2"), network)
    x, lengths, _ = waves(120, 2)

    result = checked(train_on(made, table(x, np.zeros(len(x), np.float32), lengths)))

    assert result.bundle.manifest.metrics["r2"] > 0.6
    alone = said(result, made, table(x[:1, : lengths[0]], np.zeros(1), lengths[:1]))
    together = said(result, made, table(x, np.zeros(len(x)), lengths))
    np.testing.assert_allclose(alone[0], together[0], rtol=1e-5)


PICTURE = 'sources: [{key: "point:{id}:i", as: vector, shape: [4, 4]}]'


def test_an_image_and_a_vector_are_given_again_together() -> None:
    text = TEXT.replace("TASK", "anomaly").replace("TARGET", "max_rows: 1000").replace("INPUT", HASH)
    made = Recipe.parse(
        text.replace("network: NETWORK", "").replace(
            "training:", f"    - {{name: image, {PICTURE}}}\ntraining:"
        )
        + """network:
  branches:
    x: [standardize, {linear: 4}]
    image: [{scale: 2}, {conv2d: 3}, relu, flatten]
  then: [{linear: 8}, tanh]
"""
    )
    x = circle(100)
    inputs = {"x": Values(x), "image": Values(np.tile(x[:, :1, None] / 1e4, (1, 4, 4)))}

    result = checked(train_on(made, Table(keys(100), inputs, np.zeros(100, np.float32))))

    assert result.bundle.manifest.metrics["r2"] > 0.5


def test_fixed_steps_may_be_given_again_each_or_all_together() -> None:
    view = (
        LIST.replace("CHANNELS", "2")
        .replace("lengths: x_length, ", "")
        .replace("last: 12", "last: 12, pad: left")
    )
    each = recipe("anomaly", "max_rows: 9", view, "[standardize, {conv1d: {channels: 3, padding: same}}]")
    together = recipe("anomaly", "max_rows: 9", view, "[standardize, {gru: 3}]")
    x, _, _ = waves(60, 2)
    made = each.model_copy(update={"training": each.training.model_copy(update={"epochs": 3})})

    checked(train_on(made, table(x, np.zeros(len(x), np.float32))))

    assert check(blueprint_of(each)) == 3 * 2 * 3 + 3 + 2 * 3 + 2
    assert check(blueprint_of(together)) > 24 * 3


@pytest.mark.parametrize(
    ("view", "network", "said"),
    [
        (
            LIST.replace("CHANNELS", "2"),
            "[standardize, {gru: 3}]",
            "a vector cannot give rows of different lengths",
        ),
        (
            LIST.replace("CHANNELS", "2"),
            "[standardize, {conv1d: 3}]",
            "layer 2 (conv1d) gives (steps, 3), the head takes (features)",
        ),
        (
            HASH.replace("[a, b]", "[a, {name: b, categories: [u, v]}]"),
            "[columns: {b: {embedding: 2}}, {linear: 2}]",
            "compares rows with what `columns` gives, which must not be learned itself; take one_hot",
        ),
    ],
)
def test_rows_that_cannot_be_given_again_are_named(view: str, network: str, said: str) -> None:
    with pytest.raises(BadNetwork) as caught:
        check(blueprint_of(recipe("anomaly", "max_rows: 9", view, network)))

    assert said in str(caught.value)


def test_scores_of_several_labels_are_those_of_scikit_learn() -> None:
    probabilities = np.array([[0.9, 0.2], [0.4, 0.6], [0.7, 0.8]], np.float32)
    targets = np.array([[1, 0], [1, 1], [0, 1]], np.float32)

    scores = evaluate(Multilabel(("a", "b")), probabilities, targets).values

    assert scores["f1_micro"] == pytest.approx(2 * 3 / (4 + 4))
    assert scores["accuracy"] == pytest.approx(1 / 3)
    assert scores["roc_auc"] == pytest.approx((0.5 + 1) / 2)


def test_a_column_that_never_changes_does_not_count_for_r2() -> None:
    targets = np.array([[1.0, 5], [2, 5], [3, 5]])

    scores = evaluate(Regression(), targets.astype(np.float32), targets)

    assert scores.values["r2"] == 1.0


def test_a_unit_is_measured_column_by_column() -> None:
    unit = Unit.of(np.array([[1.0, 1e9], [3.0, 1e9]]))

    assert unit == Unit((2.0, 1e9), (1.0, 1.0))
    assert Unit.of(np.array([1.0, 3.0])) == Unit((2.0,), (1.0,))


@pytest.mark.parametrize(
    ("task", "target", "outputs"),
    [
        ("multilabel", fields("fields: [p, q, r]"), 3),
        ("regression", fields("fields: [p, q]"), 2),
        ("regression", fields("field: p"), 1),
        ("forecasting", 'target: {key: "point:{id}:next", as: vector, shape: [6]}', 6),
        ("forecasting", 'target: {key: "point:{id}:next", as: vector, shape: [6, 2]}', 12),
        ("anomaly", "max_rows: 9", None),
    ],
)
def test_the_head_gives_as_many_numbers_as_the_target_has(
    task: Any, target: str, outputs: int | None
) -> None:
    made = recipe(task, target)

    assert blueprint_of(made).outputs == outputs


def test_channels_of_a_series_are_chosen_by_number() -> None:
    target = "target: {as: following, steps: 4, channels: [1]}"

    made = recipe("forecasting", target, LIST.replace("CHANNELS", "3"), "[{gru: 4}]")

    assert blueprint_of(made).outputs == 4
