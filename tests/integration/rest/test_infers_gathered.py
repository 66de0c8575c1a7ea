"""Inference requests that arrive together are run together, and each gets its own rows or its own error."""

import asyncio
from typing import Any

import numpy as np
import orjson
import pytest
from onnx import TensorProto
from redis.asyncio import Redis

from models.store import ModelStore
from models.tensors import numpy_dtype
from tests.graphs import bundle, f32, looked_up, model, node, passed, running_total, scaled, value
from tests.integration.rest.conftest import Listen
from tests.integration.rest.inferred import BINARY, BYTES_KIND
from tests.integration.rest.speaking import line, post
from tests.integration.rest.wired import Wire

CLIENTS = 24


def asked(name: str, data: np.ndarray[Any, Any], model: str = "m", **more: Any) -> bytes:
    """A binary request of one input."""
    datatype = {"f": "FP32", "i": "INT64"}[data.dtype.kind]
    one = {
        "name": name,
        "shape": data.shape,
        "datatype": datatype,
        "parameters": {"binary_data_size": data.nbytes},
    }
    json = orjson.dumps({"inputs": [one], "parameters": BINARY, **more})
    length = f"Inference-Header-Content-Length: {len(json)}"
    return post(json + data.tobytes(), length, path=f"/v2/models/{model}/infer", kind=BYTES_KIND)


def told(raw: bytes) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    """The JSON of an answer and its only output, of float32."""
    head, _, body = raw.partition(b"\r\n\r\n")
    size = int(head.lower().partition(b"inference-header-content-length: ")[2].partition(b"\r\n")[0])
    facts = orjson.loads(body[:size])
    (output,) = facts["outputs"]
    return facts, np.frombuffer(body[size:], "<f4").reshape(output["shape"])


async def together(wire: Wire, requests: list[bytes]) -> list[Any]:
    """Say each on a connection of its own, all at once, and return the replies."""

    async def one(said: bytes, ready: asyncio.Barrier) -> Any:
        async with line(wire.port) as own:
            await ready.wait()
            await own.say(said)
            (reply,) = await own.hear(1)
            return reply

    barrier = asyncio.Barrier(len(requests))
    return list(await asyncio.gather(*(one(said, barrier) for said in requests)))


async def metrics(wire: Wire) -> dict[str, float]:
    """What was counted, by name and labels."""
    async with line(wire.port) as one:
        await one.say(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        (reply,) = await one.hear(1)
    rows = reply.raw.partition(b"\r\n\r\n")[2].decode().splitlines()
    return {row.rsplit(" ", 1)[0]: float(row.rsplit(" ", 1)[1]) for row in rows if not row.startswith("#")}


async def batches(wire: Wire, model: str) -> float:
    """How many runs a model had."""
    return (await metrics(wire))[f'insitu_batch_rows_count{{model="{model}",version="1"}}']


async def test_each_client_gets_its_own_rows(listen: Listen, store: ModelStore) -> None:
    await store.publish(bundle(scaled()))
    wire = await listen()
    rows = [f32([[client, 2 * row] for row in range(3)]) for client in range(CLIENTS)]
    await together(wire, [asked("x", rows[0])])

    for _ in range(5):
        replies = await together(wire, [asked("x", one) for one in rows])

        for reply, one in zip(replies, rows, strict=True):
            facts, output = told(reply.raw)
            assert facts["outputs"][0]["shape"] == [3, 2]
            assert (output == 2 * one).all()


async def test_those_of_one_moment_share_runs(listen: Listen, store: ModelStore) -> None:
    await store.publish(bundle(scaled()))
    wire = await listen()
    async with line(wire.port) as one:
        await one.say(asked("x", f32([[1, 2]])) * 200)
        await one.hear(200)

    assert await batches(wire, "m") < 100


async def test_a_row_that_fails_fails_its_own_request_alone(listen: Listen, store: ModelStore) -> None:
    await store.publish(bundle(looked_up(f32([[1], [2]]))))
    wire = await listen()
    rows = [np.array([99 if client == 7 else client % 2]) for client in range(CLIENTS)]
    await together(wire, [asked("i", np.array([0]))])

    replies = await together(wire, [asked("i", one) for one in rows])

    assert [reply.status for reply in replies] == [400 if client == 7 else 200 for client in range(CLIENTS)]
    assert [told(reply.raw)[1][0, 0] for reply in replies if reply.status == 200] == [
        1 + client % 2 for client in range(CLIENTS) if client != 7
    ]


async def test_rows_that_see_one_another_are_never_put_together(listen: Listen, store: ModelStore) -> None:
    await store.publish(bundle(running_total()))
    wire = await listen()
    await together(wire, [asked("x", f32([[1, 1]]))])

    replies = await together(wire, [asked("x", f32([[1, 1], [1, 1]]))] * CLIENTS)

    assert all(told(reply.raw)[1].tolist() == [[1, 1], [2, 2]] for reply in replies)


async def test_two_inputs_keep_to_their_own_rows(listen: Listen, store: ModelStore) -> None:
    await store.publish(bundle(added()))
    wire = await listen()
    await together(wire, [pair(f32([[1, 1]]), f32([[1, 1]]))])

    replies = await together(wire, [pair(f32([[n, n]]), f32([[10 * n, 0]])) for n in range(CLIENTS)])

    assert [told(reply.raw)[1].tolist() for reply in replies] == [[[11 * n, n]] for n in range(CLIENTS)]


def added() -> bytes:
    """y = a + b."""
    inputs = [value("a", ["rows", 2]), value("b", ["rows", 2])]
    return model([node("Add", "a b", "y")], inputs, [value("y", ["rows", 2])])


def pair(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bytes:
    """A binary request of two inputs."""
    inputs = [
        {"name": name, "shape": one.shape, "datatype": "FP32", "parameters": {"binary_data_size": one.nbytes}}
        for name, one in (("a", a), ("b", b))
    ]
    json = orjson.dumps({"inputs": inputs, "parameters": BINARY})
    length = f"Inference-Header-Content-Length: {len(json)}"
    return post(json + a.tobytes() + b.tobytes(), length, path="/v2/models/m/infer", kind=BYTES_KIND)


async def test_each_has_its_own_id(listen: Listen, store: ModelStore) -> None:
    await store.publish(bundle(scaled()))
    wire = await listen()

    replies = await together(wire, [asked("x", f32([[n, n]]), id=f"r{n}") for n in range(CLIENTS)])

    assert [told(reply.raw)[0]["id"] for reply in replies] == [f"r{n}" for n in range(CLIENTS)]


async def test_a_body_that_comes_in_parts_is_answered_as_one_that_comes_whole(
    listen: Listen, store: ModelStore
) -> None:
    await store.publish(bundle(scaled()))
    wire = await listen()
    x = f32([[row, 1] for row in range(4000)])
    said = asked("x", x)

    async with line(wire.port) as one:
        await one.say(*(said[at : at + 5000] for at in range(0, len(said), 5000)), pause=0.001)
        (reply,) = await one.hear(1)
        await one.say(said[:700], said[700:] + asked("x", x[:1]), pause=0.01)
        again, then = await one.hear(2)

    assert (told(reply.raw)[1] == 2 * x).all()
    assert (told(again.raw)[1] == 2 * x).all()
    assert told(then.raw)[1].tolist() == [[0, 2]]


async def test_a_body_whose_rest_is_late_is_waited_for(listen: Listen, store: ModelStore) -> None:
    await store.publish(bundle(scaled()))
    wire = await listen()
    said = asked("x", f32([[1, 2]]))

    async with line(wire.port) as one:
        await one.say(said[:-3], said[-3:], pause=1.4)
        (reply,) = await one.hear(1)

    assert told(reply.raw)[1].tolist() == [[2, 4]]


@pytest.mark.parametrize("share", [1, 2])
async def test_under_a_traffic_rule_every_answer_is_of_one_version(
    listen: Listen, store: ModelStore, redis: Redis, share: int
) -> None:
    await store.publish(bundle(scaled(2)))
    await store.publish(bundle(scaled(3)))
    await store.set_traffic("m", {1: share, 2: 1})
    wire = await listen()

    replies = [told(one.raw) for one in await together(wire, [asked("x", f32([[1, 1]]))] * CLIENTS)]

    assert all(int(facts["model_version"]) + 1 == output[0, 0] for facts, output in replies)
    assert {facts["model_version"] for facts, _ in replies} == {"1", "2"}


async def test_bfloat16_comes_and_goes_as_bytes_and_as_numbers(listen: Listen, store: ModelStore) -> None:
    await store.publish(bundle(passed(TensorProto.BFLOAT16, ["rows", 2])))
    wire = await listen()
    x = f32([[1.5, -2], [3.140625, 0]]).astype(numpy_dtype("bfloat16"))
    one = {"name": "x", "shape": [2, 2], "datatype": "BF16"}
    blob = {**one, "parameters": {"binary_data_size": x.nbytes}}
    json = orjson.dumps({"inputs": [blob], "parameters": BINARY})
    length = f"Inference-Header-Content-Length: {len(json)}"
    said = [
        post(json + x.tobytes(), length, path="/v2/models/m/infer", kind=BYTES_KIND),
        post(orjson.dumps({"inputs": [{**one, "data": [1.5, -2, 3.140625, 0]}]}), path="/v2/models/m/infer"),
    ]

    binary, numbers = await together(wire, said)

    assert binary.raw.endswith(x.tobytes())
    (output,) = orjson.loads(numbers.raw.partition(b"\r\n\r\n")[2])["outputs"]
    assert output == {"name": "y", "datatype": "BF16", "shape": [2, 2], "data": [1.5, -2, 3.140625, 0]}


GOOD = asked("i", np.array([1]))
BAD = {
    "rows that fail": asked("i", np.array([99])),
    "another width": asked("i", np.array([[1, 1, 1]])),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_a_request_that_fails_is_counted_once_however_many_it_came_with(
    listen: Listen, store: ModelStore, bad: bytes
) -> None:
    await store.publish(bundle(looked_up(f32([[1], [2]]))))
    wire = await listen()
    await together(wire, [GOOD])

    statuses = [
        status for told in await asyncio.gather(*(burst(wire, bad) for _ in range(4))) for status in told
    ]
    told = await stats(wire)

    failed, good = statuses.count(400), statuses.count(200) + 1
    assert (failed, good) == (4 * CLIENTS, 4 * CLIENTS + 1)
    assert (told["fail"]["count"], told["success"]["count"]) == (failed, good)
    assert told["queue"]["count"] == good + (failed if bad is BAD["rows that fail"] else 0)
    counted = await metrics(wire)
    assert counted['nv_inference_request_failure{model="m",version="1"}'] == failed
    assert sum(n for name, n in counted.items() if name.startswith("insitu_errors_total")) == failed


async def burst(wire: Wire, bad: bytes) -> list[int]:
    """Say good and bad requests over one connection, one behind the other, and return their statuses."""
    async with line(wire.port) as one:
        await one.say((GOOD + bad) * CLIENTS)
        return [reply.status for reply in await one.hear(2 * CLIENTS)]


async def stats(wire: Wire) -> dict[str, dict[str, int]]:
    """The statistics of the only version."""
    async with line(wire.port) as one:
        await one.say(b"GET /v2/models/m/stats HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        (reply,) = await one.hear(1)
    (version,) = orjson.loads(reply.raw.partition(b"\r\n\r\n")[2])["model_stats"]
    found: dict[str, dict[str, int]] = version["inference_stats"]
    return found
