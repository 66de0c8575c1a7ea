"""Real trainings of a second or two, each made to go wrong in one way: the verdict says in which."""

from typing import Any

import numpy as np
import pytest

from models.recipe import Recipe
from tests.unit.trainer.tables import keys
from trainer.outcome import Outcome
from trainer.run import train_on
from trainer.table import Table

TEXT = """\
name: made
task: {task}
data: {{source: redis, match: "row:*", target: {{key: "row:{{id}}", as: hash, field: y}}}}
features:
  inputs:
    - {{name: x, sources: [{{key: "row:{{id}}", as: hash, fields: [{fields}]}}]}}
{labels}
network: [{network}]
training: {{{training}}}
"""
SMALL = "standardize, {linear: 16}, relu"
QUIET = "lr: 0.01, epochs: 30, batch: 32, patience: 10"


def outcome(x: Any, y: Any, network: str = SMALL, training: str = QUIET, more: str = "") -> Outcome:
    labelled = y.dtype.kind == "i"
    text = TEXT.format(
        task="classification" if labelled else "regression",
        fields=", ".join(f"f{at}" for at in range(x.shape[1])),
        labels="labels: [left, right]" if labelled else "",
        network=network,
        training=training,
    )
    names = tuple(f"row:{key.split(':')[1]}" for key in keys(len(x)))
    kind = np.int64 if labelled else np.float32
    return train_on(
        Recipe.parse(text + more), Table(names, x.astype(np.float32), None, y.astype(kind))
    ).outcome


def signs(made: Outcome) -> set[str]:
    return {finding.sign for finding in made.diagnosis.signs}


def noisy_line(count: int, columns: int = 4, noise: float = 0.5) -> tuple[Any, Any]:
    random = np.random.default_rng(7)
    x = random.normal(size=(count, columns))
    y = (x[:, 0] + x[:, 1] + noise * random.normal(size=count) > 0).astype(np.int64)
    return x, y


def test_an_honest_network_on_enough_rows_is_good() -> None:
    made = outcome(*noisy_line(800))

    assert made.diagnosis.verdict == "good"
    assert signs(made) == set()


def test_a_large_network_on_few_rows_of_much_noise_overfits() -> None:
    x, y = noisy_line(400, columns=30, noise=1.0)

    made = outcome(x, y, "standardize, {linear: 256}, relu", "lr: 0.01, epochs: 60, batch: 32, validation: 0")

    assert made.diagnosis.verdict == "overfitting"
    assert made.diagnosis.gap > 0.1


def test_a_line_through_corners_underfits() -> None:
    x = np.random.default_rng(7).normal(size=(800, 2))
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)

    straight, bent = outcome(x, y, "standardize, {linear: 2}"), outcome(x, y)

    assert straight.diagnosis.verdict == "underfitting"
    assert "a forest knows new ones" in " ".join(straight.diagnosis.findings)
    assert bent.diagnosis.verdict == "good"


@pytest.mark.parametrize("values", [False, True])
def test_targets_that_the_features_know_nothing_of_are_no_signal(values: bool) -> None:
    random = np.random.default_rng(7)
    y = random.normal(size=600) if values else random.integers(0, 2, 600)

    assert outcome(random.normal(size=(600, 3)), y).diagnosis.verdict == "no signal"


def test_steps_that_are_too_large_are_noticed() -> None:
    x, y = noisy_line(400)

    wild = outcome(x, y, training="optimizer: sgd, lr: 8, epochs: 30, batch: 8")

    assert "learning rate too high" in signs(wild)


def test_a_training_that_was_cut_short_is_noticed() -> None:
    x, y = noisy_line(400)

    short = outcome(x, y, training="optimizer: sgd, lr: 0.02, epochs: 10, batch: 32")

    assert "not converged" in signs(short)


def test_a_feature_written_after_the_answer_is_noticed() -> None:
    x, y = noisy_line(400)
    told = np.column_stack([x, y + 0.001 * np.random.default_rng(0).normal(size=400)])

    made = outcome(told, y)

    assert made.diagnosis.verdict == "leakage suspected"
    assert "f4 (1.000)" in made.diagnosis.findings[1]


def test_rows_that_are_stored_twice_are_noticed() -> None:
    x, y = noisy_line(300)

    made = outcome(np.concatenate([x, x]), np.concatenate([y, y]))

    assert made.diagnosis.verdict == "leakage suspected"
    assert "held-out rows have the same features as a training row" in made.diagnosis.findings[1]


def test_a_rare_label_is_noticed() -> None:
    x = np.random.default_rng(7).normal(size=(1500, 3))
    y = (x[:, 0] + 0.5 * np.random.default_rng(8).normal(size=1500) > 2.2).astype(np.int64)

    assert "imbalanced labels" in signs(outcome(x, y))


def test_labels_that_were_mixed_up_are_noticed() -> None:
    x, y = noisy_line(1500, noise=0.05)
    flipped = np.where(np.random.default_rng(9).uniform(size=1500) < 0.15, 1 - y, y)

    assert "noisy labels" in signs(outcome(x, flipped))
    assert "noisy labels" not in signs(outcome(*noisy_line(1500, noise=1.0)))


def test_the_curve_over_the_rows_is_drawn_from_real_trainings() -> None:
    random = np.random.default_rng(7)
    x = random.normal(size=(700, 40))
    y = (x[:, :20].sum(1) > 0).astype(np.int64)

    made = outcome(x, y, more="judge: {data_curve: true}\n")
    short = outcome(x, y, more="judge: {data_curve: true, seconds: 0.0001}\n")

    assert [size.rows for size in made.sizes] == [57, 114, 228, 455]
    assert "too little data" in signs(made)
    assert "more rows will help more than another network" in " ".join(made.diagnosis.findings)
    assert [size.rows for size in short.sizes] == [455]
