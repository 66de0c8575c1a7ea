"""A server that trusts keys answers from what they have signed alone: at every door, after every attack."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ResponseError

from models.errors import InsituError
from models.signing_errors import NotTrusted
from models.store import ModelStore
from models.trust import Signing
from server.inference.engine import Engine
from server.rpc.messages import SERVICE, message
from tests.attacks import ATTACKS, KEYS, STRANGER, TRUSTED, Attack, model, publish_signed, trusting
from tests.graphs import constant
from tests.integration.rpc.calling import infer_request
from tests.integration.server.conftest import Serve, StartEngine, until
from tests.serving import ServeCommand, serving

SECONDS = 30.0
JOB_SECONDS = 120.0  # a job is a process of its own, which loads its code while others have the processors
ROW = np.zeros((1, 2), np.float32)
Ask = Callable[
    [ServeCommand, str], tuple[str, str]
]  # a kind of error and its message, or nothing and the answer


def over_http(server: ServeCommand, name: str) -> tuple[str, str]:
    got = httpx.get(f"{server.url}/v1/models/{name}/predict", params={"key": "c:1"}, timeout=SECONDS)
    return (
        ("", got.text)
        if got.is_success
        else (f"{got.status_code} {error(got)['code']}", error(got)["message"])
    )


def error(got: httpx.Response) -> Any:
    return got.json()["error"]


def over_the_open_protocol(server: ServeCommand, name: str) -> tuple[str, str]:
    row = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0, 0]}
    got = httpx.post(f"{server.url}/v2/models/{name}/infer", json={"inputs": [row]}, timeout=SECONDS)
    return ("", got.text) if got.is_success else (str(got.status_code), error(got))


def over_redis(server: ServeCommand, name: str) -> tuple[str, str]:
    try:
        with door_of(server) as client:
            return "", str(client.execute_command("INSITU.PREDICT", name, "c:1"))
    except ResponseError as refused:
        word, _, told = str(refused).partition(" ")
        return word, told


def door_of(server: ServeCommand) -> Redis:
    """A client of the Redis protocol that is answered by the server."""
    host, _, port = server.told["resp"].rpartition(":")
    return Redis(host=host, port=int(port), protocol=2, socket_timeout=SECONDS)


def over_grpc(server: ServeCommand, name: str) -> tuple[str, str]:
    return called(server, "ModelInfer", infer_request(name, {"x": ROW}))


def called(server: ServeCommand, method: str, request: Any) -> tuple[str, str]:
    with grpc.insecure_channel(server.grpc) as channel:
        try:
            answer = channel.unary_unary(f"/{SERVICE}/{method}")(request.SerializeToString(), timeout=SECONDS)
            return "", str(answer)
        except grpc.RpcError as refused:
            return refused.code().name, refused.details()


DOORS: dict[Ask, str] = {
    over_http: "500 not_trusted",
    over_the_open_protocol: "500",
    over_redis: "BADMODEL",
    over_grpc: "FAILED_PRECONDITION",
}


async def fill(url: str) -> None:
    """Store a signed model for each attack, and make it; and one that nobody touches."""
    async with AsyncRedis.from_url(url) as redis:
        await redis.set("c:1", ROW.tobytes())
        for attack in ATTACKS:
            await publish_signed(redis, attack.__name__)
            await attack(redis, attack.__name__)
        await publish_signed(redis, "untouched")


@pytest.fixture(scope="module")
def attacked(redis_binary: Path) -> Iterator[ServeCommand]:
    with serving(fill, redis_binary, INSITU_TRUSTED_KEYS=str(TRUSTED.public)) as server:
        yield server


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_no_attack_is_answered_from_at_any_door(attacked: ServeCommand, attack: Attack, door: Ask) -> None:
    kind, told = door(attacked, attack.__name__)

    assert kind == DOORS[door]
    assert told.startswith(f"version 1 of model {attack.__name__!r} is not trusted: {ATTACKS[attack]}")


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_what_a_trusted_key_has_signed_is_answered_from_at_every_door(
    attacked: ServeCommand, door: Ask
) -> None:
    kind, told = door(attacked, "untouched")

    assert (kind, bool(told)) == ("", True)


def test_what_is_stored_says_whose_signature_it_has_and_whether_it_is_trusted(attacked: ServeCommand) -> None:
    told = {name: httpx.get(f"{attacked.url}/v1/models/{name}/versions/1").json() for name in names()}

    trusted, stranger = TRUSTED.public.fingerprint, STRANGER.public.fingerprint
    assert told["untouched"]["signature"] == {"key": trusted, "trusted": True}
    assert told["the_manifest_is_altered"]["signature"] == {"key": trusted, "trusted": False}
    assert told["a_stranger_signs_it"]["signature"] == {"key": stranger, "trusted": False}
    assert told["its_signature_is_no_text"]["signature"] == {"key": None, "trusted": False}
    assert "signature" not in told["the_signature_is_stripped"]
    assert "it is unsigned" in told["the_signature_is_stripped"]["problem"]


def names() -> list[str]:
    return ["untouched", *(attack.__name__ for attack in ATTACKS)]


ONNX = constant(3.0)


def upload_over_http(server: ServeCommand) -> tuple[str, str]:
    got = httpx.post(f"{server.url}/v1/models/new/versions", files={"model": ONNX}, timeout=SECONDS)
    return f"{got.status_code} {error(got)['code']}", error(got)["message"]


def load_with_a_file(server: ServeCommand) -> tuple[str, str]:
    body = {"parameters": {"file:1/model.onnx": b64encode(ONNX).decode()}}
    got = httpx.post(f"{server.url}/v2/repository/models/new/load", json=body, timeout=SECONDS)
    return str(got.status_code), error(got)


def load_with_a_file_over_grpc(server: ServeCommand) -> tuple[str, str]:
    request = message("RepositoryModelLoadRequest")(model_name="new")
    request.parameters["file:1/model.onnx"].bytes_param = ONNX
    return called(server, "RepositoryModelLoad", request)


def store_at_a_key(server: ServeCommand) -> tuple[str, str]:
    return refusal(server, "AI.MODELSTORE", "new", "ONNX", "CPU", "BLOB", ONNX)


def set_at_a_key(server: ServeCommand) -> tuple[str, str]:
    return refusal(server, "AI.MODELSET", "new", "ONNX", "CPU", "BLOB", ONNX)


def refusal(server: ServeCommand, *words: str | bytes) -> tuple[str, str]:
    with door_of(server) as client, pytest.raises(ResponseError) as refused:
        client.execute_command(*words)
    return type(refused.value).__name__, str(refused.value)


UPLOADS: dict[Callable[[ServeCommand], tuple[str, str]], str] = {
    upload_over_http: "403 unsigned_upload",
    load_with_a_file: "403",
    load_with_a_file_over_grpc: "PERMISSION_DENIED",
    store_at_a_key: "NoPermissionError",
    set_at_a_key: "NoPermissionError",
}


@pytest.mark.parametrize("upload", UPLOADS, ids=lambda upload: upload.__name__)
def test_what_is_uploaded_is_refused_before_anything_of_it_is_stored(
    attacked: ServeCommand, upload: Callable[[ServeCommand], tuple[str, str]]
) -> None:
    kind, told = upload(attacked)

    assert kind == UPLOADS[upload]
    assert "nothing is stored of model 'new'" in told
    assert "--sign-with" in told
    with Redis.from_url(attacked.redis_url) as redis:
        assert redis.keys("*new*") == []
        assert not redis.sismember(KEYS.models(), "new")


def meant(running: Engine) -> int:
    """The version that answers without being looked up, 0 for none."""
    route = running.catalogue.route("m")
    return 0 if route is None else route.serving.manifest.version


async def answer(running: Engine, reference: str | int | None = None) -> int:
    """The version that answers."""
    return (await running.catalogue.routed("m", reference)).serving.manifest.version


async def test_an_alias_that_moves_to_an_unsigned_version_leaves_the_signed_one_serving(
    store: ModelStore, engine: StartEngine, redis: AsyncRedis
) -> None:
    await publish_signed(redis, "m")
    running = await engine(**trusting())

    await store.publish(model("m", 9.0))

    await until(lambda: 3 in running.catalogue.failures("m"))
    assert await answer(running) == 1
    with pytest.raises(NotTrusted, match="it is unsigned"):
        await answer(running, 3)


async def test_a_signature_that_comes_later_makes_a_version_serve_without_a_restart(
    store: ModelStore, engine: StartEngine, redis: AsyncRedis
) -> None:
    await publish_signed(redis, "m")
    running = await engine(resync_seconds=3600, **trusting())
    await store.publish(model("m", 9.0))
    await until(lambda: 3 in running.catalogue.failures("m"))

    await store.sign("m", 3, TRUSTED)

    await until(lambda: meant(running) == 3)
    assert running.catalogue.failures("m") == {}


async def test_a_model_that_was_never_served_is_served_once_it_is_signed(
    store: ModelStore, engine: StartEngine
) -> None:
    await store.publish(model("m"))
    running = await engine(resync_seconds=3600, **trusting())
    for reference in (None, 1):
        with pytest.raises(NotTrusted):
            await answer(running, reference)

    await store.sign("m", 1, TRUSTED)

    assert await served(running) == 1


async def served(running: Engine) -> int:
    """The version that answers, once one does."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                return await answer(running, 1)
            except InsituError:
                await asyncio.sleep(0.01)


async def test_why_it_is_refused_is_kept_for_everybody_until_it_loads(
    store: ModelStore, engine: StartEngine
) -> None:
    await store.publish(model("m"))
    running = await engine(**trusting())
    with pytest.raises(NotTrusted):
        await answer(running)
    await until_kept(store, {1: "it is unsigned"})
    (refusal,) = (await store.refusals.of("m", [1])).values()
    assert refusal.runtime == "INSITU_TRUSTED_KEYS"

    await store.sign("m", 1, TRUSTED)

    assert await served(running) == 1
    await until_kept(store, {})


async def until_kept(store: ModelStore, reasons: dict[int, str]) -> None:
    """Wait until why version 1 is refused is kept so."""
    async with asyncio.timeout(SECONDS):
        while True:
            kept = await store.refusals.of("m", [1])
            if {version: one.reason for version, one in kept.items()} == reasons:
                return
            await asyncio.sleep(0.01)


async def test_what_is_altered_under_a_server_that_serves_it_is_not_taken_over(
    store: ModelStore, engine: StartEngine, redis: AsyncRedis
) -> None:
    await publish_signed(redis, "m")
    running = await engine(**trusting())
    before = (await running.catalogue.routed("m")).serving

    await ATTACK(redis, "m")
    await running.catalogue.changed("m")

    assert (await running.catalogue.routed("m")).serving is before


ATTACK = next(one for one in ATTACKS if one.__name__ == "the_graph_and_its_digest_are_replaced")


async def test_what_had_to_leave_the_memory_is_verified_again(engine: StartEngine, redis: AsyncRedis) -> None:
    await publish_signed(redis, "m")
    running = await engine(**trusting())
    assert await answer(running) == 1
    running.catalogue.unload("m")

    await redis.delete(KEYS.signature("m", 1))

    with pytest.raises(NotTrusted):
        await answer(running)


async def test_while_keys_are_rotated_both_are_trusted(engine: StartEngine, redis: AsyncRedis) -> None:
    await publish_signed(redis, "m")
    await ModelStore(redis, signing=Signing(key=STRANGER)).publish(model("m", 9.0))

    both = await engine(**trusting(TRUSTED, STRANGER))
    assert [await answer(both, version) for version in (1, 3)] == [1, 3]

    new = await engine(**trusting(STRANGER))
    with pytest.raises(NotTrusted, match="none of those that are trusted here"):
        await answer(new, 1)
    await ModelStore(redis).sign("m", 1, STRANGER)
    assert await served(new) == 1


async def test_the_processes_of_workers_and_jobs_ask_for_signatures_too(
    serve: Serve, redis: AsyncRedis, redis_url: str, tmp_path: Path
) -> None:
    await redis.set("c:1", ROW.tobytes())
    await publish_signed(redis, "signed")
    await ModelStore(redis).publish(model("unsigned"))
    keys = tmp_path / "trusted.pub"
    keys.write_text(f"{TRUSTED.public}\n")

    server = serve(redis_url, INSITU_TRUSTED_KEYS=str(keys), INSITU_WORKERS="2")
    keys.unlink()
    refused = {over_http(server, "unsigned")[0] for _ in range(8)}
    scored, never = (submitted(server, name) for name in ("signed", "unsigned"))

    assert refused == {"500 not_trusted"}
    assert (scored.status_code, never.status_code) == (201, 201), never.text
    assert json.loads(await written(redis, "s:c:1"))["value"] == 1.0
    assert "is not trusted: it is unsigned" in await reason(redis, never.json()["job"])


async def reason(redis: AsyncRedis, job: str) -> str:
    """Why a job failed, once it has."""
    async with asyncio.timeout(JOB_SECONDS):
        while True:
            told = await redis.hget(KEYS.job(job), "reason")
            if told:
                return told.decode() if isinstance(told, bytes) else told
            await asyncio.sleep(0.01)


def submitted(server: ServeCommand, name: str) -> httpx.Response:
    """Ask for a scoring job."""
    asked = {"rows": {"kind": "match", "pattern": "c:*"}, "to": [{"kind": "string", "key": "s:{key}"}]}
    return httpx.post(f"{server.url}/v1/models/{name}/jobs", json=asked, timeout=SECONDS)


async def written(redis: AsyncRedis, key: str) -> bytes:
    """What stands at a key, once something does."""
    async with asyncio.timeout(JOB_SECONDS):
        while True:
            value = await redis.get(key)
            if isinstance(value, bytes):
                return value
            await asyncio.sleep(0.01)
