"""AI.MODELEXECUTE and AI.MODELRUN over real models: tensors in, tensors out, and what is refused in which words."""

import asyncio
import time
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from models.model_pointers import ModelPointer
from models.store import ModelStore
from models.tensor_strings import StoredTensor, of_array, pack, unpack
from server.inference.errors import DeadlineExceeded
from server.resp.caller import Caller
from server.resp.commands import executing, tensor_values
from server.resp.commands.stored_models import model_at
from tests.graphs import (
    FLOAT,
    HALF,
    INT64,
    TEXT,
    bundle,
    f32,
    looked_up,
    looping,
    model,
    node,
    passed,
    scaled,
    total,
    value,
)
from tests.integration.resp.callers import Asker, OwnConnection
from tests.integration.resp.conftest import MakeCaller, StartEngine

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
EMPTY = "ERR tensor key is empty or in a different shard"
OTHER = "Number of keys given as {} here does not match model definition"


def stored(*values: Any, dtype: str = "<f4") -> bytes:
    return pack(of_array(np.array(values, dtype)))


async def tensor_at(redis: Redis, key: str) -> StoredTensor:
    data = await redis.get(key)
    assert isinstance(data, bytes)
    tensor = unpack(data)
    assert tensor is not None
    return tensor


async def numbers_at(redis: Redis, key: str) -> Any:
    tensor = await tensor_at(redis, key)
    return np.frombuffer(tensor.data, "<f4").reshape(tensor.shape).tolist()


@pytest.fixture
async def asked(caller: Caller) -> Asker:
    return Asker(caller, executing.COMMANDS)


def two_in_two_out() -> bytes:
    """sum = x + y, product = x * y."""
    nodes = [node("Add", "x y", "sum"), node("Mul", "x y", "product")]
    inputs = [value("x", ["rows", 2]), value("y", ["rows", 2])]
    return model(nodes, inputs, [value("sum", ["rows", 2]), value("product", ["rows", 2])])


async def test_a_model_runs_on_stored_tensors_and_stores_its_outputs(
    store: ModelStore, redis: Redis, asked: Asker
) -> None:
    await store.publish(bundle(two_in_two_out(), "m"))
    await redis.mset({"a": stored([1, 2]), "b": stored([3, 4])})

    assert await asked("AI.MODELEXECUTE", "m", "INPUTS", 2, "a", "b", "OUTPUTS", 2, "s", "p") == b"OK"
    assert await numbers_at(redis, "s") == [[4, 6]]
    assert await numbers_at(redis, "p") == [[3, 8]]
    assert await asked("AI.MODELRUN", "m", "INPUTS", "b", "s", "OUTPUTS", "s", "t") == b"OK"
    assert await numbers_at(redis, "s") == [[7, 10]]


async def test_one_round_trip_reads_and_one_writes(store: ModelStore, redis: Redis, asked: Asker) -> None:
    await store.publish(bundle(two_in_two_out(), "m"))
    await redis.mset({"a": stored([1, 2]), "b": stored([3, 4])})
    command = ("AI.MODELEXECUTE", "m", "INPUTS", 2, "a", "b", "OUTPUTS", 2, "s", "p")
    await asked(*command)
    own = asked.caller.redis
    assert isinstance(own, OwnConnection)
    before = own.trips

    await asked(*command)

    assert own.trips - before == 2


async def test_a_pointer_says_which_version_runs(store: ModelStore, redis: Redis, asked: Asker) -> None:
    await store.publish(bundle(scaled(2), "m"))
    await store.publish(bundle(scaled(3), "m"))
    await redis.mset({"a": stored([1, 2]), "old": ModelPointer("m", 1).pack()})

    for key in ("old", "m"):
        assert await asked("AI.MODELEXECUTE", key, "INPUTS", 1, "a", "OUTPUTS", 1, f"of:{key}") == b"OK"

    assert await numbers_at(redis, "of:old") == [[2, 4]]
    assert await numbers_at(redis, "of:m") == [[3, 6]]


async def test_a_raw_vector_is_a_tensor_too(store: ModelStore, redis: Redis, asked: Asker) -> None:
    await store.publish(bundle(passed(FLOAT, ["rows"]), "m"))
    await redis.set("v", f32(1, 2, 3).tobytes())

    assert await asked("AI.MODELEXECUTE", "m", "INPUTS", 1, "v", "OUTPUTS", 1, "w") == b"OK"
    assert await numbers_at(redis, "w") == [1, 2, 3]


@pytest.mark.parametrize(
    ("kind", "tensor"),
    [
        (TensorProto.DOUBLE, StoredTensor("DOUBLE", (2,), np.array([1.5, -2], "<f8").tobytes())),
        (TensorProto.INT8, StoredTensor("INT8", (2,), b"\1\xff")),
        (TensorProto.INT16, StoredTensor("INT16", (2,), b"\1\0\xff\xff")),
        (TensorProto.INT32, StoredTensor("INT32", (2,), np.array([1, -2], "<i4").tobytes())),
        (INT64, StoredTensor("INT64", (2,), np.array([1, -2], "<i8").tobytes())),
        (TensorProto.UINT8, StoredTensor("UINT8", (2,), b"\1\xff")),
        (TensorProto.UINT16, StoredTensor("UINT16", (2,), b"\1\0\xff\xff")),
        (TensorProto.BOOL, StoredTensor("BOOL", (2,), b"\1\0")),
        (TEXT, StoredTensor("STRING", (2,), "häh\0\0".encode())),
    ],
)
async def test_every_type_goes_in_and_comes_out_as_it_is(
    store: ModelStore, redis: Redis, asked: Asker, kind: int, tensor: StoredTensor
) -> None:
    await store.publish(bundle(passed(kind, ["rows"]), "m"))
    await redis.set("a", pack(tensor))

    assert await asked("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 1, "b") == b"OK"
    assert await tensor_at(redis, "b") == tensor


async def test_what_is_not_finite_goes_through(store: ModelStore, redis: Redis, asked: Asker) -> None:
    await store.publish(bundle(scaled(), "m"))
    await redis.set("a", stored([np.nan, np.inf]))

    assert await asked("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 1, "b") == b"OK"
    assert str(await numbers_at(redis, "b")) == "[[nan, inf]]"


async def test_a_scalar_comes_out_as_one(store: ModelStore, redis: Redis, asked: Asker) -> None:
    await store.publish(bundle(total(), "m"))
    await redis.set("a", stored([1, 2], [3, 4]))

    assert await asked("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 1, "b") == b"OK"
    assert await numbers_at(redis, "b") == 10


@pytest.fixture
async def keys(store: ModelStore, redis: Redis) -> Redis:
    """m takes two tensors and gives two, t is a tensor, no a text, list a list."""
    await store.publish(bundle(two_in_two_out(), "m"))
    await redis.mset({"t": stored([1, 2]), "no": "no tensor"})
    await redis.rpush("list", "x")
    return redis


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("gone IN x", "ERR wrong number of arguments for 'AI.MODELEXECUTE' command"),
        ("gone IN 2 t t OUTPUTS 2 s p", "ERR model key is empty"),
        ("no IN 2 t t OUTPUTS 2 s p", WRONG_TYPE),
        ("list IN 2 t t OUTPUTS 2 s p", WRONG_TYPE),
        ("t IN 2 t t OUTPUTS 2 s p", WRONG_TYPE),
        ("m IN 2 t t OUTPUTS 2 s p", "ERR INPUTS not specified"),
        ("m INPUTS x t t OUTPUTS 2 s p", "ERR Invalid argument for input_count"),
        ("m INPUTS 0 t t OUTPUTS 2 s p", "ERR Input count must be a positive integer"),
        ("m INPUTS 9 t t OUTPUTS 2 s p", OTHER.format("INPUTS")),
        ("m INPUTS 1 t OUT 1 s TIMEOUT x", OTHER.format("INPUTS")),
        ("m INPUTS 2 t t OUT 2 s p", "ERR OUTPUTS not specified"),
        ("m INPUTS 2 t t OUTPUTS x s p", "ERR Invalid argument for output_count"),
        ("m INPUTS 2 t t OUTPUTS 0 s p", "ERR Output count must be a positive integer"),
        ("m INPUTS 2 t t OUTPUTS 9 s p", OTHER.format("OUTPUTS")),
        ("m INPUTS 2 t t OUTPUTS 1 s more", OTHER.format("OUTPUTS")),
        (
            "m INPUTS 2 t t OUTPUTS 2 s",
            "ERR number of output keys to AI.MODELEXECUTE command does not match the number of given arguments",
        ),
        ("m INPUTS 2 gone t OUTPUTS 2 s p more", "Invalid argument: more"),
        ("m INPUTS 2 gone t OUTPUTS 2 s p TIMEOUT", "ERR No value provided for TIMEOUT"),
        ("m INPUTS 2 gone t OUTPUTS 2 s p TIMEOUT 0", "ERR Invalid value for TIMEOUT"),
        ("m INPUTS 2 gone t OUTPUTS 2 s p TIMEOUT 9 more", "Invalid argument: more"),
        ("m INPUTS 2 gone no OUTPUTS 2 s p", EMPTY),
        ("m INPUTS 2 t no OUTPUTS 2 s p", WRONG_TYPE),
        ("m INPUTS 2 t list OUTPUTS 2 s p", WRONG_TYPE),
        ("m INPUTS 2 t m OUTPUTS 2 s p", EMPTY),
    ],
)
async def test_modelexecute_checks_in_the_order_of_redisai(
    keys: Redis, asked: Asker, words: str, told: str
) -> None:
    error = await asked("AI.MODELEXECUTE", *words.split())

    assert isinstance(error, ResponseError)
    assert str(error) == told
    assert not await keys.exists("s", "p")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("gone IN t OUTPUTS", "ERR wrong number of arguments for 'AI.MODELRUN' command"),
        ("gone IN t t OUTPUTS s p", "ERR model key is empty"),
        ("m IN t t OUTPUTS s p", "ERR INPUTS not specified"),
        ("m TIMEOUT x IN t t OUTPUTS s p", "ERR Invalid value for TIMEOUT"),
        ("m INPUTS t OUTPUTS s p gone", OTHER.format("INPUTS")),
        ("m INPUTS t t OUTPUTS s p gone", OTHER.format("OUTPUTS")),
        ("m INPUTS gone t OUTPUTS s p", EMPTY),
        ("m INPUTS t list OUTPUTS s p", WRONG_TYPE),
    ],
)
async def test_modelrun_checks_in_the_order_of_redisai(
    keys: Redis, asked: Asker, words: str, told: str
) -> None:
    error = await asked("AI.MODELRUN", *words.split())

    assert isinstance(error, ResponseError)
    assert str(error) == told


@pytest.mark.parametrize(
    ("tensor", "told"),
    [
        (
            stored([1.0, 2], dtype="<f8"),
            "-Unexpected input data type. Actual: (tensor(double)) , expected: (tensor(float))",
        ),
        (
            stored([1, 2], dtype="i1"),
            "-Unexpected input data type. Actual: (tensor(int8)) , expected: (tensor(float))",
        ),
        (
            stored([[1, 2]]),
            "-Invalid rank for input: x Got: 3 Expected: 2 Please fix either the inputs or the model.",
        ),
        (
            pack(StoredTensor("FLOAT", (), b"\0" * 4)),
            "-Invalid rank for input: x Got: 0 Expected: 2 Please fix either the inputs or the model.",
        ),
        (
            stored([1, 2, 3]),
            (
                "-Got invalid dimensions for input: x for the following indices  index: 1 Got: 3 Expected: 2  "
                "Please fix either the inputs or the model."
            ),
        ),
    ],
)
async def test_what_does_not_fit_is_told_in_the_words_of_onnx_runtime(
    store: ModelStore, redis: Redis, asked: Asker, tensor: bytes, told: str
) -> None:
    await store.publish(bundle(scaled(), "m"))
    await redis.set("a", tensor)

    reply = await asked.raw("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 1, "b")

    assert reply.decode() == f"{told}\r\n"
    metrics = asked.caller.engine.metrics.exposition().decode()
    assert 'insitu_errors_total{model="m",version="1",code="bad_input"} 1.0' in metrics


async def test_every_dimension_that_is_wrong_is_told(store: ModelStore, redis: Redis, asked: Asker) -> None:
    await store.publish(bundle(passed(FLOAT, [1, 2, 3]), "m"))
    await redis.set("a", pack(of_array(np.zeros((1, 3, 4), "<f4"))))

    error = await asked("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 1, "b")

    assert str(error) == (
        "Got invalid dimensions for input: x for the following indices  index: 1 Got: 3 Expected: 2  "
        "index: 2 Got: 4 Expected: 3  Please fix either the inputs or the model."
    )


async def test_rows_of_a_fixed_number_are_filled_up(store: ModelStore, redis: Redis, asked: Asker) -> None:
    await store.publish(bundle(scaled(rows=4), "m"))
    await redis.set("a", stored(*[[row, row] for row in range(6)]))

    assert await asked("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 1, "b") == b"OK"
    assert await numbers_at(redis, "b") == [[2 * row, 2 * row] for row in range(6)]


async def test_an_output_of_a_type_that_no_tensor_has_is_refused_before_the_run(
    store: ModelStore, redis: Redis, asked: Asker
) -> None:
    nodes = [node("Cast", "x", "y", to=HALF)]
    await store.publish(bundle(model(nodes, [value("x", ["rows"])], [value("y", ["rows"], HALF)]), "m"))
    await redis.set("a", stored(1, 2))

    error = await asked("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 1, "b")

    assert str(error).startswith(
        "ERR output y of the model is FLOAT16, which is no type of a tensor here; end the"
    )
    assert not await redis.exists("b")


async def test_a_row_that_fails_fails_alone(
    store: ModelStore, redis: Redis, make_caller: MakeCaller, engine: StartEngine
) -> None:
    await store.publish(bundle(looked_up(f32([[1, 2], [3, 4]])), "m"))
    await redis.mset({f"i:{row}": stored(row, dtype="<i8") for row in (0, 1, 7)})
    running = await engine()
    askers = [Asker(await make_caller(running), executing.COMMANDS) for _ in range(3)]

    replies = await asyncio.gather(
        *[
            one("AI.MODELEXECUTE", "m", "INPUTS", 1, f"i:{row}", "OUTPUTS", 1, f"o:{row}")
            for one, row in zip(askers, (0, 7, 1), strict=True)
        ]
    )

    assert [replies[0], replies[2]] == [b"OK", b"OK"]
    assert str(replies[1]).startswith("Gather: indices element out of data bounds, idx=7")
    assert await numbers_at(redis, "o:1") == [[3, 4]]
    assert not await redis.exists("o:7")


async def test_an_output_key_of_another_type_gives_one_error_and_nothing_is_written(
    store: ModelStore, redis: Redis, asked: Asker
) -> None:
    await store.publish(bundle(two_in_two_out(), "m"))
    await redis.set("a", stored([1, 2]))
    await redis.rpush("list", "x")

    error = await asked("AI.MODELEXECUTE", "m", "INPUTS", 2, "a", "a", "OUTPUTS", 2, "s", "list")

    assert str(error) == WRONG_TYPE
    assert not await redis.exists("s")


async def test_what_is_not_run_within_its_timeout_is_told_as_timed_out(
    store: ModelStore, redis: Redis, asked: Asker
) -> None:
    await store.publish(bundle(looping(), "m"))
    manifest = (await model_at(asked.caller, b"m")).manifest
    tensors = {"x": stored([1.0]), "turns": stored(1 << 40, dtype="<i8")}
    await redis.mset(tensors)
    names = [spec.name for spec in manifest.inputs]
    started = time.monotonic()

    reply = await asked.raw("AI.MODELEXECUTE", "m", "INPUTS", 2, *names, "OUTPUTS", 1, "b", "TIMEOUT", 20)

    assert reply == b"+TIMEDOUT\r\n"
    assert time.monotonic() - started < 5
    assert not await redis.exists("b")


async def test_the_own_limit_of_the_server_is_an_error(
    store: ModelStore, redis: Redis, make_caller: MakeCaller, engine: StartEngine
) -> None:
    await store.publish(bundle(looping(), "m"))
    await redis.mset({"x": stored([1.0]), "turns": stored(1 << 40, dtype="<i8")})
    caller = await make_caller(await engine(request_timeout_seconds=0.05))
    names = [spec.name.encode() for spec in (await model_at(caller, b"m")).manifest.inputs]

    words = [b"m", b"INPUTS", b"2", *names, b"OUTPUTS", b"1", b"b", b"TIMEOUT", b"60000"]
    with pytest.raises(DeadlineExceeded):
        await executing.modelexecute(caller, words)


async def test_an_output_that_no_string_of_redis_holds_is_refused(
    store: ModelStore, redis: Redis, asked: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.publish(bundle(scaled(), "m"))
    await redis.set("a", stored([1, 2]))
    monkeypatch.setattr(tensor_values, "STRING_LIMIT_BYTES", 16)

    error = await asked("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 1, "b")

    assert str(error) == "ERR tensor of 8 bytes is too large, a string of Redis holds 16"
    assert not await redis.exists("b")


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
async def test_one_number_is_a_scalar_however_many_axes_it_has(
    store: ModelStore, redis: Redis, asked: Asker, shape: tuple[int, ...]
) -> None:
    await store.publish(bundle(passed(FLOAT, []), "m"))
    await redis.set("a", pack(StoredTensor("FLOAT", shape, f32(7).tobytes())))

    assert await asked("AI.MODELEXECUTE", "m", "INPUTS", 1, "a", "OUTPUTS", 1, "b") == b"OK"
    assert await numbers_at(redis, "b") == 7
