"""A Redis client from a URL, with bounded waits; every program of the product connects here.

redis://[user:password@]host:6379/0     rediss:// the same over TLS
unix:///path/to/redis.sock?db=0
redis+cluster://host:6379               any node of a Redis Cluster; rediss+cluster:// over TLS
"""

import re
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from models.errors import BadName, shown
from models.store import Client

SCHEMES = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster")
RULE = f"a URL that starts with {', '.join(f'{scheme}://' for scheme in SCHEMES)}"
QUERY_PASSWORD = re.compile(r"([?&]password=)[^&]*", re.IGNORECASE)
CONNECT_SECONDS = 2.0
REPLY_SECONDS = 30.0  # longer than any blocking read; a chunk of 64 MiB takes its time on a slow link
RETRIES = 1  # a connection that the server closed is opened again; Redis that is away is told at once


def connect(url: str, reply_seconds: float = REPLY_SECONDS) -> Client:
    """Return a client; nothing is sent yet.

    Raises: BadName, no URL of Redis.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES or not rest:
        raise BadName("Redis URL", without_password(url), RULE)
    options: dict[str, Any] = {
        "socket_timeout": reply_seconds,
        "socket_connect_timeout": CONNECT_SECONDS,
        "retry": Retry(NoBackoff(), RETRIES),
    }
    try:
        if scheme.endswith("+cluster"):
            plain = f"{scheme.removesuffix('+cluster')}://{rest}"
            return with_bytes(url, RedisCluster.from_url(plain, **options))
        return with_bytes(url, checked(Redis.from_url(url, **options)))
    except (ValueError, TypeError) as error:
        raise BadName("Redis URL", without_password(url), f"{RULE} ({shown(error)})") from error


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


def without_password(url: str) -> str:
    """Return a Redis URL as it may be shown and logged."""
    scheme, separator, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    user = credentials.partition(":")[0]
    shown_url = f"{scheme}{separator}{user}:***@{place}" if at else url
    return QUERY_PASSWORD.sub(r"\1***", shown_url)
