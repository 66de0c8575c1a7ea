"""Quantisation: what is tried, what is kept and why, and that the file served is the one judged."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from models.recipe import Recipe
from models.recipe_changes import changed
from models.recipe_quantization import Quantization
from tests.unit.trainer.tables import CLOUDS, SLOPES, clouds, recipe, slopes
from trainer.blueprints import blueprint_of
from trainer.errors import BadStart
from trainer.exporting.export import answers
from trainer.exporting.quantization import Measured
from trainer.exporting.quantize import fp16, int8, judged, medians
from trainer.exporting.weights import FOLDED, weights_of
from trainer.fitting.beginning import check_start
from trainer.fitting.starting import Start
from trainer.outcome import TrainResult
from trainer.run import train_on
from trainer.tasks.task import task_of
from trainer.training import signature_of

WIDE = CLOUDS.replace("{linear: 8}, tanh]", "{linear: 256}, relu, {linear: 256}, relu]")
PLAIN = Measured("float32", 1000, {1: 10.0, 64: 100.0}, 0.9, 0.0)
SPEC = Quantization(to="auto", max_loss=0.01)


@pytest.fixture(scope="module")
def wide() -> TrainResult:
    return train_on(changed(recipe(WIDE, epochs=3), {"quantize": "auto"}, "test"), clouds())


def test_every_candidate_is_measured_and_the_served_file_is_the_judged_one(wide: TrainResult) -> None:
    told = wide.bundle.manifest.card["quantization"]
    made = recipe(WIDE)
    table = clouds()
    held_out = table.take(np.array([table.keys.index(key) for key in wide.outcome.held_out.keys]))
    probabilities = answers(wide.bundle.onnx, signature_of(made, task_of(made, table)), held_out)

    assert told["tried"].keys() == {"int8", "fp16"}
    assert told["served"] in ("int8", "fp16", "float32")
    best = told["tried"].get(told["served"], told["float32"])
    assert best["size_bytes"] == len(wide.bundle.onnx)
    assert best["refused"] is None
    for one in (told["float32"], *told["tried"].values()):
        assert one["batch_1_us"] > 0
        assert one["batch_64_us"] > 0
    right = float((probabilities.argmax(1) == held_out.targets).mean())
    assert wide.bundle.manifest.metrics["accuracy"] == pytest.approx(right, abs=1e-6)
    assert wide.outcome.seconds["quantize"] < 30


def test_half_precision_is_half_the_bytes_and_close() -> None:
    plain = train_on(recipe(WIDE, epochs=3), clouds()).bundle.onnx

    small = fp16(plain)

    made, table = recipe(WIDE), clouds()
    signature = signature_of(made, task_of(made, table))
    assert len(small) < 0.52 * len(plain)
    difference = np.abs(answers(small, signature, table) - answers(plain, signature, table)).max()
    assert 0 < difference < 2e-3
    onnx.checker.check_model(onnx.load_from_string(small))
    check_start(made, blueprint_of(made), Start("wide", 1, ("left", "right"), weights_of(small)))


def test_eight_bits_are_a_quarter_of_the_bytes_and_nothing_to_begin_with() -> None:
    plain = train_on(recipe(WIDE, epochs=3), clouds()).bundle.onnx

    small = int8(plain)

    made = recipe(WIDE)
    assert len(small) < 0.32 * len(plain)
    with pytest.raises(BadStart, match="is kept as int8"):
        check_start(made, blueprint_of(made), Start("wide", 1, ("left", "right"), weights_of(small)))


def test_eight_bits_are_judged_as_they_are_served_each_row_by_itself() -> None:
    """Rows of one run share a scale, so a batch has other answers, and takes another time, than its rows one by one."""
    made, table = recipe(WIDE), clouds(64)
    plain = train_on(recipe(WIDE, epochs=3), table).bundle.onnx
    signature = signature_of(made, task_of(made, table))
    small = int8(plain)

    given = answers(small, signature, table)
    spent = medians({"float32": plain, "int8": small}, signature, table)

    alone = [answers(small, signature, table.take(np.array([row]))) for row in range(64)]
    np.testing.assert_array_equal(given, np.concatenate(alone))
    assert spent["int8"][64] > 20 * spent["int8"][1]


def test_folded_weights_are_halved_too_and_dropped_with_eight_bits() -> None:
    text = CLOUDS.replace("{linear: 8}, tanh]", "{linear: 32}, batch_norm, {linear: 32}, batch_norm]")
    plain = train_on(recipe(text, epochs=2), clouds()).bundle.onnx

    half, eight = fp16(plain), int8(plain)

    wanted, given = weights_of(plain), weights_of(half)
    assert wanted.keys() == given.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(given[name], value, rtol=2e-3, atol=1e-4)
    assert FOLDED not in [entry.key for entry in onnx.load_from_string(eight).metadata_props]


def test_sequences_are_quantised_too() -> None:
    result = train_on(
        changed(recipe(SLOPES, epochs=3), {"quantize": "fp16", "network.gru": 24}, "test"), slopes()
    )

    told = result.bundle.manifest.card["quantization"]
    assert told["tried"].keys() == {"fp16"}
    assert told["tried"]["fp16"]["difference"] < 1e-2


def test_without_the_word_nothing_is_tried() -> None:
    result = train_on(recipe(epochs=2), clouds())

    assert result.bundle.manifest.card["quantization"] is None
    assert "quantize" not in result.outcome.seconds


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, None),
        ({"score": 0.895}, None),
        ({"score": 0.88}, "accuracy loses 0.0200, 0.01 is allowed"),
        ({"batch_us": {1: 12.0, 64: 90.0}}, "it is slower here: 1.20 times the time for a batch of 1"),
        ({"batch_us": {1: 9.0, 64: 150.0}}, "it is slower here: 1.50 times the time for a batch of 64"),
        ({"size_bytes": 990}, "it is neither smaller (0.99 of the bytes) nor faster (1.00 of the time)"),
        ({"size_bytes": 1200, "batch_us": {1: 8.0, 64: 80.0}}, None),
    ],
)
def test_a_candidate_is_kept_only_if_it_pays(changes: dict[str, object], refused: str | None) -> None:
    one = replace(Measured("int8", 500, {1: 10.0, 64: 100.0}, 0.9, 0.01), **changes)  # type: ignore[arg-type]  # by field

    assert judged(one, PLAIN, SPEC, "accuracy").refused == refused


@pytest.mark.parametrize(("rmse", "kept"), [(50.4, True), (50.6, False), (49.0, True)])
def test_of_an_error_a_share_may_be_lost(rmse: float, kept: bool) -> None:
    plain = replace(PLAIN, score=50.0)
    one = replace(PLAIN, to="fp16", size_bytes=500, score=rmse)

    assert (judged(one, plain, SPEC, "rmse").refused is None) is kept


def test_a_recipe_writes_it_as_a_word_or_with_its_bound() -> None:
    short = Recipe.parse(CLOUDS + "quantize: int8\n")
    long = Recipe.parse(CLOUDS + "quantize: {to: int8, max_loss: 0.005}\n")

    assert short == long
    assert Recipe.model_validate(short.as_data()) == short
