"""What is told of drift, and why there is nothing to compare with."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cli.drift_report import sparkline
from cli.drifting import NoProfile
from cli.job_options import RowOptions
from models.manifest import Manifest
from models.tensors import TensorSpec

X = TensorSpec(name="x", dtype="float32", shape=("batch", 1))


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        (None, "it was not trained here"),
        ({"training": {"privacy": {"epsilon": 3}}}, "its training was private"),
        ({"training": {"epochs": 3}}, "it was trained before there were any; train it again"),
    ],
)
def test_a_model_without_a_profile_is_told_why_and_what_to_do(recipe: Any, why: str) -> None:
    made = Manifest(
        name="churn", version=3, created=datetime.now(UTC), inputs=(X,), outputs=(X,), recipe=recipe
    )

    told = str(NoProfile(made, "PATTERN"))

    assert f"model 'churn' version 3 has no profile to compare with: {why}" in told
    assert told.endswith("compare with rows that were well: --against PATTERN")


@pytest.mark.parametrize(
    ("options", "word", "kind"),
    [
        (RowOptions(), "PATTERN", {"kind": "match", "pattern": "that"}),
        (RowOptions(match="this"), "PATTERN", {"kind": "match", "pattern": "that"}),
        (RowOptions(keys_from="redis:this"), "WHERE", {"kind": "file", "path": "that"}),
        (RowOptions(index="i", query="this"), "QUERY", {"kind": "query", "index": "i", "query": "that"}),
        (RowOptions(instances="this"), "FILE", {"kind": "instances", "path": "that"}),
    ],
)
def test_other_rows_are_named_as_the_first_are(options: RowOptions, word: str, kind: dict[str, Any]) -> None:
    assert options.example == word
    assert options.instead("that").spec() == kind


def test_what_is_there_is_seen_and_what_is_not_is_a_dot() -> None:
    assert sparkline((0.5, 0.25, 0.001, 0.0)) == "█▅▁·"
    assert sparkline(()) == ""
