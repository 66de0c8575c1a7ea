"""The import from a running server: its AI.* commands are asked of our own door, its keys are found by their type.

Our door says of a tensor that it is a string, as it is; so the search by type is shown with another module's.
"""

import asyncio
import re
import struct
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from redis import Redis

from cli.importing import live
from cli.importing.destination import Destination
from cli.importing.errors import AnswersDiffer
from cli.importing.inventory import Found, Inventory
from cli.importing.live import GONE, LiveSource
from cli.importing.moving import Mover
from cli.importing.standing import Standing
from cli.importing.values import RaiModel
from cli.importing.verifying import Verifier
from models.composing import compose_bundle
from models.connecting import connect
from models.errors import BadModelFile
from models.store import ModelStore
from models.tensor_strings import StoredTensor, array_of, of_array
from tests import graphs
from tests.data import make_redisai as made
from tests.integration.cli.conftest import Result, Running
from tests.servers import RedisServer, free_port

PAGE = Path(__file__).parents[3] / "docs" / "leaving-redisai.md"
TIMES = np.array([[1.5, -2.0], [0.0, 4.0]], np.float32)


@pytest.fixture
def door(running: Callable[..., Running]) -> str:
    """The URL of our door over the test's Redis."""
    port = free_port()
    running("serve", "--port", "0", "--resp-port", str(port), "--log-level", "error", "--json").told()
    return f"redis://127.0.0.1:{port}"


@asynccontextmanager
async def source(url: str) -> AsyncIterator[LiveSource]:
    client = connect(url)
    one = LiveSource(url, client)
    try:
        yield one
    finally:
        await one.close()
        await client.aclose()


def stored(url: str, key: str, onnx: bytes, *options: object) -> None:
    with Redis.from_url(url) as redis:
        redis.execute_command("AI.MODELSTORE", key, "ONNX", "CPU", *options, "BLOB", onnx)


async def test_tensors_are_read_from_their_database(door: str) -> None:
    tensors = {
        "floats": of_array(TIMES),
        "texts": of_array(np.array(["one", "zwei"], object)),
        "scalar": of_array(np.array(7, np.int64)),
    }
    with Redis.from_url(door, db=3) as redis:
        for key, tensor in tensors.items():
            redis.execute_command("AI.TENSORSET", key, tensor.dtype, *tensor.shape, "BLOB", tensor.data)

    async with source(door) as one:
        read = {key: await one.read(Found(3, key.encode(), "tensor")) for key in tensors}

    assert read == tensors


def test_what_was_imported_is_there_for_the_client_of_the_page(
    insitu: Callable[..., Result], door: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    insitu("import", "redisai", str(made.FOLDER / "encoding-4.rdb"))

    exec(textwrap.dedent(code).replace("8002", door.rsplit(":", 1)[1]), {})  # noqa: S102  # what a reader does

    assert capsys.readouterr().out == "[120.   37.5]\n"
    with Redis.from_url(door, protocol=2) as redis:
        assert redis.execute_command("AI.TENSORGET", "texts", "VALUES") == [b"one", b"two"]
        assert redis.execute_command("AI.TENSORGET", "flags", "META")[1] == b"BOOL"
        assert redis.execute_command("AI.MODELGET", "model:{1}", "BLOB") == made.MODEL
        assert redis.execute_command("AI._MODELSCAN") == [[b"model:{1}", b"v1"]]
        redis.select(3)
        assert redis.execute_command("AI.TENSORGET", "scalar", "META", "BLOB")[5] == struct.pack("<d", 2.5)


async def test_keys_that_go_while_others_are_read_stop_none_of_them(door: str, redis_url: str) -> None:
    with Redis.from_url(door) as redis:
        redis.execute_command("AI.TENSORSET", "there", "FLOAT", 1, "VALUES", 1)
        redis.rpush("list", "of another module")
    found = [
        Found(0, b"gone", "tensor"),
        Found(0, b"gone too", "model"),
        Found(0, b"list", "tensor"),
        Found(0, b"there", "tensor"),
    ]
    client = connect(redis_url)
    destination = Destination(ModelStore(client), redis_url, overwrite=True)

    async with source(door) as one:
        standing, verifier = Standing(one, destination), Verifier(one)
        await standing.look(found, lambda _done, _of: None)
        summary = await Mover(one, destination, verifier, dry_run=True).move(
            found, set(), lambda _d, _n: None
        )
        await verifier.close()
    await client.aclose()

    assert [(one.key, one.reason) for one in summary.of("left_out")] == [("gone", GONE), ("gone too", GONE)]
    (failed,) = summary.of("failed")
    assert failed.key == "list"
    assert "(WRONGTYPE Operation against a key" in failed.reason
    assert standing.same == {found[3]}
    assert summary.tensors["imported"] == 1


async def test_a_model_is_read_with_how_it_was_stored(door: str) -> None:
    onnx = graphs.scaled(3.0)
    stored(door, "m", onnx, "TAG", "v1", "BATCHSIZE", 8, "MINBATCHSIZE", 2, "MINBATCHTIMEOUT", 5)

    async with source(door) as one:
        model = await one.read(Found(0, b"m", "model"))

    assert isinstance(model, RaiModel)
    assert (model.backend, model.file) == ("ONNX", onnx)
    said = model.execution
    assert (said.key, said.db, said.device, said.tag) == ("m", 0, "CPU", "v1")
    assert (said.batch_rows, said.min_batch_rows, said.min_batch_wait_ms) == (8, 2, 5)


async def test_a_model_is_asked_and_no_key_is_written(door: str) -> None:
    stored(door, "m", graphs.scaled(3.0))
    with Redis.from_url(door) as redis:
        before = redis.dbsize()

        async with source(door) as one:
            outputs = await one.run(Found(0, b"m", "model"), [TIMES], 1)

        assert redis.dbsize() == before
    assert isinstance(outputs, list)
    np.testing.assert_array_equal(array_of(outputs[0]), 3 * TIMES)


async def test_the_words_of_an_older_redisai_run_a_model_too(door: str) -> None:
    stored(door, "m", graphs.scaled(3.0))
    with Redis.from_url(door) as redis:
        replies = redis.execute_command(*live.older_run_words(b"m", [of_array(TIMES)], 1))

    outputs = live.outputs_of(replies, 2)

    assert isinstance(outputs, list)
    np.testing.assert_array_equal(array_of(outputs[0]), 3 * TIMES)


async def test_a_model_that_does_not_answer_says_why(door: str) -> None:
    async with source(door) as one:
        outputs = await one.run(Found(0, b"nothing", "model"), [TIMES], 1)

    assert isinstance(outputs, str)
    assert "model key is empty" in outputs


@pytest.mark.parametrize(
    "onnx",
    [graphs.scaled(3.0), graphs.passed(graphs.INT64, ["rows", 2]), graphs.summed_over_steps()],
    ids=["floats", "integers", "steps"],
)
async def test_the_answers_of_both_are_compared(door: str, onnx: bytes) -> None:
    stored(door, "m", onnx)
    bundle = compose_bundle(onnx, "m")

    async with source(door) as one:
        verifier = Verifier(one)
        said = await verifier.verify(Found(0, b"m", "model"), bundle)
        await verifier.close()

    assert said == "same answers as RedisAI, at most 0 apart"


async def test_a_model_that_answers_otherwise_is_refused(door: str) -> None:
    stored(door, "m", graphs.scaled(3.0))
    bundle = compose_bundle(graphs.scaled(3.1), "m")

    async with source(door) as one:
        verifier = Verifier(one)
        with pytest.raises(AnswersDiffer, match="key 'm' answers the same input otherwise than RedisAI"):
            await verifier.verify(Found(0, b"m", "model"), bundle)
        await verifier.close()


async def test_a_model_whose_tensors_redisai_has_not_is_tried_and_not_compared(door: str) -> None:
    onnx = graphs.passed(graphs.HALF, ["rows", 2])
    stored(door, "m", onnx)

    async with source(door) as one:
        verifier = Verifier(one)
        said = await verifier.verify(Found(0, b"m", "model"), compose_bundle(onnx, "m"))
        await verifier.close()

    assert said.startswith("loaded, run once; not compared: RedisAI has no tensors of float16")


async def test_a_model_that_does_not_load_is_refused_before_anybody_is_asked() -> None:
    verifier = Verifier(None)
    bundle = compose_bundle(graphs.dense(np.ones((3, 2), np.float32)), "m")
    wrong = graphs.dense(np.ones((3, 2), np.float32)).replace(b"MatMul", b"NoSuch")

    with pytest.raises(BadModelFile):
        await verifier.verify(Found(0, b"m", "model"), type(bundle)(bundle.manifest, wrong))
    await verifier.close()


def test_keys_of_a_module_type_are_found_in_every_database_with_their_expiry(
    redis_server: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "AI_KINDS", {"ReJSON-RL": "tensor"})
    server = redis_server(json=True)
    for db in (0, 9):
        with Redis(unix_socket_path=str(server.socket), db=db) as redis:
            redis.set("other", "x")
            for i in range(1000):
                redis.execute_command("JSON.SET", f"k{i}", "$", "1")
            redis.expire("k1", 1000)

    inventory = asyncio.run(found(server.url))

    assert len(inventory.found) == 2000
    assert {one.db for one in inventory.found} == {0, 9}
    assert {one.key for one in inventory.found if one.expires_at_ms} == {b"k1"}


def test_a_redis_without_redisai_is_told_as_such(insitu: Callable[..., Result], redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        redis.set("other", "x")

    done = insitu("import", "redisai", redis_url)

    assert done.code == 1
    assert (
        "has no RedisAI in it, so there is nothing to import; give the URL of the one that has" in done.error
    )


async def found(url: str) -> Inventory:
    async with source(url) as one:
        return await one.look(lambda _done, _of: None)


def test_a_reply_by_name_is_read_as_one_in_a_row() -> None:
    row = [b"dtype", b"FLOAT", b"shape", [1], b"blob", b"\0\0\xc0?"]
    named = {b"dtype": b"FLOAT", b"shape": [1], b"blob": b"\0\0\xc0?"}

    tensors = [live.tensor_of(live.facts(reply)) for reply in (row, named)]

    assert tensors == [StoredTensor("FLOAT", (1,), b"\0\0\xc0?")] * 2
