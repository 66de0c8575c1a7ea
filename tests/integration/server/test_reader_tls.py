"""Over TLS both sides prove who they are: one Redis, every node of a cluster, a master and its sentinels."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from shutil import which

import pytest

from models.encoding import encoded
from models.errors import RedisUnavailable
from tests.certificates import Certificates, make_certificates
from tests.conftest import missing
from tests.guarded import SERVICE, Sentinel
from tests.integration.server.asks import answers
from tests.integration.server.conftest import MakeReader
from tests.servers import CLUSTER_NODES, RedisNodes, RedisServer, free_port, join

GET = encoded(("GET", "where"))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if which("openssl") is None:
        missing("no openssl to make certificates with")
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def binary() -> Path:
    """Debian's Redis: the embedded server speaks no TLS."""
    found = which("redis-server")
    if found is None:
        missing("no redis-server with TLS: apt install redis-server")
    return Path(str(found))


def speaking_tls(port: int, certificates: Certificates) -> tuple[str, ...]:
    """Settings of a process whose one port speaks TLS and wants a client's certificate."""
    return (
        "--port", "0", "--tls-port", str(port), "--tls-ca-cert-file", str(certificates.authority),
        "--tls-cert-file", str(certificates.certificate("server")), "--tls-key-file", str(certificates.key("server")),
    )  # fmt: skip


@pytest.fixture(scope="module")
def tls_server(binary: Path, certificates: Certificates) -> Iterator[RedisServer]:
    port = free_port()
    server = RedisServer(binary, speaking_tls(port, certificates), port)
    try:
        server.start()
        with server.connect() as client:
            client.set("where", "behind TLS")
        yield server
    finally:
        server.close()


def tls_options(certificates: Certificates, **options: str) -> str:
    every = {
        "ssl_ca_certs": str(certificates.authority),
        "ssl_certfile": str(certificates.certificate("client")),
        "ssl_keyfile": str(certificates.key("client")),
        **options,
    }
    return "&".join(f"{name}={value}" for name, value in every.items() if value)


@pytest.mark.parametrize(
    ("host", "options"),
    [
        ("127.0.0.1", {}),
        ("localhost", {"ssl_check_hostname": "false"}),
        ("127.0.0.1", {"ssl_cert_reqs": "none", "ssl_ca_certs": ""}),
    ],
)
async def test_a_redis_behind_tls_is_read(
    reader: MakeReader,
    tls_server: RedisServer,
    certificates: Certificates,
    host: str,
    options: dict[str, str],
) -> None:
    one = reader(f"rediss://{host}:{tls_server.port}/0?{tls_options(certificates, **options)}", 5.0)

    replies = await answers(one, *[GET] * 2000)

    assert replies == [b"behind TLS"] * 2000


async def test_a_certificate_that_nobody_vouches_for_is_not_trusted(
    reader: MakeReader, tls_server: RedisServer, certificates: Certificates
) -> None:
    one = reader(f"rediss://127.0.0.1:{tls_server.port}?{tls_options(certificates, ssl_ca_certs='')}", 5.0)

    with pytest.raises(RedisUnavailable, match=r"TLS: .*certificate"):
        await answers(one, GET)


async def test_a_certificate_for_another_host_is_not_trusted(
    reader: MakeReader, tls_server: RedisServer, certificates: Certificates
) -> None:
    one = reader(f"rediss://localhost:{tls_server.port}?{tls_options(certificates)}", 5.0)

    with pytest.raises(RedisUnavailable, match=r"TLS: .*[Hh]ostname"):
        await answers(one, GET)


async def test_a_client_without_its_certificate_is_not_answered(
    reader: MakeReader, tls_server: RedisServer, certificates: Certificates
) -> None:
    one = reader(f"rediss://127.0.0.1:{tls_server.port}?ssl_ca_certs={certificates.authority}", 5.0)

    with pytest.raises(RedisUnavailable):
        await answers(one, GET)


async def test_tls_to_a_redis_without_is_told(
    reader: MakeReader, redis_server: Callable[..., RedisServer]
) -> None:
    server = redis_server(port=free_port())

    with pytest.raises(RedisUnavailable, match=r"no reply|TLS|reset"):
        await answers(reader(f"rediss://127.0.0.1:{server.port}?ssl_cert_reqs=none"), GET)


@pytest.fixture(scope="module")
def tls_cluster(binary: Path, certificates: Certificates) -> Iterator[RedisNodes]:
    with ExitStack() as stack:
        nodes = []
        for _ in range(CLUSTER_NODES):
            port = free_port()
            mode = ("--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-port", str(free_port()))
            nodes.append(RedisServer(binary, (*speaking_tls(port, certificates), *mode), port))
            stack.callback(nodes[-1].close)
            nodes[-1].start()
        cluster = RedisNodes(tuple(nodes))
        join(cluster)
        yield cluster


async def test_every_node_of_a_cluster_is_read_over_tls(
    reader: MakeReader, tls_cluster: RedisNodes, certificates: Certificates
) -> None:
    place = tls_cluster.url.replace("redis://", "rediss+cluster://")
    one = reader(f"{place}?{tls_options(certificates)}", 5.0)
    slots = [encoded(("GET", f"nobody:{number}")) for number in range(60)]

    assert await answers(one, *slots) == [None] * 60


async def test_a_node_of_a_cluster_that_nobody_vouches_for_is_not_trusted(
    reader: MakeReader, tls_cluster: RedisNodes, certificates: Certificates
) -> None:
    place = tls_cluster.url.replace("redis://", "rediss+cluster://")
    one = reader(f"{place}?{tls_options(certificates, ssl_ca_certs='')}", 5.0)

    with pytest.raises(RedisUnavailable, match=r"TLS: .*certificate"):
        await answers(one, GET)


@pytest.fixture(scope="module")
def tls_sentinel(binary: Path, certificates: Certificates, tls_server: RedisServer) -> Iterator[int]:
    """The TLS port of a sentinel that reaches its master over TLS."""
    port = free_port()
    lines = [
        f"tls-port {port}",
        "tls-replication yes",
        f"tls-ca-cert-file {certificates.authority}",
        f"tls-cert-file {certificates.certificate('server')}",
        f"tls-key-file {certificates.key('server')}",
    ]
    sentinel = Sentinel(binary, tls_server.port, "\n".join(lines))
    try:
        sentinel.start()
        yield port
    finally:
        sentinel.close()


async def test_a_master_and_its_sentinels_are_asked_over_tls(
    reader: MakeReader, tls_sentinel: int, certificates: Certificates
) -> None:
    one = reader(f"rediss+sentinel://127.0.0.1:{tls_sentinel}/{SERVICE}?{tls_options(certificates)}", 5.0)

    assert await answers(one, GET) == [b"behind TLS"]


async def test_a_sentinel_that_nobody_vouches_for_is_not_trusted(
    reader: MakeReader, tls_sentinel: int, certificates: Certificates
) -> None:
    options = tls_options(certificates, ssl_ca_certs="")
    one = reader(f"rediss+sentinel://127.0.0.1:{tls_sentinel}/{SERVICE}?{options}", 5.0)

    with pytest.raises(RedisUnavailable, match=r"no sentinel names master 'features': TLS: "):
        await answers(one, GET)
