"""INSITU.PREDICT and INSITU.EXPLAIN on a real Redis: a reply a key, a row that fails alone, tensors as bytes."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from models.errors import AliasNotFound, BadFeatureView, BadName, KeyMissing, ModelNotFound
from models.store import ModelStore
from server.inference.errors import DeadlineExceeded, TooManyRows
from server.resp.caller import Caller
from server.resp.commands import explaining, predicting
from server.resp.refusals import Refused
from server.resp.wire.replies import RESP3
from tests.graphs import (
    BOOL,
    HALF,
    INT64,
    TEXT,
    bundle,
    constant,
    dense,
    f32,
    model,
    node,
    positions,
    scaled,
    value,
)
from tests.integration.resp.callers import Asker
from tests.integration.resp.conftest import MakeCaller, StartEngine

VIEW = {"inputs": [{"name": "x", "sources": [{"key": "k:{id}", "as": "hash", "fields": ["a", "b"]}]}]}
WEIGHTS = f32([[1, 0], [0, 1]])
BFLOAT16 = TensorProto.BFLOAT16
KEYS = ("k:1", "k:2", "k:3")


def f16(*numbers: float) -> bytes:
    return np.array(numbers, "<f2").tobytes()


def i64(*numbers: int) -> bytes:
    return np.array(numbers, "<i8").tobytes()


def named_and_scaled() -> bytes:
    """y = 2 * x, and a text for each row."""
    nodes = [node("Mul", "x f", "y"), node("Shape", "x", "s"), node("Expand", "t s", "names")]
    outputs = [value("y", ["rows", 2]), value("names", ["rows", 2], TEXT)]
    weights = {"f": f32(2.0), "t": np.array(["n"], object)}
    return model(nodes, [value("x", ["rows", 2])], outputs, weights)


@pytest.fixture(autouse=True)
async def rows(redis: Redis) -> None:
    await redis.hset("k:1", mapping={"a": 1, "b": 2})
    await redis.hset("k:2", mapping={"a": 3, "b": 1})
    await redis.hset("k:3", mapping={"a": 5})


@pytest.fixture
async def asking(make_caller: MakeCaller) -> Asker:
    return Asker(await make_caller(wire=RESP3), (*predicting.COMMANDS, *explaining.COMMANDS))


async def test_a_classifier_answers_each_key_in_its_place(store: ModelStore, asking: Asker) -> None:
    labels = ("first", "second")
    await store.publish(bundle(dense(WEIGHTS, "Softmax"), view=VIEW, labels=labels, task="classification"))

    one, other = await asking("INSITU.PREDICT", "m", "k:1", "k:2")

    assert (one[b"label"], other[b"label"]) == (b"second", b"first")
    assert one[b"probability"] == one[b"probabilities"][b"second"] == pytest.approx(0.731, abs=1e-3)
    assert one[b"version"] == 1


async def test_one_key_is_answered_by_an_array_too(store: ModelStore, asking: Asker) -> None:
    await store.publish(bundle(constant(7), view=VIEW, task="regression"))

    assert await asking("INSITU.PREDICT", "m", "k:1") == [{b"value": 7.0, b"version": 1}]


async def test_in_the_older_protocol_names_and_values_take_turns(store: ModelStore, caller: Caller) -> None:
    await store.publish(bundle(constant(7), view=VIEW, task="regression"))

    found = await Asker(caller, predicting.COMMANDS)("INSITU.PREDICT", "m", "k:1")

    assert found == [[b"value", b"7.0", b"version", 1]]


@pytest.mark.parametrize("options", [(), ("RAW",)])
async def test_a_bad_key_is_an_error_in_its_place(
    store: ModelStore, asking: Asker, options: tuple[str, ...]
) -> None:
    await store.publish(bundle(scaled(), view=VIEW))

    found = await asking("INSITU.PREDICT", "m", "k:1", "k:3", "k:9", "order:1", b"k:\xff", "k:2", *options)

    errors = [str(one).partition(" ")[0] for one in found if isinstance(one, ResponseError)]
    assert errors == ["NOTFOUND", "NOTFOUND", "ERR", "ERR"]
    assert [isinstance(one, ResponseError) for one in found] == [False, True, True, True, True, False]


async def test_raw_is_the_bytes_of_the_output(store: ModelStore, asking: Asker) -> None:
    await store.publish(bundle(scaled(), view=VIEW))

    for _ in range(2):  # the first is asked before the version is loaded
        found = await asking("INSITU.PREDICT", "m", "k:1", "k:2", "RAW")

        assert [np.frombuffer(one, "<f4").tolist() for one in found] == [[2, 4], [6, 2]]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (BFLOAT16, [b"\x80?\x00@", b"@@\x80?"]),
        (HALF, [f16(1, 2), f16(3, 1)]),
        (INT64, [i64(1, 2), i64(3, 1)]),
        (BOOL, [b"\1\1", b"\1\1"]),
    ],
)
async def test_raw_is_of_the_type_of_the_graph(
    store: ModelStore, asking: Asker, kind: int, expected: list[bytes]
) -> None:
    cast = model(
        [node("Cast", "x", "y", to=kind)], [value("x", ["rows", 2])], [value("y", ["rows", 2], kind)]
    )
    await store.publish(bundle(cast, view=VIEW))

    for _ in range(2):
        assert await asking("INSITU.PREDICT", "m", "k:1", "k:2", "RAW") == expected


async def test_raw_is_the_whole_output_of_a_graph_that_has_no_rows(store: ModelStore, asking: Asker) -> None:
    await store.publish(bundle(positions(), view=VIEW))

    for _ in range(2):
        assert await asking("INSITU.PREDICT", "m", "k:1", "k:2", "RAW") == [i64(0, 0, 0, 1)] * 2


async def test_raw_is_an_array_where_the_graph_has_several_outputs(store: ModelStore, asking: Asker) -> None:
    await store.publish(bundle(named_and_scaled(), view=VIEW))

    for _ in range(2):
        (found,) = await asking("INSITU.PREDICT", "m", "k:1", "RAW")

        assert found == [f32(2, 4).tobytes(), b"n\0n\0"]


async def test_a_missing_value_is_stood_in_for_where_asked(store: ModelStore, asking: Asker) -> None:
    await store.publish(bundle(scaled(), view=VIEW))

    (found,) = await asking("INSITU.PREDICT", "m", "k:3", "MISSING", "7")

    assert found == {b"outputs": {b"y": [10.0, 14.0]}, b"filled": [b"b"], b"version": 1}


@pytest.mark.parametrize("options", [(), ("RAW",)])
async def test_a_version_is_a_number_or_an_alias(
    store: ModelStore, asking: Asker, options: tuple[str, ...]
) -> None:
    await store.publish(bundle(constant(1), view=VIEW, task="regression"))
    await store.publish(bundle(constant(2), view=VIEW, task="regression"), "canary")

    async def answered(*version: str) -> Any:
        (found,) = await asking("INSITU.PREDICT", "m", "k:1", *version, *options)
        return np.frombuffer(found, "<f4")[0] if options else found[b"value"]

    assert [await answered(), await answered("VERSION", "2"), await answered("version", "canary")] == [
        1,
        2,
        2,
    ]


async def test_under_a_traffic_rule_each_row_tells_its_version(store: ModelStore, asking: Asker) -> None:
    for answer in (1, 2):
        await store.publish(bundle(constant(answer), view=VIEW, task="regression"))
    await store.set_traffic("m", {1: 50, 2: 50})
    keys = [f"k:{at}" for at in range(40)]
    for key in keys:
        await asking.caller.redis([("HSET", key, "a", 1, "b", 1)])

    found = await asking("INSITU.PREDICT", "m", *keys)
    raw = await asking("INSITU.PREDICT", "m", *keys, "RAW")

    assert {(one[b"value"], one[b"version"]) for one in found} == {(1.0, 1), (2.0, 2)}
    assert [float(np.frombuffer(one, "<f4")[0]) for one in raw] == [one[b"value"] for one in found]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("nosuch", "k:1"), ModelNotFound),
        (("no such", "k:1"), BadName),
        ((b"\xff", "k:1"), BadName),
        (("m", "k:1", "VERSION", "nosuch"), AliasNotFound),
        (("m", "k:1", "TIMEOUT", "0.000001"), DeadlineExceeded),
        (("m", *KEYS * 100), TooManyRows),
        (("noview", "k:1"), BadFeatureView),
        (("noview", "k:1", "RAW"), BadFeatureView),
    ],
)
async def test_what_concerns_all_rows_is_one_error(
    store: ModelStore, engine: StartEngine, make_caller: MakeCaller, words: Any, error: type[Exception]
) -> None:
    await store.publish(bundle(scaled(), view=VIEW))
    await store.publish(bundle(scaled(), "noview"))
    asking = Asker(await make_caller(await engine(max_request_rows=100)), predicting.COMMANDS)

    with pytest.raises(error):
        await asking("INSITU.PREDICT", *words)


@pytest.mark.parametrize("name", ["INSITU.PREDICT", "INSITU.EXPLAIN"])
async def test_a_client_that_looks_at_another_database_is_told(
    make_caller: MakeCaller, store: ModelStore, name: str
) -> None:
    await store.publish(bundle(scaled(), view=VIEW))
    caller = await make_caller(db=3)

    with pytest.raises(Refused) as caught:
        await (
            (predicting if name == "INSITU.PREDICT" else explaining)
            .COMMANDS[0]
            .answer(caller, [b"m", b"k:1"])
        )

    assert str(caught.value) == (
        "ERR features are read from database 0, this connection has selected 3; "
        "`SELECT 0` first, or serve database 3 with a URL that ends in /3"
    )


async def test_an_explanation_tells_the_largest_contribution_first(store: ModelStore, asking: Asker) -> None:
    labels = ("first", "second")
    await store.publish(
        bundle(dense(f32([[1, 0], [0, 5]]), "Softmax"), view=VIEW, labels=labels, task="classification")
    )

    found = await asking("INSITU.EXPLAIN", "m", "k:1", "LABEL", "second")

    assert found[b"label"] == b"second"
    assert [one[b"feature"] for one in found[b"contributions"]] == [b"b", b"a"]
    shares = sum(one[b"contribution"] for one in found[b"contributions"])
    assert found[b"prediction"] - found[b"baseline"] == pytest.approx(shares)
    assert found[b"version"] == 1


async def test_a_row_that_cannot_be_explained_is_the_error(store: ModelStore, asking: Asker) -> None:
    await store.publish(bundle(constant(1), view=VIEW, task="regression"))

    with pytest.raises(KeyMissing):
        await asking("INSITU.EXPLAIN", "m", "k:9")


async def test_what_a_client_gets_wrong_is_counted(store: ModelStore, asking: Asker) -> None:
    await store.publish(bundle(scaled(), view=VIEW))

    await asking.caller.engine.catalogue.get("m")
    for name in ("m", "any-text"):
        with pytest.raises(Exception, match="TIMEOUT"):
            await asking("INSITU.PREDICT", name, "k:1", "TIMEOUT", "x")

    told = asking.caller.engine.metrics.exposition().decode()
    assert 'insitu_errors_total{model="m",version="",code="bad_request"} 1.0' in told
    assert 'insitu_errors_total{model="unknown",version="",code="bad_request"} 1.0' in told
