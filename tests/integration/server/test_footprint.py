"""What a server costs: a short start, little memory, and nothing of the trainer's."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from models.connecting import connect
from models.store import ModelStore
from tests.integration.agreement.cases import CASES
from tests.integration.server.conftest import Serve
from tests.integration.server.processes import processor_seconds, resident_bytes
from tests.servers import RedisServer
from tests.serving import ROOT

Start = Callable[..., RedisServer]
THREE = ("hash", "image", "sequence")  # an MLP over hashes, a CNN over images, a GRU over lists
READY_SECONDS = 2.0
SHARED = 2  # a processor that others use too does less in a second
RESIDENT_BYTES = 150 << 20
TRAINERS = ("torch", "sklearn", "matplotlib", "onnxscript", "scipy", "pandas")


@pytest.fixture
def three(redis_server: Start) -> RedisServer:
    """A Redis with three models and a row of each."""
    server = redis_server()
    with server.connect() as client:
        for name in THREE:
            CASES[name].write(client)
    asyncio.run(publish(server.url))
    return server


async def publish(url: str) -> None:
    store = ModelStore(connect(url))
    for name in THREE:
        await store.publish(CASES[name].bundle)
    await store.redis.aclose()


@pytest.mark.alone
@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_a_server_of_three_models_is_soon_ready_and_small(
    serve: Serve, three: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    server = serve(three.url, fresh=True)
    with httpx.Client(base_url=server.url) as client:
        status = client.get("/health/ready").status_code
        seconds, busy = time.monotonic() - started, processor_seconds(server.pid)
        for name in THREE * 20:
            answer = client.post(f"/v1/models/{name}/predict", json={"keys": CASES[name].keys})
            assert answer.status_code == 200, answer.text
        loaded = [model["loaded"] for model in client.get("/v1/models").json()["models"]]

    resident = resident_bytes(server.pid)
    maps = Path(f"/proc/{server.pid}/maps").read_text()
    with capsys.disabled():
        told = f"ready after {seconds:.2f} s, {busy:.2f} s of them at work; {resident >> 20} MiB resident"
        sys.stdout.write(f"\n{told} with three models ")

    assert status == 200
    assert loaded == [[1], [1], [1]]
    assert busy < READY_SECONDS * SHARED
    assert resident < RESIDENT_BYTES
    assert not [name for name in ("libtorch", "sklearn", "matplotlib") if name in maps]


@pytest.mark.parametrize("module", ["server.app", "server.batch.scoring", "server.inference.admission"])
def test_the_server_imports_nothing_of_the_trainers(module: str) -> None:
    program = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)

    loaded = {name.partition(".")[0] for name in json.loads(told.stdout)}

    assert loaded & {*TRAINERS, "trainer"} == set()
