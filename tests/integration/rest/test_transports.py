"""The same answers over TLS and over IPv6."""

import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.conftest import missing
from tests.integration.rest.conftest import Serve
from tests.integration.rest.speaking import line, post

KEYED = post(b'{"keys": ["customer:1"]}', path="/v1/models/churn/predict")

pytestmark = pytest.mark.usefixtures("stocked")


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for this machine, signed by itself, and its key."""
    if shutil.which("openssl") is None:
        missing("no openssl command to make a certificate with")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


async def test_predictions_are_answered_over_tls(serve: Serve, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    server = serve(INSITU_TLS_CERT=str(cert), INSITU_TLS_KEY=str(key))
    trusting = ssl.create_default_context(cafile=str(cert))

    async with line(server.port, "localhost", trusting) as one:
        await one.say(KEYED * 20)
        replies = await one.hear(20)
        await one.say(*(KEYED[at : at + 7] for at in range(0, len(KEYED), 7)))
        replies += await one.hear()
        await one.say(KEYED)  # and leaves without waiting
    async with httpx.AsyncClient(verify=trusting) as client:
        listed = await client.get(f"https://127.0.0.1:{server.port}/v1/models/churn")

    assert [reply.status for reply in replies] == [200] * 21
    assert listed.status_code == 200
    assert server.url.startswith("https://")
    assert "Traceback" not in server.log
    assert "eof_received" not in server.log


async def test_a_client_that_speaks_no_tls_harms_nobody(serve: Serve, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    server = serve(INSITU_TLS_CERT=str(cert), INSITU_TLS_KEY=str(key))
    trusting = ssl.create_default_context(cafile=str(cert))

    async with line(server.port) as plain, line(server.port, "localhost", trusting) as good:
        await plain.say(KEYED)
        await plain.end()
        await good.say(KEYED)

        assert [reply.status for reply in await good.hear()] == [200]


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
async def test_predictions_are_answered_over_ipv6(serve: Serve) -> None:
    server = serve(INSITU_HOST="::1")

    async with line(server.port, "::1") as one:
        await one.say(KEYED.replace(b"Host: 127.0.0.1", b"Host: [::1]:%d" % server.port) * 3)
        replies = await one.hear(3)

    assert [reply.status for reply in replies] == [200] * 3
    assert server.url == f"http://[::1]:{server.port}"
