"""Stored models as one line each."""

from datetime import UTC, datetime

from cli.listing import Stored, features_text, metrics_text, model_row, version_row
from models.features import FeatureView
from models.manifest import Manifest
from models.tensors import TensorSpec

MANIFEST = Manifest(
    name="churn",
    version=2,
    created=datetime(2026, 11, 22, 12, tzinfo=UTC),
    description="who leaves",
    inputs=(TensorSpec(name="x", dtype="float32", shape=("batch", 3)),),
    outputs=(TensorSpec(name="y", dtype="float32", shape=("batch", 1)),),
    metrics={"accuracy": 0.98601, "f1": 0.97, "baseline_accuracy": 0.972},
    digest="ab" * 32,
    size_bytes=12_345,
)


def test_a_model_is_shown_by_its_production_version() -> None:
    stored = Stored("churn", {"production": 2, "canary": 3}, [2, 3], {2: MANIFEST})

    row = model_row(stored)

    assert row[:5] == ["churn", 2, 2, "accuracy 0.9860", "0.9720"]


def test_a_manifest_that_cannot_be_read_does_not_hide_the_others() -> None:
    stored = Stored("churn", {"production": 3}, [2, 3], {2: MANIFEST}, {3: "format 9"})

    assert model_row(stored) == ["churn", 3, 2, "unreadable", "", "format 9"]
    assert version_row(stored, 3) == [3, "production", "unreadable", "", "", "format 9"]
    assert version_row(stored, 2)[:5] == [2, "", "accuracy 0.9860", "0.9720", "12.3 kB"]


def test_every_metric_is_in_the_details() -> None:
    assert metrics_text(MANIFEST.metrics) == "accuracy 0.986 (baseline 0.972), f1 0.97"


def test_a_view_is_shown_by_its_keys() -> None:
    view = FeatureView.parse(
        "inputs: [{name: x, sources: [{key: 'txn:{id}', as: hash, fields: [a]}, {inline: true, fields: [hour]}]}]"
    )

    assert features_text(view) == "txn:{id} (hash), 1 inline value"
    assert features_text(None) == "tensors from the request only"
