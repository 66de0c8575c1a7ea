"""A URL says where Redis is, who asks, which database, and how the other side proves itself."""

from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which

import pytest

from models.encoding import encoded
from models.errors import BadName, RedisRefused, RedisUnavailable
from server.inference.reading.reader import Reader
from tests.certificates import Certificates, make_certificates
from tests.conftest import missing
from tests.integration.server.asks import answers, command
from tests.integration.server.conftest import MakeReader, until
from tests.servers import RedisServer, free_port

Start = Callable[..., RedisServer]
GET = encoded(("GET", "where"))


@pytest.fixture
def server(redis_server: Start) -> RedisServer:
    one = redis_server(port=free_port())
    with one.connect() as client:
        client.set("where", "database 0")
        client.execute_command("SELECT", 3)
        client.set("where", "database 3")
    return one


@pytest.mark.parametrize(
    ("ending", "where"), [("", b"database 0"), ("/0", b"database 0"), ("/3", b"database 3"), ("?db=3", b"database 3")]
)  # fmt: skip
async def test_the_database_is_the_one_in_the_url(
    reader: MakeReader, server: RedisServer, ending: str, where: bytes
) -> None:
    assert await answers(reader(server.tcp_url + ending), GET) == [where]


async def test_a_socket_is_given_its_database_as_an_option(reader: MakeReader, server: RedisServer) -> None:
    assert await answers(reader(f"{server.url}?db=3"), GET) == [b"database 3"]


async def test_a_database_that_is_not_there_is_refused(reader: MakeReader, server: RedisServer) -> None:
    with pytest.raises(RedisRefused, match="DB index is out of range"):
        await answers(reader(f"{server.tcp_url}/99"), GET)


async def test_the_client_has_the_name_in_the_url(reader: MakeReader, server: RedisServer) -> None:
    one = reader(f"{server.tcp_url}?client_name=features")

    assert await answers(one, encoded(("CLIENT", "GETNAME"))) == [b"features"]


@pytest.mark.parametrize("way", ["userinfo", "options"])
async def test_a_user_with_a_password_reads_its_keys(
    reader: MakeReader, server: RedisServer, way: str
) -> None:
    with server.connect() as client:
        client.execute_command("ACL", "SETUSER", "reads", "on", ">se cret@", "~where", "+get", "+select")
    urls = {
        "userinfo": f"redis://reads:se%20cret%40@127.0.0.1:{server.port}/3",
        "options": f"{server.url}?username=reads&password=se%20cret%40&db=3",
    }

    one = reader(urls[way] + ("&" if "?" in urls[way] else "?") + "client_name=may-not")

    assert await answers(one, GET) == [b"database 3"]
    with pytest.raises(RedisRefused, match=r"[Nn]o permissions"):
        await answers(one, GET, encoded(("GET", "another")))
    assert one.reason is None


async def test_a_password_without_a_user_is_the_default_users(
    reader: MakeReader, server: RedisServer
) -> None:
    with server.connect() as client:
        client.config_set("requirepass", "secret")

    assert await answers(reader(f"redis://:secret@127.0.0.1:{server.port}"), GET) == [b"database 0"]


@pytest.mark.parametrize(("who", "told"), [("reads:wrong@", "invalid username-password"), ("", "NOAUTH")])
async def test_wrong_credentials_are_refused_until_they_are_right(
    reader: MakeReader, server: RedisServer, who: str, told: str
) -> None:
    with server.connect() as client:
        client.config_set("requirepass", "secret")
        client.execute_command("AUTH", "secret")
        one = reader(f"redis://{who}127.0.0.1:{server.port}")

        for _ in range(3):
            with pytest.raises(RedisRefused, match=told):
                await answers(one, GET)
        assert told in str(one.reason)
        assert await answers(one) == []

        client.config_set("requirepass", "")
        client.execute_command("ACL", "SETUSER", "reads", "on", ">wrong", "~*", "+@all")
    await until(lambda: one.reason is None)
    assert await answers(one, GET) == [b"database 0"]


async def test_permissions_that_are_taken_away_are_told_to_whom_they_concern(
    reader: MakeReader, server: RedisServer
) -> None:
    one = reader(f"redis://reads:secret@127.0.0.1:{server.port}")
    with server.connect() as client:
        client.execute_command("ACL", "SETUSER", "reads", "on", ">secret", "~*", "+@all")
        await answers(one, GET)
        client.execute_command("ACL", "SETUSER", "reads", "-get")

    with pytest.raises(RedisRefused, match=r"[Nn]o permissions"):
        await answers(one, GET)

    assert await answers(one, command(1)) == [None]
    assert one.reason is None


async def test_nobody_at_a_port_is_told_with_the_place(reader: MakeReader) -> None:
    with pytest.raises(RedisUnavailable, match=r"127\.0\.0\.1"):
        await answers(reader(f"redis://127.0.0.1:{free_port()}"), GET)


async def test_a_name_of_no_machine_is_told(reader: MakeReader) -> None:
    with pytest.raises(RedisUnavailable):
        await answers(reader("redis://nowhere.invalid", timeout_seconds=10), GET)


async def test_a_name_that_cannot_be_one_is_told(reader: MakeReader) -> None:
    with pytest.raises(RedisUnavailable, match=r"idna|label"):
        await answers(reader(f"redis://{'x' * 100}.example"), GET)


# TLS: the embedded server has none, Debian's Redis has.


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if which("openssl") is None:
        missing("no openssl to make certificates with")
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def tls_server(certificates: Certificates) -> Iterator[RedisServer]:
    """A Redis whose one port speaks TLS and wants a client's certificate; `port` is that port."""
    binary = which("redis-server")
    if binary is None:
        missing("no redis-server with TLS: apt install redis-server")
    port = free_port()
    arguments = (
        "--tls-port", str(port), "--tls-ca-cert-file", str(certificates.authority),
        "--tls-cert-file", str(certificates.certificate("server")), "--tls-key-file", str(certificates.key("server")),
    )  # fmt: skip
    server = RedisServer(Path(str(binary)), arguments)
    try:
        server.start()
        server.port = port
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


async def test_tls_to_a_redis_without_is_told(reader: MakeReader, server: RedisServer) -> None:
    with pytest.raises(RedisUnavailable, match=r"no reply|TLS|reset"):
        await answers(reader(f"rediss://127.0.0.1:{server.port}?ssl_cert_reqs=none"), GET)


def test_files_of_certificates_that_are_not_there_are_refused() -> None:
    with pytest.raises(BadName, match="No such file"):
        Reader("rediss://h?ssl_ca_certs=/no/such/file", 1.0)
