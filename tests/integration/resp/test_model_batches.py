"""BATCHSIZE, MINBATCHSIZE and MINBATCHTIMEOUT decide how the rows of a model run together."""

import asyncio
import time
from typing import Any

import numpy as np
import pytest

from server.counting.version_statistics import Statistics
from server.inference.asking import Ask
from server.resp.caller import Caller
from server.resp.commands.models import COMMANDS
from tests import graphs
from tests.integration.resp.callers import Asker
from tests.integration.resp.conftest import MakeCaller, StartEngine

FILE = graphs.scaled()


async def store_model(caller: Caller, *options: Any, file: bytes = FILE) -> None:
    words = ("AI.MODELSTORE", "m", "ONNX", "CPU", *options, "BLOB", file)
    assert await Asker(caller, COMMANDS)(*words) == b"OK"


async def ask(caller: Caller, rows: int = 1) -> float:
    """Run the model on rows, and return how many seconds that took."""
    inputs = {"x": np.ones((rows, 2), np.float32)}
    started = time.monotonic()
    answer = await caller.engine.predictor.predict(Ask("m", 1, inputs=inputs, tensors=True))
    assert answer.outputs is not None
    assert len(answer.outputs["y"]) == rows
    return time.monotonic() - started


def counted(caller: Caller) -> Statistics:
    return caller.engine.metrics.statistics("m", 1)


async def test_no_more_rows_run_together_than_batchsize(caller: Caller) -> None:
    await store_model(caller, "BATCHSIZE", 2)

    await asyncio.gather(*(ask(caller) for _ in range(9)))

    assert counted(caller).inference_count == 9
    assert max(one.size for one in counted(caller).batches) == 2


async def test_a_request_of_more_rows_than_batchsize_runs_by_itself(caller: Caller) -> None:
    await store_model(caller, "BATCHSIZE", 2)

    await asyncio.gather(ask(caller, 1), ask(caller, 7), ask(caller, 1))

    assert sorted(one.size for one in counted(caller).batches) == [1, 7]


async def test_batchsize_never_raises_what_the_server_is_set_to(
    engine: StartEngine, make_caller: MakeCaller
) -> None:
    caller = await make_caller(await engine(max_batch_rows=4))
    await store_model(caller, "BATCHSIZE", 1000)

    await asyncio.gather(*(ask(caller) for _ in range(20)))

    assert max(one.size for one in counted(caller).batches) == 4


async def test_a_lone_row_waits_for_another_one(caller: Caller) -> None:
    await store_model(caller, "BATCHSIZE", 8, "MINBATCHSIZE", 2, "MINBATCHTIMEOUT", 9000)

    first = asyncio.create_task(ask(caller))
    await asyncio.sleep(0.1)
    assert not first.done()
    await asyncio.gather(first, ask(caller))

    assert [(one.size, one.compute_infer.count) for one in counted(caller).batches] == [(2, 1)]


async def test_a_lone_row_is_answered_when_its_time_is_over(caller: Caller) -> None:
    await store_model(caller, "BATCHSIZE", 8, "MINBATCHSIZE", 2, "MINBATCHTIMEOUT", 300)

    assert 0.3 <= await ask(caller) < 5


async def test_a_lone_row_without_a_time_is_answered_soon(caller: Caller) -> None:
    await store_model(caller, "BATCHSIZE", 8, "MINBATCHSIZE", 2)

    assert 0.01 <= await ask(caller) < 5


@pytest.mark.parametrize("graph", [graphs.running_total(), graphs.positions(), graphs.total()])
async def test_rows_that_share_no_run_do_not_wait(caller: Caller, graph: bytes) -> None:
    await store_model(caller, "BATCHSIZE", 8, "MINBATCHSIZE", 2, "MINBATCHTIMEOUT", 9000, file=graph)
    inputs = {"x": np.ones((1, 2), np.float32)}

    async with asyncio.timeout(5):
        await caller.engine.predictor.predict(Ask("m", 1, inputs=inputs, tensors=True))
