"""Who may call: tokens with scopes, as over HTTP, and TLS with the same files."""

from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from models.store import ModelStore
from server.rpc.http2 import frames
from server.rpc.messages import HEALTH, REFLECTION, SERVICE, message
from server.rpc.wire import prefixed
from tests.certificates import make_certificates
from tests.graphs import bundle, scaled
from tests.integration.rest.test_access import OWNER, READER, digest
from tests.integration.rpc.calling import SECONDS, Caller, infer_request, refused
from tests.integration.rpc.conftest import OpenDoor
from tests.integration.rpc.test_connections import call, connected

OPEN = ("ServerLive", "ServerReady", "ServerMetadata")
PREDICT = ("ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics", "RepositoryIndex", "TraceSetting")
ADMIN = ("RepositoryModelLoad", "RepositoryModelUnload")


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


@pytest.fixture
async def locked(store: ModelStore, open_door: OpenDoor) -> Caller:
    await store.publish(bundle(scaled(), "scale"))
    return await open_door(tokens=f"predict:{digest(READER)},admin:{digest(OWNER)}")


def request_of(name: str) -> Any:
    if name == "ModelInfer":
        return infer_request("scale", {"x": np.ones((1, 2), np.float32)})
    return None


@pytest.mark.parametrize("name", [*PREDICT, *ADMIN, "ModelInfer"])
async def test_what_is_about_models_takes_a_token(locked: Caller, name: str) -> None:
    for metadata in ((), bearer("stranger")):
        error = await refused(locked.call(name, request_of(name), metadata=metadata))

        assert error.code() == grpc.StatusCode.UNAUTHENTICATED
        assert "token" in (error.details() or "")


@pytest.mark.parametrize("name", OPEN)
async def test_whether_the_server_lives_is_told_to_everybody(locked: Caller, name: str) -> None:
    assert await locked.call(name)


async def test_a_token_may_do_what_its_scope_says(locked: Caller) -> None:
    answer = await locked.call("ModelInfer", request_of("ModelInfer"), metadata=bearer(READER))
    error = await refused(locked.call("RepositoryModelLoad", model_name="scale", metadata=bearer(READER)))

    assert answer.model_name == "scale"
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED
    assert "needs a token of scope admin" in (error.details() or "")
    await locked.call("RepositoryModelLoad", model_name="scale", metadata=bearer(OWNER))


@pytest.mark.parametrize("name", ["ModelInfer", "RepositoryModelLoad"])
async def test_without_a_token_no_message_is_waited_for(locked: Caller, name: str) -> None:
    opened = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, call(name))
    async with connected(locked, opened) as line:
        _, trailers = await line.answer()

    assert trailers[b"grpc-status"] == b"16"
    assert trailers[b"insitu-code"] == b"unauthorized"


@pytest.mark.parametrize(
    ("service", "name"),
    [
        (SERVICE, "ServerLive"),
        (SERVICE, "TraceSetting"),
        (HEALTH, "Check"),
        (REFLECTION[0], "ServerReflectionInfo"),
    ],
)
async def test_what_brings_no_tensor_takes_no_large_message(door: Caller, service: str, name: str) -> None:
    opened = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, call(name, service))
    async with connected(door, opened, frames.frame(frames.DATA, 0, 1, prefixed(bytes(1 << 17))[:5])) as line:
        _, trailers = await line.answer()

    assert trailers[b"grpc-status"] == b"8"
    assert trailers[b"grpc-message"] == (
        b"a message has 131072 bytes, the limit is 65536; ModelInfer, ModelStreamInfer and RepositoryModelLoad "
        b"alone take longer ones"
    )


async def test_a_stream_without_a_token_is_refused(locked: Caller) -> None:
    async def nothing() -> Any:
        yield request_of("ModelInfer").SerializeToString()

    async def read(stream: Any) -> list[bytes]:
        return [one async for one in stream]

    error = await refused(read(locked.stream(nothing())))

    assert error.code() == grpc.StatusCode.UNAUTHENTICATED
    assert len(await read(locked.stream(nothing(), metadata=bearer(READER)))) == 1


async def test_tls_takes_the_files_of_https(store: ModelStore, open_door: OpenDoor, tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    door = await open_door(tls_cert=made.certificate("server"), tls_key=made.key("server"))
    trust = grpc.ssl_channel_credentials(made.authority.read_bytes())

    async with grpc.aio.secure_channel(door.address, trust) as channel:
        call = channel.unary_unary(f"/{SERVICE}/ServerLive")
        answer = message("ServerLiveResponse").FromString(await call(b"", timeout=SECONDS))

    assert answer.live
    assert (await refused(door.call("ServerLive"))).code() == grpc.StatusCode.UNAVAILABLE
