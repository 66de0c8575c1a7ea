"""Every way of asking agrees with ONNX Runtime called directly on the same tensors."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from models.connecting import connect
from models.store import ModelStore
from tests.conftest import missing
from tests.integration.agreement.cases import CASES, ROWS, Case
from tests.integration.agreement.ways import WAYS, Answers, House
from tests.servers import RedisServer, json_module
from tests.serving import ServeCommand


@pytest.fixture(scope="module")
def house(redis_binary: Path) -> Iterator[House]:
    module = json_module()
    redis = RedisServer(redis_binary, ("--loadmodule", str(module)) if module else ()).start()
    client = redis.connect()
    cases = [case for case in CASES.values() if module or not case.json]
    for case in cases:
        case.write(client)
    asyncio.run(publish(redis.url, cases))
    server = ServeCommand(redis.url).start()
    try:
        yield House(client, redis.url, server.url)
    finally:
        server.stop()
        client.close()
        redis.close()


async def publish(url: str, cases: list[Case]) -> None:
    store = ModelStore(connect(url))
    for case in cases:
        await store.publish(case.bundle)
    await store.redis.aclose()


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    found = CASES[request.param]
    if found.json and json_module() is None:
        missing("no JSON module: pip install 'insitu[json-tests]'")
    return found


def directly(case: Case) -> NDArray[Any]:
    """Return the output of ONNX Runtime itself: (ROWS, width); rows repeated where the batch is fixed."""
    session = ort.InferenceSession(case.bundle.onnx, providers=["CPUExecutionProvider"])
    size = case.bundle.manifest.fixed_rows or ROWS
    rows = -(-ROWS // size) * size
    index = np.minimum(np.arange(rows), ROWS - 1)
    feeds = {name: tensor[index] for name, tensor in case.tensors.items()}
    parts = [
        session.run(
            [case.bundle.manifest.output], {name: one[at : at + size] for name, one in feeds.items()}
        )[0]
        for at in range(0, rows, size)
    ]
    return np.concatenate(parts)[:ROWS].reshape(ROWS, -1)


def numbers(case: Case, answers: Answers) -> NDArray[Any]:
    """Return the numbers of worded answers in the columns of the graph's output."""
    if case.bundle.manifest.task == "regression":
        return np.array([[one["value"]] for one in answers])
    columns = [[one["probabilities"][label] for label in case.bundle.manifest.labels] for one in answers]
    return np.array(columns)[:, -directly(case).shape[1] :]  # one sigmoid is the second label's


def likeliest(case: Case, expected: NDArray[Any]) -> list[str | None]:
    """Return the label of each row; None where the task has none."""
    if case.bundle.manifest.task != "classification":
        return [None] * ROWS
    full = expected if expected.shape[1] > 1 else np.concatenate((1 - expected, expected), axis=1)
    return [case.bundle.manifest.labels[column] for column in full.argmax(axis=1)]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_asking_agrees_with_onnx_runtime(house: House, case: Case, way: str) -> None:
    expected = directly(case)

    answers = WAYS[way](house, case)

    assert len(answers) == ROWS
    np.testing.assert_allclose(numbers(case, answers), expected, rtol=1e-5, atol=1e-6)
    assert [one.get("label") for one in answers] == likeliest(case, expected)


@pytest.mark.parametrize("rows", ["keys", "instances", "inputs"])
def test_raw_answers_are_the_outputs_of_the_graph(house: House, case: Case, rows: str) -> None:
    output = case.bundle.manifest.outputs[0].name

    answers = house.post(f"{case.name}/predict", {rows: getattr(case, rows), "raw": True})

    found = np.array([one["outputs"][output] for one in answers]).reshape(ROWS, -1)
    np.testing.assert_allclose(found, directly(case), rtol=1e-5, atol=1e-6)


def test_a_bad_row_changes_no_other(house: House, case: Case) -> None:
    whole = house.post(f"{case.name}/predict", {"keys": case.keys})

    mixed = house.post(f"{case.name}/predict", {"keys": [case.keys[0], f"{case.keys[0]}99", *case.keys[1:]]})

    assert mixed[1]["error"]["code"] == "key_missing"
    good = [mixed[0], *mixed[2:]]
    np.testing.assert_allclose(numbers(case, good), numbers(case, whole), rtol=1e-5, atol=1e-6)
