"""The HEALTHCHECK of the server's image, run against a real server as the container runs it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import which

import pytest

from tests.certificates import make_certificates
from tests.conftest import missing
from tests.servers import free_port
from tests.serving import ServeCommand
from tests.unit.project.test_containers import only, stages


@pytest.fixture
def healthy() -> Callable[..., bool]:
    _, _, command = only(stages()["server"], "HEALTHCHECK").partition("CMD ")
    words = [sys.executable, *json.loads(command)[1:]]

    def ask(**environment: str) -> bool:
        return subprocess.run(words, env=environment, capture_output=True, check=False).returncode == 0

    return ask


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_server_is_healthy_with_and_without_tls_and_behind_a_proxy(
    redis_url: str, tmp_path: Path, healthy: Callable[..., bool], tls: bool
) -> None:
    if tls and which("openssl") is None:
        missing("no openssl to make certificates with")
    settings = {}
    if tls:
        made = make_certificates(tmp_path)
        settings = {
            "INSITU_TLS_CERT": str(made.certificate("server")),
            "INSITU_TLS_KEY": str(made.key("server")),
        }
    server = ServeCommand(redis_url, settings).start()

    well = healthy(INSITU_PORT=str(server.port), **settings)
    beside_a_proxy = healthy(INSITU_PORT=str(server.port), http_proxy="http://127.0.0.1:1", **settings)
    everywhere = [
        healthy(INSITU_PORT=str(server.port), INSITU_HOST=host, **settings) for host in ("", "[::]")
    ]
    server.stop()

    assert (well, beside_a_proxy, everywhere) == (True, True, [True] * 2)
    assert not healthy(INSITU_PORT=str(free_port()))


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is this machine on Linux alone")
def test_a_server_of_one_address_is_asked_there(redis_url: str, healthy: Callable[..., bool]) -> None:
    here = {"INSITU_HOST": "127.0.0.2"}
    server = ServeCommand(redis_url, here).start()

    well = healthy(INSITU_PORT=str(server.port), **here)
    elsewhere = healthy(INSITU_PORT=str(server.port))
    server.stop()

    assert (well, elsewhere) == (True, False)
