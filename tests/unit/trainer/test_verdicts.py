"""Real trainings of a second or two, each made to go wrong in one way: the verdict says in which."""

import json
import re
from typing import Any

import numpy as np
import pytest

from models.recipe import Recipe
from server.inference.answers import bodies
from tests.unit.trainer.tables import keys
from trainer.exporting.export import session
from trainer.judge import Asked, part
from trainer.judging.intervals import deviation_of_share
from trainer.judging.page import page
from trainer.outcome import Outcome, TrainResult
from trainer.run import train_on
from trainer.table import Table, Values

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


def outcome(*facts: Any, **more: Any) -> Outcome:
    return result(*facts, **more).outcome


def rows_of(x: Any) -> tuple[str, ...]:
    return tuple(f"row:{key.split(':')[1]}" for key in keys(len(x)))


def result(x: Any, y: Any, network: str = SMALL, training: str = QUIET, **said: Any) -> TrainResult:
    labelled = y.dtype.kind == "i"
    text = TEXT.format(
        task="classification" if labelled else "regression",
        fields=", ".join(f"f{at}" for at in range(x.shape[1])),
        labels="labels: [left, right]" if labelled else "",
        network=network,
        training=training,
    )
    kind = np.int64 if labelled else np.float32
    inputs = {"x": Values(x.astype(np.float32))}
    table = Table(rows_of(x), inputs, y.astype(kind), beside=said.get("beside", {}))
    return train_on(Recipe.parse(text + said.get("more", "")), table)


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


def test_a_decision_takes_effect_in_what_is_served_and_in_what_is_told() -> None:
    x, y = noisy_line(1200, noise=1.0)
    text = "decision: {cost: {false_positive: 1, false_negative: 20}}\n"
    plain, chosen = result(x, y), result(x, y, more=text)

    manifest, card = chosen.bundle.manifest, chosen.bundle.manifest.card
    held = {key: row for row, key in enumerate(rows_of(x))}
    part = x[[held[key] for key in chosen.outcome.held_out.keys]].astype(np.float32)
    (name,) = (spec.name for spec in manifest.inputs)
    output = session(chosen.bundle.onnx).run([manifest.output], {name: part})[0]
    served = [
        body["label"] for body in bodies(manifest, {str(manifest.output): output}) if isinstance(body, dict)
    ]

    assert manifest.threshold is not None
    assert manifest.threshold < 0.3
    assert plain.bundle.manifest.threshold is None
    right = np.mean(np.array(served) == np.array(chosen.outcome.held_out.targets))
    assert right == pytest.approx(manifest.metrics["accuracy"], abs=1e-6)
    assert card["decision"]["held_out"]["cost"] < card["decision"]["held_out_at_one_half"]["cost"]
    assert chosen.outcome.diagnosis.verdict == plain.outcome.diagnosis.verdict == "good"


def test_a_threshold_that_gives_every_row_one_label_leaves_chance_in_the_verdict() -> None:
    x, y = noisy_line(150, noise=1.0)
    said = "decision: {cost: {false_positive: 1, false_negative: 1000000}}\n"
    plain, chosen = (outcome(x, y, training="epochs: 2, batch: 32", more=more) for more in ("", said))

    assert set(chosen.answered.answers.argmax(1).tolist()) == {0, 1}
    assert chosen.scores.values["balanced_accuracy"] == 0.5
    assert plain.diagnosis.noise == chosen.diagnosis.noise > 0.02


def test_a_network_that_exaggerates_is_tempered_inside_the_graph() -> None:
    random = np.random.default_rng(7)
    x = random.normal(size=(1500, 10))
    y = (x[:, 0] + 1.5 * random.normal(size=1500) > 0).astype(np.int64)
    training = "lr: 0.01, epochs: 25, batch: 32, validation: 0.3, test: 0.3"
    network = "standardize, {linear: 128}, relu"

    made = result(x, y, network, training)
    untouched = result(x, y, network, training, more="judge: {temperature: false}\n")

    told = made.bundle.manifest.card["calibration"]
    assert told["temperature"] > 1
    assert told["after"]["log_loss"] < told["before"]["log_loss"]
    assert told["after"]["ece"] < told["before"]["ece"]
    assert told["before"]["log_loss"] == pytest.approx(
        untouched.bundle.manifest.metrics["log_loss"], rel=1e-3
    )
    assert made.outcome.exported.difference < 1e-5
    assert untouched.bundle.manifest.card["calibration"]["temperature"] == 1


def test_a_group_that_the_network_treats_otherwise_is_warned_about_and_kept_out_of_its_input() -> None:
    random = np.random.default_rng(7)
    group = random.integers(0, 2, 1200)
    x = random.normal(size=(1200, 3))
    x[:, 2] += 2 * group  # a feature that stands for the group
    y = (x[:, 0] + x[:, 2] - 1 > 0).astype(np.int64)
    beside = {"sex": np.array(["f", "m"], object)[group]}

    made = result(x, y, more="fairness: {fields: [sex]}\n", beside=beside)

    (field,) = made.bundle.manifest.card["fairness"]["fields"]
    assert [one["group"] for one in field["groups"]] == ["f", "m"]
    assert field["gaps"]["demographic_parity"] > 0.3
    assert "unequal groups" in signs(made.outcome)
    assert "the groups of sex differ by" in " ".join(made.outcome.diagnosis.findings)


def test_a_rare_label_whose_rows_are_found_in_order_is_a_signal() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(2000, 3))
    known = x[:, 0] + x[:, 1] + random.normal(size=2000)

    made = outcome(x, (known > np.quantile(known, 0.92)).astype(int))

    assert made.scores.values["roc_auc"] > 0.8
    assert "no signal" not in signs(made)


def test_few_rows_without_a_mistake_leave_room_for_chance() -> None:
    x = np.random.default_rng(0).normal(size=(300, 2))
    made = outcome(x, (x[:, 0] > 0).astype(np.int64), training="lr: 0.05, epochs: 60, batch: 32, test: 0.1")

    assert made.scores.values["accuracy"] > 0.95
    assert made.diagnosis.noise == pytest.approx(
        deviation_of_share(made.scores.values["accuracy"], 30), abs=1e-4
    )
    assert made.diagnosis.noise > 0.03


def test_private_names_stand_neither_on_the_card_nor_in_a_finding() -> None:
    x, y = noisy_line(400)
    told = np.column_stack([x, y + 0.001 * np.random.default_rng(0).normal(size=400)])

    made = result(
        told,
        y,
        more="private: [f4, f3]\nfairness: {fields: [f9], bound: 0.01}\n",
        beside={"f9": y.astype(str).astype(object)},
    )

    card = made.bundle.manifest.card
    assert "private 1 (1.000)" in made.outcome.diagnosis.findings[1]
    assert [one["name"] for one in card["summary"]["features"]] == [
        "f0",
        "f1",
        "f2",
        "private 2",
        "private 1",
    ]
    assert not re.search(r"\bf[34]\b", json.dumps(card) + page(made.bundle.manifest).decode())


def test_of_very_many_numbers_some_rows_are_looked_at_and_all_of_them_scored() -> None:
    x = np.zeros((30_000, 200), np.float32)
    x[:, 0] = np.arange(30_000)
    targets = np.arange(30_000) % 2
    asked = Asked(Table(rows_of(x), {"x": Values(x)}, targets), np.eye(2)[targets])

    looked_at = part(asked, tuple(map(str, range(200))))

    assert looked_at.features.shape == (5_000, 200)
    assert (looked_at.features[0, 0], looked_at.features[-1, 0]) == (0, 29_999)
    assert len(looked_at.given.truth) == len(looked_at.given.keys) == 5_000
    assert len(asked.given) == 30_000
