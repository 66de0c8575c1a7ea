"""A manifest says everything about a version, and only what this program understands is read."""

import json
import re
from typing import Any

import pytest
from pydantic import ValidationError

from models.errors import ManifestUnreadable
from models.manifest import Manifest
from models.tensors import TensorSpec
from tests.unit.models.views import view

ROW = TensorSpec(name="x", dtype="float32", shape=("batch", 3))


def output(*shape: int | str, name: str = "y", dtype: Any = "float32") -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape)


def manifest(**facts: Any) -> Manifest:
    return Manifest.model_validate(
        {"name": "churn", "version": 1, "inputs": (ROW,), "outputs": (output("batch", 2),)} | facts
    )


def test_a_manifest_survives_its_stored_form() -> None:
    whole = manifest(
        description="who leaves",
        task="classification",
        labels=("stays", "leaves"),
        output="y",
        features=view({"key": "c:{id}", "as": "hash", "fields": ["a", {"name": "b", "default": 1}, "c"]}),
        metrics={"accuracy": 0.9},
        card={"note": ["ü", None, 1.5]},
        recipe={"name": "churn"},
        created="2026-11-22T12:00:00Z",
        digest="ab",
        size_bytes=5,
        chunks=1,
        opset={"": 20},
        ir_version=10,
        producer="trainer",
    )

    assert Manifest.from_json(whole.to_json(), "churn", 1) == whole


def test_the_stored_form_writes_every_default_out() -> None:
    stored = json.loads(manifest().to_json())

    # Said only where there is one: programs that know none read all other models.
    assert set(stored) == set(Manifest.model_fields) - {"threshold", "answer", "execution"}
    assert stored["format"] == 1


def test_a_threshold_is_stored_where_there_is_one_and_refused_where_it_says_nothing() -> None:
    facts: dict[str, Any] = {"labels": ("no", "yes"), "output": "y", "task": "classification"}

    decided = manifest(threshold=0.05, **facts)

    assert json.loads(decided.to_json())["threshold"] == 0.05
    assert Manifest.from_json(decided.to_json(), "churn", 1) == decided
    assert manifest(threshold=0.3, **(facts | {"task": "multilabel"})).threshold == 0.3
    with pytest.raises(ValidationError, match="a threshold is for two labels"):
        manifest(threshold=0.3)


def test_a_manifest_says_how_a_model_at_a_key_was_stored() -> None:
    stored = manifest(execution={"key": "models:churn", "device": "CPU", "batch_rows": 8})

    assert Manifest.from_json(stored.to_json(), "churn", 1) == stored
    assert json.loads(stored.to_json())["execution"]["key"] == "models:churn"


def test_the_stored_form_uses_the_words_of_the_view_file() -> None:
    features = view({"key": "c:{id}", "as": "vector", "shape": [3]})

    (source,) = json.loads(manifest(features=features).to_json())["features"]["inputs"][0]["sources"]

    assert source["as"] == "vector"


def test_metrics_that_are_no_finite_number_are_left_out() -> None:
    found = manifest(metrics={"accuracy": 0.9, "auc": float("nan"), "loss": float("inf"), "rows": 7})

    assert found.metrics == {"accuracy": 0.9, "rows": 7.0}


@pytest.mark.parametrize("metrics", [5, ["accuracy"], {"accuracy": "high"}, {"accuracy": None}])
def test_metrics_that_are_no_numbers_are_refused(metrics: object) -> None:
    with pytest.raises(ValidationError):
        manifest(metrics=metrics)


@pytest.mark.parametrize(
    "facts",
    [
        {"task": "classification", "labels": ("a", "b"), "output": "y"},
        {"task": "multilabel", "labels": ("a", "b"), "output": "y"},
        {"task": "classification", "labels": ("a", "b"), "output": "y", "outputs": (output("batch", 1),)},
        {"task": "classification", "labels": ("a", "b"), "output": "y", "outputs": (output("batch"),)},
        {
            "task": "classification",
            "labels": ("a", "b", "c"),
            "output": "y",
            "outputs": (output("b", "classes"),),
        },
        {"task": "regression", "output": "y"},
        {"task": "tensor", "labels": ("a",)},
    ],
)
def test_an_answer_is_worded_from_an_output_that_holds_it(facts: dict[str, Any]) -> None:
    assert manifest(**facts).task == facts["task"]


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        ({"task": "classification", "output": "y"}, "task classification needs labels"),
        ({"task": "multilabel", "output": "y"}, "task multilabel needs labels"),
        ({"labels": ("a", "a")}, "a label is listed twice"),
        ({"task": "regression", "output": "y", "labels": ("a",)}, "a regression answers a value"),
        ({"task": "regression"}, "output None is none of the graph's outputs"),
        ({"task": "regression", "output": "z"}, "output 'z' is none of the graph's outputs"),
        (
            {"task": "classification", "labels": ("a", "b", "c"), "output": "y"},
            "output 'y' gives 2 values a row, but there are 3 labels",
        ),
        (
            {"task": "multilabel", "labels": ("a", "b", "c"), "output": "y", "outputs": (output("batch"),)},
            "output 'y' gives 1 values a row, but there are 3 labels",
        ),
        ({"name": "a b"}, "name"),
        ({"name": "a\n"}, "name"),
        ({"version": -1}, "version"),
        ({"chunks": 1 << 40}, "chunks"),
        ({"inputs": ()}, "inputs"),
        ({"outputs": ()}, "outputs"),
        ({"format": 2}, "format"),
        ({"colour": "red"}, "colour"),
        ({"description": "\ud800"}, "description"),
        ({"labels": ("\ud800",)}, "labels"),
    ],
    ids=lambda value: value if isinstance(value, str) else "manifest",
)  # fmt: skip
def test_a_manifest_that_contradicts_itself_is_refused(facts: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(fault)):
        manifest(**facts)


@pytest.mark.parametrize(
    ("inputs", "outputs", "batching", "rows"),
    [
        ((("batch", 3),), (("batch", 2),), "dynamic", 0),
        ((("batch", 3), ("n",)), (("?", 2),), "dynamic", 0),
        (((8, 3),), ((8, 2),), "fixed", 8),
        (((8, 3),), (("batch", 2),), "fixed", 8),
        (((8, 3), (4, 3)), ((8, 2),), "none", 0),
        (((8, 3),), ((1, 2),), "none", 0),
        ((("batch", 3),), ((),), "none", 0),
        (((),), (("batch", 2),), "none", 0),
        ((("batch", 3), (8, 3)), (("batch", 2),), "none", 0),
        (((8, 3), ("batch", 3)), (("batch", 2),), "none", 0),
        (((8, 3), (8,)), (("batch", 2),), "fixed", 8),
    ],
)
def test_rows_share_a_run_as_the_first_axes_allow(
    inputs: tuple[Any, ...], outputs: tuple[Any, ...], batching: str, rows: int
) -> None:
    found = manifest(
        inputs=tuple(output(*shape, name=f"x{at}") for at, shape in enumerate(inputs)),
        outputs=tuple(output(*shape, name=f"y{at}") for at, shape in enumerate(outputs)),
    )

    assert (found.batching, found.fixed_rows) == (batching, rows)


def test_a_tensor_is_found_by_its_name() -> None:
    found = manifest()

    assert found.spec("x") == ROW
    assert found.spec("y") == output("batch", 2)
    assert found.spec("z") is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "Invalid JSON"),
        (b"\xff", "Invalid JSON"),
        (b"null", "should be an object"),
        (b"[" * 10_000, "Invalid JSON"),
        (b"{}", "format: is missing"),
        (b'{"format": "one"}', "format: should be a valid integer"),
        (b'{"format": 2}', "it has format 2, this program reads 1; upgrade Insitu"),
        (b'{"format": 0}', "it has format 0"),
        (b'{"format": 1}', "name: is missing; inputs: is missing; outputs: is missing"),
    ],
    ids=range(9),
)
def test_what_is_no_manifest_is_told_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ManifestUnreadable) as caught:
        Manifest.from_json(data, "churn", 1)

    assert str(caught.value).startswith("the manifest of 'churn' version 1 cannot be read: ")
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(("name", "version"), [("fraud", 1), ("churn", 2)])
def test_a_manifest_of_another_model_or_version_is_refused(name: str, version: int) -> None:
    with pytest.raises(ManifestUnreadable, match="it says it is churn version 1"):
        Manifest.from_json(manifest().to_json(), name, version)
