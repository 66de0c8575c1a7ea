"""A configuration says how a version's requests really wait and run."""

import pytest

from models.execution import Execution
from models.manifest import Manifest
from models.tensors import TensorSpec
from server.inference.batch_limits import BatchLimits
from server.open_inference.describing import Facts, config

SPEC = TensorSpec(name="x", dtype="float32", shape=("rows", 2))


def batching(batch: BatchLimits, execution: Execution | None = None) -> Facts:
    manifest = Manifest(
        name="m", inputs=(SPEC,), outputs=(SPEC.model_copy(update={"name": "y"}),), execution=execution
    )
    found: Facts = config(manifest, None, 64, batch)["dynamic_batching"]
    return found


@pytest.mark.parametrize(("seconds", "microseconds"), [(0.0, 0), (0.00025, 250), (10.0, 10_000_000)])
def test_the_delay_is_how_long_a_batch_of_the_server_waits(seconds: float, microseconds: int) -> None:
    assert batching(BatchLimits(wait_seconds=seconds))["max_queue_delay_microseconds"] == microseconds


def test_a_publisher_who_asked_for_larger_batches_sets_the_delay_of_the_model() -> None:
    execution = Execution(key="m", batch_rows=8, min_batch_rows=4, min_batch_wait_ms=3)

    assert batching(BatchLimits(), execution)["max_queue_delay_microseconds"] == 3000


def test_the_default_level_is_the_servers() -> None:
    assert batching(BatchLimits(default_priority=3))["default_priority_level"] == 3
