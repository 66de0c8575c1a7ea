"""A training as a whole, on rows that are already in memory."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from cli.listing import score as listed_score
from models.manifest import Manifest
from models.recipe import Recipe
from tests.unit.trainer.tables import CLOUDS, LINE, SLOPES, clouds, keys, line, recipe, slopes
from trainer.card import curve, held_out
from trainer.errors import BadNetwork, BadReportPath
from trainer.events import Event, Journal, StageBegan, StageEnded, as_json
from trainer.exporting.export import answers
from trainer.fitting.fit import Epoch, History
from trainer.outcome import HeldOut, TrainResult
from trainer.report import write_report
from trainer.run import train, train_on
from trainer.tasks.task import task_of
from trainer.training import signature_of

TOLD: list[Event] = []


@pytest.fixture(scope="module")
def result() -> TrainResult:
    return train_on(recipe(), clouds(), Journal(TOLD.append))


def test_a_classifier_is_made_judged_and_described(result: TrainResult) -> None:
    manifest = result.bundle.manifest

    assert (manifest.name, manifest.task, manifest.labels, manifest.output) == (
        "clouds",
        "classification",
        ("left", "right"),
        "probabilities",
    )
    assert manifest.metrics["accuracy"] > 0.95
    assert {"f1", "log_loss", "roc_auc", "baseline_accuracy"} <= set(manifest.metrics)
    assert manifest.features is not None
    assert manifest.features.inputs[0].dtype == "float32"
    assert Recipe.model_validate(manifest.recipe) == recipe()


def test_a_manifest_survives_redis(result: TrainResult) -> None:
    sealed = result.bundle.sealed(3).manifest

    assert Manifest.from_json(sealed.to_json(), "clouds", 3) == sealed


def test_the_card_tells_what_was_held_out(result: TrainResult) -> None:
    card = result.bundle.manifest.card
    held_out = result.outcome.held_out

    assert card["held_out"]["keys"] == list(held_out.keys)
    assert card["held_out"]["sha256"] == sha256("\n".join(held_out.keys).encode()).hexdigest()
    assert card["data"]["rows"] == {"train": 78, "validation": 18, "held_out": 24, "skipped": {}}
    assert card["diagnosis"]["verdict"] == result.outcome.diagnosis.verdict
    assert len(card["training"]["curve"]) == 12
    assert json.loads(json.dumps(card)) == card


def test_held_out_keys_come_with_their_true_labels(result: TrainResult) -> None:
    table = clouds()
    truth = dict(zip(table.keys, table.targets, strict=True))

    held_out = result.outcome.held_out

    assert held_out.targets == tuple(("left", "right")[truth[key]] for key in held_out.keys)


def test_what_is_held_out_changes_nothing_and_the_rest_gives_the_same_bytes_again(
    result: TrainResult,
) -> None:
    forged = clouds()
    for row, key in enumerate(forged.keys):
        if key in result.outcome.held_out.keys:
            forged.inputs["x"].x[row] = 1e3

    again = train_on(recipe(), forged)

    assert again.bundle.onnx == result.bundle.onnx
    assert again.bundle.manifest.metrics != result.bundle.manifest.metrics


def test_a_regression_is_made_in_its_own_unit() -> None:
    table = line()

    result = train_on(recipe(LINE), table)

    manifest = result.bundle.manifest
    signature = signature_of(recipe(LINE), task_of(recipe(LINE), table))
    values = answers(result.bundle.onnx, signature, table).reshape(-1)
    assert (manifest.task, manifest.output, manifest.labels) == ("regression", "value", ())
    assert manifest.metrics["r2"] > 0.9
    assert np.corrcoef(values, table.targets)[0, 1] > 0.95
    assert "confusion" in manifest.card
    assert manifest.card["confusion"] is None


def test_errors_of_very_small_values_are_no_zeros() -> None:
    table = line()
    small = replace(table, targets=table.targets * 1e-9)
    told: list[Event] = []

    result = train_on(recipe(LINE), small, Journal(told.append))

    manifest = result.bundle.manifest
    low, high = manifest.card["intervals"]["rmse"]
    assert 0 < low < manifest.metrics["rmse"] < high < 1e-7
    assert manifest.metrics["baseline_mae"] > 0
    assert not [one for one in told if isinstance(one, StageEnded) and "rmse 0.0000" in str(one.result)]
    assert listed_score(manifest)[0].endswith("e-09")


def test_sequences_of_every_length_are_learned() -> None:
    result = train_on(recipe(SLOPES), slopes())

    manifest = result.bundle.manifest
    assert [one.name for one in manifest.inputs] == ["x", "x_length"]
    assert manifest.metrics["accuracy"] > 0.9
    assert manifest.card["parity"]["largest_difference"] < 1e-5


def test_many_held_out_keys_are_kept_as_a_digest() -> None:
    facts = held_out(recipe(), HeldOut(keys(1001), ("left",) * 1001))

    assert "keys" not in facts
    assert facts["rows"] == 1001
    assert facts["sha256"] == sha256("\n".join(keys(1001)).encode()).hexdigest()


def test_a_long_curve_is_thinned() -> None:
    thinned = curve(History([Epoch(1 / 3, None, None, 0.1)] * 450, 450))

    assert len(thinned) == 150
    assert thinned[:2] == [[1, 0.333333, None, None], [4, 0.333333, None, None]]


def test_stages_are_told_in_order_with_their_time_and_result(result: TrainResult) -> None:
    began = [event.stage for event in TOLD if isinstance(event, StageBegan)]
    ended = [event for event in TOLD if isinstance(event, StageEnded)]

    expected = ["fit", "export", "evaluate", "baseline", "judge", "attribute"]
    assert began == [event.stage for event in ended] == expected
    assert all(event.result and event.seconds >= 0 for event in ended)
    assert {event.stage: event.seconds for event in ended} == result.outcome.seconds
    assert [json.loads(json.dumps(as_json(event)))["event"] for event in TOLD[:2]] == [
        "stage_began",
        "epoch_ended",
    ]


def test_a_network_that_does_not_fit_is_refused_before_redis_is_asked() -> None:
    made = Recipe.parse(CLOUDS.replace("tanh]", "{gru: 3}]"))

    with pytest.raises(BadNetwork, match=r"layer 2 \(linear\) gives \(8\), layer 3 \(gru\) takes"):
        train(made, "redis://127.0.0.1:1")


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_report_is_a_picture(result: TrainResult, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clouds{suffix}"

    write_report(result.bundle.manifest, path)

    assert path.stat().st_size > 5000


def test_a_report_that_cannot_be_drawn_or_written_says_why(result: TrainResult, tmp_path: Path) -> None:
    bare = result.bundle.manifest.model_copy(update={"card": {}})

    with pytest.raises(BadReportPath, match=r"should end in \.png, \.svg, \.pdf"):
        write_report(result.bundle.manifest, tmp_path / "clouds.gif")
    with pytest.raises(BadReportPath, match="cannot be written: No such file or directory"):
        write_report(result.bundle.manifest, tmp_path / "nowhere" / "clouds.png")
    with pytest.raises(BadReportPath, match="was not trained here"):
        write_report(bare, tmp_path / "clouds.png")
