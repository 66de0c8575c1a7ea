"""A Redis client from a URL, with bounded waits; every program of the product connects here.

redis://[user:password@]host:6379/0     rediss:// the same over TLS
unix:///path/to/redis.sock?db=0
redis+sentinel://host:26379,host:26379/SERVICE/0     the master that sentinels name; rediss+sentinel:// over TLS
redis+cluster://host:6379,host:6379     nodes of a Redis Cluster, any of them; rediss+cluster:// over TLS
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from models.cluster_client import cluster_client
from models.errors import BadName, shown
from models.sentinel_client import MasterPool, SentinelsOfAny
from models.sentinel_urls import guarded
from models.store import Client
from models.tls_files import fault_of_files

SCHEMES = (
    "redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster",
)  # fmt: skip
RULE = f"a URL that starts with {', '.join(f'{scheme}://' for scheme in SCHEMES)}"
OPTIONS = (
    "there are db, username, password, client_name, ssl_ca_certs, ssl_certfile, ssl_keyfile, ssl_check_hostname "
    "and ssl_cert_reqs; a sentinel's also has sentinel_username and sentinel_password"
)
ESCAPED = "one whose user and password hold no / ? or #; write %2F, %3F or %23 in their place"
UNKNOWN_OPTION = re.compile(r"unexpected keyword argument '(\w+)'")  # as redis-py comes upon it
# The path of a URL; redis-py takes any other for database 0, or for a wrong one.
DATABASE = re.compile(r"/?[0-9]*/?")
QUERY_PASSWORD = re.compile(r"([?&](?:sentinel_)?password=)[^&]*", re.IGNORECASE)
CONNECT_SECONDS = 2.0
REPLY_SECONDS = 30.0  # longer than any blocking read; a chunk of 64 MiB takes its time on a slow link
# A connection that the server closed is opened again; Redis that is away, or says nothing, is told at once.
RETRIES = 1
RETRIED = (RedisConnectionError,)


class Kind(Enum):
    """What a URL leads to."""

    ONE = "one server"
    SENTINEL = "the master of a service"
    CLUSTER = "a cluster"


@dataclass(frozen=True, slots=True)
class Named:
    """What a URL names: the server itself, nodes of the cluster, or the master that is to be found."""

    kind: Kind
    redis: str
    service: str = ""
    sentinels: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()  # of a cluster, `redis` the first of them


def named(url: str) -> Named:
    """Return what a URL names, as plain URLs of one server each.

    Raises: BadName, no URL of Redis.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES or not rest:
        raise BadName("Redis URL", without_password(url), RULE)
    if is_cut(rest):
        raise BadName("Redis URL", without_password(url), ESCAPED)
    plain, _, kind = scheme.partition("+")
    if plain == "rediss" and (fault := fault_of_files(url)):
        raise BadName("Redis URL", without_password(url), fault)
    with refusing(url):
        if kind == "sentinel":
            found = guarded(url)
            address = Named(Kind.SENTINEL, found.master, found.service, found.sentinels)
        elif kind:
            nodes = each_host(plain, rest)
            address = Named(Kind.CLUSTER, nodes[0], nodes=nodes)
        else:
            address = Named(Kind.ONE, f"{plain}://{rest}")
        for one in (address.redis, *address.sentinels, *address.nodes):
            checked(Redis.from_url(one))
        check_path(address.redis)
    return address


def each_host(scheme: str, rest: str) -> tuple[str, ...]:
    """Return a URL of one server for each of the hosts that a URL has between its commas.

    Raises: ValueError, one is empty.
    """
    place = re.split(r"[/?#]", rest, maxsplit=1)[0]
    credentials, at, hosts = place.rpartition("@")
    every = hosts.split(",")
    if len(every) > 1 and any(not host or host.startswith(":") for host in every):
        raise ValueError(f"a comma stands between two hosts; one is missing in {hosts!r}")
    return tuple(f"{scheme}://{credentials}{at}{host}{rest[len(place) :]}" for host in every)


def is_cut(rest: str) -> bool:
    """Whether a URL without its scheme ends within a password: what stands before the first / ? or # is no host's."""
    place = re.split(r"[/?#]", rest, maxsplit=1)[0]
    port = place.rpartition(":")[2]
    return "@" in rest and "@" not in place and ":" in place and not port.isdigit() and not port.endswith("]")


def check_path(url: str) -> None:
    """Refuse the URL of one server whose database is no number, or whose socket is not named from the root.

    Raises: ValueError.
    """
    parts = urlsplit(url)
    if parts.scheme == "unix" and parts.hostname:
        # redis-py would pass over it, and look for the rest at the root
        raise ValueError(
            "its path does not begin at the root; give it whole, as in unix:///run/redis/redis.sock"
        )
    if parts.scheme != "unix" and not DATABASE.fullmatch(parts.path):
        # not said again: a password with a slash in it would be a part of it
        raise ValueError("its database is no number; give one, as in redis://HOST:6379/0")


def connect(url: str, reply_seconds: float = REPLY_SECONDS) -> Client:
    """Return a client; nothing is sent yet.

    Raises: BadName, no URL of Redis.
    """
    address = named(url)
    options: dict[str, Any] = {
        "socket_timeout": reply_seconds,
        "socket_connect_timeout": CONNECT_SECONDS,
        "retry": Retry(NoBackoff(), RETRIES, RETRIED),
    }
    with refusing(url):
        if address.kind is Kind.CLUSTER:
            return with_bytes(url, cluster_client(address.nodes, **options))
        if address.kind is Kind.SENTINEL:
            return with_bytes(url, checked(master_client(address, options)))
        return with_bytes(url, checked(Redis.from_url(address.redis, **options)))


def master_client(address: Named, options: dict[str, Any]) -> Redis:
    """Return a client of the master that the sentinels name; it finds the new one after a failover."""
    sentinels = [connection_options(one) for one in address.sentinels]
    places = [(one.pop("host"), one.pop("port")) for one in sentinels]
    sentinel: Any = SentinelsOfAny  # redis-py gives its constructor no types
    guards = sentinel(places, sentinel_kwargs={**sentinels[0], **options})
    master = connection_options(address.redis)
    del master["host"]
    client: Redis = guards.master_for(address.service, connection_pool_class=MasterPool, **master, **options)
    return client


def connection_options(url: str) -> dict[str, Any]:
    """Return the options of a plain URL as redis-py's clients take them."""
    options: dict[str, Any] = {**parse_url(url)}
    tls = options.pop("connection_class", None) is SSLConnection
    return {**options, "ssl": True} if tls else options


def checked(client: Redis) -> Redis:
    """Return a client after one connection object was made: it connects to nothing, but knows its options."""
    pool: Any = client.connection_pool
    pool.make_connection()
    return client


def with_bytes(url: str, client: Client) -> Client:
    """Return a client that hands over bytes.

    Raises: BadName, when the URL asks it to decode them: features and models are no text.
    """
    if client.get_encoder().decode_responses:
        raise BadName("Redis URL", without_password(url), "one without decode_responses")
    return client


@contextmanager
def refusing(url: str) -> Iterator[None]:
    """Turn what redis-py and the TLS library say of a URL into the domain's error.

    Raises: BadName.
    """
    try:
        yield
    except (ValueError, TypeError, RedisError, OSError) as error:
        raise BadName("Redis URL", without_password(url), what_is_wrong(url, error)) from error


def what_is_wrong(url: str, error: Exception) -> str:
    """Return what is wrong with a URL whose scheme is right."""
    unknown = UNKNOWN_OPTION.search(str(error))
    if unknown is None:
        return shown(error)
    option = unknown[1]
    if option.startswith("ssl_") and not url.startswith("rediss"):
        return f"{option!r} is for TLS; write rediss"
    return f"{option!r} is none of its options; {OPTIONS}"


def without_password(url: str) -> str:
    """Return a Redis URL as it may be shown and logged."""
    scheme, separator, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    user = credentials.partition(":")[0]
    shown_url = f"{scheme}{separator}{user}:***@{place}" if at else url
    return QUERY_PASSWORD.sub(r"\1***", shown_url)
