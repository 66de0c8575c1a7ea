"""The golden bytes of tests/data/contract/ are read, and written again byte for byte."""

import json

import numpy as np

from models.assembly import Plan
from models.bundle import Bundle
from models.graph import inspect_graph
from models.manifest import Manifest
from models.tensors import TensorSpec
from tests.data.make_contract import CHUNK_BYTES, FOLDER, STEPS, VECTOR, VIEW, bundle, graph, key_table
from tests.unit.models.views import assembled, plan


def test_the_stored_manifest_is_read_and_written_again_byte_for_byte() -> None:
    stored = (FOLDER / "manifest.json").read_bytes()

    manifest = Manifest.from_json(stored, "churn", 1)

    assert manifest.to_json() == stored
    assert (manifest.task, manifest.labels, manifest.output) == ("classification", ("stays", "leaves"), "y")
    assert manifest.features is not None
    assert Plan(manifest.features).template.text == "customer:{id}"


def test_the_manifest_composed_today_is_the_stored_one() -> None:
    assert bundle().sealed(1, CHUNK_BYTES).manifest.to_json() == (FOLDER / "manifest.json").read_bytes()


def test_the_stored_graph_has_the_signature_that_its_manifest_says() -> None:
    stored = (FOLDER / "graph.onnx").read_bytes()
    manifest = Manifest.from_json((FOLDER / "manifest.json").read_bytes(), "churn", 1)

    found = inspect_graph(stored)

    assert (found.inputs, found.outputs, found.opset) == (manifest.inputs, manifest.outputs, manifest.opset)
    assert Bundle(manifest, stored).sealed(1, CHUNK_BYTES).manifest == manifest
    assert stored == graph()
    assert TensorSpec(name="y", dtype="float32", shape=("batch", 1)) in found.outputs


def test_every_key_is_the_stored_one() -> None:
    assert key_table() == json.loads((FOLDER / "keys.json").read_text())


def test_a_stored_vector_is_read_as_the_numbers_it_was_made_of() -> None:
    stored = (FOLDER / "vector-float32-2x3.bin").read_bytes()

    found = assembled(plan({"key": "v:{id}", "as": "vector", "shape": [2, 3]}), [stored])

    assert VECTOR.tobytes() == stored
    np.testing.assert_array_equal(found.groups[0].feeds["x"], VECTOR[None])


def test_stored_steps_are_read_as_the_numbers_they_were_made_of() -> None:
    stored = (FOLDER / "list-int16-2.bin").read_bytes()
    raw = [stored[at : at + 4] for at in range(0, len(stored), 4)]
    text = (FOLDER / "list-text.txt").read_bytes().splitlines()
    source = {"key": "u:{id}", "as": "list", "dtype": "int16", "shape": [2], "last": 8}

    from_raw = assembled(plan(source), [raw])
    from_text = assembled(plan({**source, "encoding": "text"}), [text])

    for found in (from_raw, from_text):
        assert found.groups[0].feeds["x"].tolist() == [[list(step) for step in STEPS]]


def test_the_view_of_the_golden_bundle_reads_a_row() -> None:
    manifest = Manifest.from_json((FOLDER / "manifest.json").read_bytes(), "churn", 1)
    assert manifest.features is not None
    assert VIEW.count("as:") == 4
    compiled = Plan(manifest.features)
    prepared = compiled.prepare_keys(["customer:7"])
    steps = [np.array(step, "<i2").tobytes() for step in STEPS]
    vector = np.array([1, 2, 3], "<f4").tobytes()

    found = compiled.assemble(
        prepared, [[b"33", b"XX", b"1700000000"], b"[0.5]", vector, steps], now=1_700_000_000.0
    )

    assert prepared.commands == [
        ("HMGET", "customer:7", "age", "country", "updated"),
        ("JSON.GET", "profile:7", "$.scores[0]"),
        ("GET", "customer:7:ref"),
        ("LRANGE", "visits:7", -8, -1),
    ]
    (group,) = found.groups
    assert group.feeds["x"].tolist() == [[33.0, 1.0, 0.5, 1.0, 2.0, 3.0, 12.0]]
    assert group.feeds["s"].tolist() == [[[1.0, -2.0], [300.0, 4.0], [5.0, 0.0]]]
    assert group.feeds["n"].tolist() == [3]
