"""Requests of the protocol with something wrong that nobody planned: never a fault of ours, never a hang."""

import copy
import gzip
import json
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest

from models.store import ModelStore
from tests.graphs import bundle
from tests.integration.rest.conftest import Client, StartDoor
from tests.integration.rest.graphs import churn
from tests.integration.rest.v2.stored import two_inputs

CASES = 150  # a seed
LENGTH = "inference-header-content-length"
FP32 = np.array([[40, 10]], "<f4").tobytes()
TEXT = b"\x02\0\0\0ab"
Said = tuple[dict[str, Any], bytes]  # the JSON, and what follows it

SEEDS: tuple[tuple[str, Said], ...] = (
    ("churn", ({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2.5]}]}, b"")),
    ("churn", ({"inputs": [{"name": "id", "shape": [2], "datatype": "BYTES", "data": ["1", "2"]}]}, b"")),
    (
        "churn",
        (
            {
                "id": "7",
                "parameters": {"timeout": 5_000_000, "priority": 1, "binary_data_output": True},
                "inputs": [
                    {"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
                ],
                "outputs": [{"name": "y", "parameters": {"classification": 1, "binary_data": False}}],
            },
            FP32,
        ),
    ),
    (
        "two",
        (
            {
                "inputs": [
                    {"name": "a", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}},
                    {"name": "b", "shape": [1, 2], "datatype": "FP32", "data": [[1, 2]]},
                    {"name": "t", "shape": [1, 1], "datatype": "BYTES", "parameters": {"binary_data_size": 6}},
                ]
            },
            FP32 + TEXT,
        ),
    ),
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, 2**64, 1e308, -0.0, 0.5, "", "x", "1", "é\0", [], {}),
    *([[]], [1, [2]], ["a", 1], [None], "FP32", "BYTES", "BF16", "INT64", "BOOL", [-1, 2], [2**40, 4], [0]),
    *(
        [1] * 70,
        "a" * 5000,
        {"binary_data_size": 2**40},
        {"classification": 10**9},
        {"shared_memory_region": "r"},
    ),
)
LENGTHS = ("0", "1", "-1", "", "9" * 20, "abc", "8", "100", "0x8", "1 2", "1.5")
ENCODINGS = ("gzip", "deflate", "br", "identity", "", "gzip, gzip", "x-gzip", "chunked")


def places(data: Any) -> list[tuple[Any, Any]]:
    """Return every container and key in it of a JSON value."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place for key, value in items for place in ((data, key), *places(value))]


def changed(data: dict[str, Any], random: Random) -> None:
    """Change a value somewhere, take it away, or put one beside it."""
    holder, key = random.choice(places(data) or [(data, "inputs")])
    odd = copy.deepcopy(random.choice(VALUES))
    match random.randrange(4):
        case 0 if isinstance(holder, dict):
            holder.pop(key, None)
        case 1 if isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        case 2 if isinstance(holder, dict):
            holder[random.choice(("parameters", "data", "shape", "name", "odd"))] = odd
        case _:
            holder[key] = odd


def broken(body: bytes, random: Random) -> bytes:
    """Change, drop or add bytes."""
    at = random.randrange(len(body) + 1)
    match random.randrange(3):
        case 0:
            return body[:at] + bytes([random.randrange(256)]) + body[at + 1 :]
        case 1:
            return body[:at] + body[at + random.choice((1, 4, 64)) :]
    return body[:at] + random.randbytes(random.choice((1, 4, 64))) + body[at:]


PACKERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}


def invented(random: Random) -> tuple[str, bytes, dict[str, str]]:
    """Return a model, a body and headers."""
    name, (facts, blob) = random.choice(SEEDS)
    data = copy.deepcopy(facts)
    for _ in range(random.choice((0, 1, 1, 2, 5))):
        changed(data, random)
    text = json.dumps(data).encode()
    body, headers = text + blob, {LENGTH: str(len(text))} if blob else {}
    if random.random() < 0.3:
        body = broken(body, random)
    if random.random() < 0.2:
        headers[LENGTH] = random.choice(LENGTHS)
    if random.random() < 0.3:
        coding = random.choice((*PACKERS, *PACKERS, *ENCODINGS))
        headers["content-encoding"] = coding
        body = PACKERS.get(coding, bytes)(body)
        body = broken(body, random) if random.random() < 0.3 else body
    if random.random() < 0.2:
        headers["accept-encoding"] = random.choice((*ENCODINGS, "*", "gzip;q=x", ";;,,"))
    return name, body, headers


@pytest.mark.parametrize("seed", range(4))
async def test_what_nobody_planned_is_answered_or_refused(
    start: StartDoor, store: ModelStore, seed: int
) -> None:
    await store.publish(churn())
    await store.publish(bundle(two_inputs(), "two"))
    client = await start()
    random = Random(seed)
    failed, statuses = [], set()

    for _ in range(CASES):
        name, body, headers = invented(random)
        status, sound = await told(client, name, body, headers)
        statuses.add(status)
        if status >= 500 or not sound:
            failed.append((status, name, body, headers))

    assert failed == []
    assert {200, 400} <= statuses
    name, (facts, _) = SEEDS[0]
    assert (await client.post(f"/v2/models/{name}/infer", json=facts)).status_code == 200


async def told(client: Client, name: str, body: bytes, headers: dict[str, str]) -> tuple[int, bool]:
    """Return the status of an answer, and whether an error is one text."""
    response = await client.post(f"/v2/models/{name}/infer", content=body, headers=headers)
    if response.status_code == 200:
        return 200, True
    error = response.json()
    return response.status_code, list(error) == ["error"] and isinstance(error["error"], str)
