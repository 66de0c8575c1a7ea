"""A URL becomes a client with bounded waits, or is refused without its password."""

from traceback import format_exception
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from models.connecting import CONNECT_SECONDS, Kind, connect, named, without_password
from models.errors import BadName


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://u:p@localhost:7000/3",
        "rediss://localhost",
        "unix:///tmp/redis.sock?db=2",
        "redis+sentinel://u:p@localhost,127.0.0.1:7000/features/2?sentinel_password=x",
        "rediss+sentinel://localhost/features?ssl_cert_reqs=none&client_name=c",
    ],
)
def test_a_url_of_one_server_gives_a_client_with_bounded_waits(url: str) -> None:
    client = connect(url, reply_seconds=7)

    assert isinstance(client, Redis)
    options: dict[str, Any] = client.get_connection_kwargs()
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (7, CONNECT_SECONDS)
    assert not client.get_encoder().decode_responses
    assert options["retry"] == Retry(
        NoBackoff(), 1, (RedisConnectionError,)
    )  # silence would be waited for twice


@pytest.mark.parametrize("url", ["redis+cluster://localhost:7000", "rediss+cluster://u:p@localhost:7000"])
def test_a_url_of_a_cluster_gives_a_cluster_client(url: str) -> None:
    assert isinstance(connect(url), RedisCluster)


def test_a_url_of_a_cluster_names_any_number_of_its_nodes() -> None:
    address = named("redis+cluster://u:p,w@a:7000,[::1]:7001,b?client_name=c")

    nodes = tuple(f"redis://u:p,w@{place}?client_name=c" for place in ("a:7000", "[::1]:7001", "b"))
    assert (address.kind, address.redis, address.nodes) == (Kind.CLUSTER, nodes[0], nodes)
    client: Any = connect("redis+cluster://u:p@a:7000,[::1]:7001,b?client_name=c")
    assert [one.name for one in client.nodes_manager.startup_nodes.values()] == [
        "a:7000",
        "::1:7001",
        "b:6379",
    ]
    assert {one.connection_kwargs["username"] for one in client.startup_nodes} == {"u"}


@pytest.mark.parametrize(
    "url",
    ["", "localhost:6379", "http://localhost", "redis:", "redis://", "redis://h:port", "redis://h:99999", "redis://h/x?db=x",
     "redis://h?socket_timeout=soon", "redis://h?no_such_option=1", "redis+cluster://h:port",
     "redis+cluster://h,", "redis+cluster://h:1,:2,i", "redis+cluster://h,i:port",
     "redis+sentinel://h", "redis+sentinel://h/features?no_such_option=1", "rediss://h?ssl_cert_reqs=maybe"],
)  # fmt: skip
def test_what_is_no_url_of_redis_is_refused_with_the_rule(url: str) -> None:
    with pytest.raises(BadName, match="Redis URL"):
        connect(url)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            "localhost:6379",
            "is not a valid URL: a URL that starts with redis://, rediss://, unix://, redis+sent",
        ),
        (
            "redis://h?no_such_option=1",
            "is not a valid URL: 'no_such_option' is none of its options; there are db",
        ),
        (
            "rediss+cluster://h?ssl_ca=x",
            "is not a valid URL: 'ssl_ca' is none of its options; there are db, user",
        ),
        ("redis://h?ssl_ca_certs=x", "is not a valid URL: 'ssl_ca_certs' is for TLS; write rediss"),
        ("redis://h:port", "is not a valid URL: Port could not be cast to integer value as 'port'"),
        (
            "redis+sentinel://h",
            "is not a valid URL: the service's name is missing: redis+sentinel://HOST:26379/SE",
        ),
        ("redis://h/features", "is not a valid URL: its database is no number; give one, as in redis"),
        ("redis://h/1/2", "is not a valid URL: its database is no number; give one, as in redis"),
        ("rediss+cluster://h/%31", "is not a valid URL: its database is no number; give one, as in redis"),
        ("unix://run/redis.sock", "is not a valid URL: its path does not begin at the root; give it whole"),
        (
            "unix://./redis.sock?db=1",
            "is not a valid URL: its path does not begin at the root; give it whole",
        ),
        ("redis+sentinel://h/features/x", "is not a valid URL: its database is no number; give one"),
    ],
)
def test_what_is_wrong_with_a_url_is_said_and_nothing_else(url: str, told: str) -> None:
    with pytest.raises(BadName) as caught:
        connect(url)

    assert told in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://h?decode_responses=true",
        "redis+cluster://h?decode_responses=true",
        "redis+sentinel://h/features?decode_responses=true",
    ],
)
def test_a_client_that_decodes_replies_is_refused(url: str) -> None:
    with pytest.raises(BadName, match="one without decode_responses"):
        connect(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:secret@h:1/0", "redis://u:***@h:1/0"),
        ("redis://:secret@h", "redis://:***@h"),
        ("redis://:se@cret@h", "redis://:***@h"),
        ("redis://h:1", "redis://h:1"),
        ("unix:///tmp/redis.sock", "unix:///tmp/redis.sock"),
        ("redis+cluster://u:secret@h", "redis+cluster://u:***@h"),
        ("redis+cluster://u:secret@h:1,i:2/", "redis+cluster://u:***@h:1,i:2/"),
        ("redis://h?password=secret&db=1", "redis://h?password=***&db=1"),
        (
            "redis+sentinel://u:secret@a,b/features?sentinel_password=secret&db=1",
            "redis+sentinel://u:***@a,b/features?sentinel_password=***&db=1",
        ),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize(
    "url",
    ["http://u:secret@h", "redis://u:secret@h:port", "redis://h:x?password=secret", "redis://u:1/secret@h"],
)
def test_a_refusal_never_tells_the_password(url: str) -> None:
    with pytest.raises(BadName) as caught:
        connect(url)

    assert "secret" not in str(caught.value) + str(caught.value.details)


@pytest.mark.parametrize("scheme", ["redis", "rediss", "redis+sentinel", "redis+cluster"])
@pytest.mark.parametrize(
    "password", ["secret/1", "secret#1", "secret?db=1", "1secret/", "/secret?", "a:secret#b"]
)
def test_a_password_that_cuts_its_url_is_told_how_it_is_written(scheme: str, password: str) -> None:
    with pytest.raises(BadName, match="write %2F, %3F or %23 in their place") as caught:
        connect(f"{scheme}://user:{password}@h:7000/0")

    told = "".join(format_exception(caught.value, limit=0))
    assert "secret" not in told


@pytest.mark.parametrize(
    "url", ["redis://h:7000/0?client_name=a@b", "redis://[::1]/0?client_name=a@b", "unix:///tmp/a:b@c?db=1"]
)
def test_an_at_sign_behind_the_host_is_no_password_s(url: str) -> None:
    assert isinstance(connect(url), Redis)
