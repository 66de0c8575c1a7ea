"""A URL says where Redis is, who asks, which database, and how the other side proves itself."""

from collections.abc import Callable

import pytest
from redis.exceptions import ResponseError

from models.encoding import encoded
from models.errors import BadName, RedisRefused, RedisUnavailable
from server.inference.reading.reader import Reader
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
    first, another = await answers(one, GET, encoded(("GET", "another")))
    assert first == b"database 3"
    assert "o permissions to access" in str(another)
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


async def test_a_redis_that_takes_no_writes_is_read(reader: MakeReader, server: RedisServer) -> None:
    one = reader(server.url)
    assert await answers(one, GET) == [b"database 0"]
    server.fill_the_disk()
    with server.connect() as client:
        with pytest.raises(ResponseError, match="MISCONF"):
            client.ping()
        client.client_kill_filter(_type="normal", skipme=True)

    assert await answers(one, GET) == [b"database 0"]
    assert await answers(reader(server.url), GET) == [b"database 0"]


async def test_nobody_at_a_port_is_told_with_the_place(reader: MakeReader) -> None:
    with pytest.raises(RedisUnavailable, match=r"127\.0\.0\.1"):
        await answers(reader(f"redis://127.0.0.1:{free_port()}"), GET)


async def test_a_name_of_no_machine_is_told(reader: MakeReader) -> None:
    with pytest.raises(RedisUnavailable):
        await answers(reader("redis://nowhere.invalid", timeout_seconds=10), GET)


async def test_a_name_that_cannot_be_one_is_told(reader: MakeReader) -> None:
    with pytest.raises(RedisUnavailable, match=r"idna|label"):
        await answers(reader(f"redis://{'x' * 100}.example"), GET)


def test_files_of_certificates_that_are_not_there_are_refused() -> None:
    with pytest.raises(BadName, match="No such file"):
        Reader("rediss://h?ssl_ca_certs=/no/such/file", 1.0)
