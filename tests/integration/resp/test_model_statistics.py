"""AI.INFO tells what a model was used for, through every door and worker; RESETSTAT begins anew."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from redis.exceptions import ResponseError

from models.store import ModelStore
from server.inference.asking import Ask
from server.inference.engine import Engine
from server.metrics import Metrics
from server.resp.caller import Caller
from server.resp.commands import model_statistics, models
from tests import graphs
from tests.integration.resp.callers import Asker

COMMANDS = (*models.COMMANDS, *model_statistics.COMMANDS)
NAMES = [b"key", b"type", b"backend", b"device", b"tag", b"duration", b"samples", b"calls", b"errors"]
TABLE = graphs.f32([[0.0, 0.0], [1.0, 1.0]])


@pytest.fixture
def asked(caller: Caller) -> Asker:
    return Asker(caller, COMMANDS)


async def store_model(asked: Asker, *options: Any) -> None:
    words = ("AI.MODELSTORE", "m", "ONNX", "CPU", *options, "BLOB", graphs.looked_up(TABLE))
    assert await asked(*words) == b"OK"


async def look_up(engine: Engine, *indices: int, version: int = 1) -> None:
    inputs = {"i": np.array(indices, np.int64)}
    await asyncio.gather(
        engine.predictor.predict(Ask("m", version, inputs=inputs, tensors=True)), return_exceptions=True
    )


async def told(asked: Asker, key: str = "m") -> dict[bytes, Any]:
    facts = await asked("AI.INFO", key)
    assert facts[0::2] == NAMES
    return dict(zip(facts[0::2], facts[1::2], strict=True))


async def test_calls_rows_and_failures_are_counted(asked: Asker) -> None:
    await store_model(asked, "TAG", "v1")
    engine = asked.caller.engine
    before = await told(asked)
    await look_up(engine, 0, 1, 1)
    await look_up(engine, 1)
    await look_up(engine, 7)

    facts = await told(asked)

    assert [before[name] for name in (b"duration", b"samples", b"calls", b"errors")] == [0, 0, 0, 0]
    assert [facts[name] for name in NAMES[:5]] == [b"m", b"MODEL", b"ONNX", b"CPU", b"v1"]
    assert [facts[name] for name in (b"samples", b"calls", b"errors")] == [4, 3, 1]
    assert facts[b"duration"] > 0


async def test_after_a_reset_what_comes_is_counted_and_other_numbers_go_on(asked: Asker) -> None:
    await store_model(asked)
    engine = asked.caller.engine
    await look_up(engine, 0, 1)
    await look_up(engine, 7)

    assert await asked("AI.INFO", "m", "resetstat") == b"OK"

    facts = await told(asked)
    assert [facts[name] for name in NAMES[5:]] == [0, 0, 0, 0]
    await look_up(engine, 0)
    facts = await told(asked)
    assert [facts[name] for name in (b"samples", b"calls", b"errors")] == [1, 1, 0]
    assert engine.metrics.statistics("m", 1).inference_count == 3


async def test_a_model_that_is_stored_again_begins_at_nothing(asked: Asker) -> None:
    await store_model(asked)
    await look_up(asked.caller.engine, 0)

    await store_model(asked)

    assert (await told(asked))[b"calls"] == 0


async def test_a_model_of_another_door_is_told_of_by_its_name(asked: Asker, store: ModelStore) -> None:
    await store.publish(graphs.bundle(graphs.looked_up(TABLE), "m"))
    await look_up(asked.caller.engine, 0, 1)

    assert (await told(asked))[b"samples"] == 2


async def test_a_key_without_a_model_has_no_numbers(asked: Asker) -> None:
    await asked.caller.redis([("SET", "text", "a"), ("LPUSH", "list", "a")])

    for key in ("absent", "text", "list"):
        found = await asked("AI.INFO", key)
        assert isinstance(found, ResponseError)
        assert str(found) == "ERR cannot find run info for key"
    too_many = str(await asked("AI.INFO", "m", "RESETSTAT", "more"))
    assert too_many == "ERR wrong number of arguments for 'ai.info' command"


async def test_any_other_third_word_is_passed_over(asked: Asker) -> None:
    await store_model(asked)

    assert (await asked("AI.INFO", "m", "nonsense"))[0::2] == NAMES


async def test_the_numbers_are_those_of_all_workers_wherever_they_are_reset(
    tmp_path: Path,
) -> None:
    counting = [Metrics(tmp_path), Metrics(tmp_path)]
    for metrics, rows in zip(counting, (2, 3), strict=True):
        metrics.of("m", 1).request(rows, 0.001)
        metrics.of("m", 1).batch(rows, 1, 0.0, 0.001, 0.0)

    assert counting[0].usage("m", 1) == counting[1].usage("m", 1)
    assert counting[0].usage("m", 1)[:3] == (2, 0, 5)
    for metrics in counting:
        metrics.reset_usage("m", 1, metrics.usage("m", 1))
        assert [one.usage("m", 1)[:3] for one in counting] == [(0, 0, 0)] * 2
    counting[1].of("m", 1).request(1, 0.001)
    counting[0].reset_usage("m", 1, counting[0].usage("m", 1))
    counting[1].of("m", 1).request(1, 0.001)
    assert [one.usage("m", 1).calls for one in counting] == [1, 1]

    counting[0].forget("m", 1)
    counting[1].forget("m", 1)
    assert counting[0].usage("m", 1).calls == 0
