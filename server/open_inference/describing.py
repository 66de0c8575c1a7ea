"""Metadata and configuration of models as the protocol and Triton word them."""

from collections.abc import Sequence
from typing import Any

from models.assembly import Plan
from models.manifest import Manifest
from models.tensors import TensorSpec
from server.inference.batch_limits import BatchLimits
from server.inference.priorities import LEVELS
from server.open_inference.asking import key_inputs
from server.open_inference.datatypes import BYTES, DATATYPES, type_of

PLATFORM = "onnxruntime_onnx"
BACKEND = "onnxruntime"
MICROSECONDS = 1_000_000  # in a second
EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "parameters",
    "schedule_policy",
    "statistics",
    "trace",
    "logging",
)
Facts = dict[str, Any]


def server_metadata(version: str) -> Facts:
    """Return what a server says of itself."""
    return {"name": "insitu", "version": version, "extensions": [*EXTENSIONS]}


def model_metadata(manifest: Manifest, versions: Sequence[int], plan: Plan | None) -> Facts:
    """Return the signature of a version; `properties` say how its rows are named by Redis keys."""
    facts: Facts = {
        "name": manifest.name,
        "versions": [str(version) for version in versions],
        "platform": PLATFORM,
        "inputs": [described(spec) for spec in manifest.inputs],
        "outputs": [described(spec) for spec in manifest.outputs],
    }
    if plan is not None:
        facts["properties"] = properties(plan)
    return facts


def properties(plan: Plan) -> dict[str, str]:
    """Return how rows are named in place of tensors: the keys, and an input for each of their placeholders."""
    return {
        "keys": ",".join(dict.fromkeys(template.text for template in plan.templates)),
        "key_inputs": ",".join(f"{name}:{BYTES}:[-1]" for name in plan.placeholders),
        "inline_inputs": ",".join(name for name in key_inputs(plan) if name not in plan.placeholders),
    }


def described(spec: TensorSpec) -> Facts:
    """Return one tensor; a free dimension is -1."""
    return {
        "name": spec.name,
        "datatype": DATATYPES[spec.dtype],
        "shape": [dim if isinstance(dim, int) else -1 for dim in spec.shape],
    }


def config(manifest: Manifest, plan: Plan | None, rows: int, batch: BatchLimits) -> Facts:
    """Return a version's configuration as Triton has one; dimensions are without the batch's where there is one.

    Units: rows, of one request at the most; batch, the bounds of every queue of the server.
    """
    batched = manifest.batching == "dynamic"
    facts: Facts = {
        "name": manifest.name,
        "platform": PLATFORM,
        "backend": BACKEND,
        "version_policy": {"all": {}},
        "max_batch_size": rows if batched else 0,
        "input": [configured(spec, batched) for spec in manifest.inputs],
        "output": [configured(spec, batched) for spec in manifest.outputs],
        "instance_group": [{"name": manifest.name, "kind": "KIND_CPU", "count": 1}],
        "default_model_filename": "model.onnx",
        "parameters": {},
    }
    if batched:
        wait_seconds = batch.asked(manifest.execution, rows_apart=True).wait_seconds
        facts["dynamic_batching"] = {
            "preferred_batch_size": [],
            "max_queue_delay_microseconds": round(wait_seconds * MICROSECONDS),
            "preserve_ordering": False,
            "priority_levels": LEVELS,
            "default_priority_level": batch.default_priority,
        }
    if plan is not None:
        facts["parameters"] = {name: {"string_value": text} for name, text in properties(plan).items()}
    return facts


def configured(spec: TensorSpec, batched: bool) -> Facts:
    """Return one tensor of a configuration."""
    dims = [dim if isinstance(dim, int) else -1 for dim in spec.shape]
    return {"name": spec.name, "data_type": type_of(spec.dtype), "dims": dims[1:] if batched else dims}
