"""Redis' failures as the domain's errors: it does not answer, or it says no."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ssl import SSLError
from typing import Any

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    InvalidResponse,
    NoPermissionError,
    RedisClusterException,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from models.causes import cause
from models.errors import SHOWN_CHARACTERS, RedisRefused, RedisUnavailable

UNAVAILABLE = (
    RedisConnectionError,
    RedisTimeoutError,
    InvalidResponse,
    ClusterDownError,
    RedisClusterException,
    OSError,
)
NODE = "it is a node of a Redis Cluster; begin its URL with redis+cluster:// in place of redis://"
WRONG_TYPE = "WRONGTYPE"
BUSY = "BUSY "  # with a script: it answers nobody until that has ended
UNSAVED = "MISCONF"  # it could not save what it has: it refuses writes, and a PING, and answers reads
REFUSED = (AuthenticationError, AuthorizationError, ResponseError)
KEPT_OUT = (AuthenticationError, AuthorizationError, NoPermissionError)
# What Redis 7, and Valkey without the script's name, say at the end of why a script of ours stopped.
IN_SCRIPT = re.compile(r"\. script: (?:[0-9a-f]{40}, )?on @user_script:\d+")
PIPELINE_REASON = re.compile(r"caused error: (?:\(['\"])?(.*?)(?:['\"],\))?$", re.DOTALL)


@asynccontextmanager
async def redis_errors() -> AsyncIterator[None]:
    """Turn a Redis that does not answer, or says no, into the domain's error.

    Raises: RedisUnavailable, RedisRefused.
    """
    try:
        yield
    except ClusterDownError as error:  # a ResponseError, but it says that nobody answers
        raise RedisUnavailable(str(error)) from error
    except REFUSED as error:
        said = reason(error)
        raise (RedisUnavailable if said.startswith(BUSY) else RedisRefused)(said) from error
    except UNAVAILABLE as error:
        if refused := refusal_within(error):
            raise RedisRefused(reason(refused)) from error
        raise RedisUnavailable(why_silent(error)) from error


def refusal_within(error: BaseException) -> Exception | None:
    """Return what a server said no by while the connection was made, None where it said nothing.

    redis-py takes a node that refuses CLUSTER SLOTS to a user for one of no cluster.
    """
    if isinstance(error.__cause__, REFUSED):
        return error.__cause__
    return cause(error, *KEPT_OUT)


def why_silent(error: BaseException) -> str:
    """Return why nobody answered: what TLS said first, since what follows may be cut."""
    one = cause(error, SSLError)
    if one is not None:
        return f"TLS: {getattr(one, 'verify_message', '') or one.reason or one}"
    return why_first(str(error)) or type(error).__name__


@asynccontextmanager
async def connected(redis: Any) -> AsyncIterator[None]:  # Redis or RedisCluster
    """Talk to Redis with its failures as the domain's.

    A cluster is asked for its slots first: redis-py 8.1 sends the first commands of a client to
    any node when they come together, and closes what others use when that node says MOVED.

    Raises: RedisUnavailable, RedisRefused.
    """
    async with redis_errors():
        if isinstance(redis, RedisCluster):
            await redis.initialize()
        yield


@asynccontextmanager
async def in_time(seconds: float) -> AsyncIterator[None]:
    """Bound a look-up: a Redis that hangs counts as away.

    Raises: RedisUnavailable.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise RedisUnavailable(f"no reply within {seconds:g} s") from error


@asynccontextmanager
async def reading(redis: Any, kinds: Mapping[str, str]) -> AsyncIterator[None]:
    """Talk to Redis as `connected`; where a key is of another type than `kinds` has it, the refusal names it.

    Raises: RedisUnavailable, RedisRefused.
    """
    try:
        async with connected(redis):
            yield
    except RedisRefused as error:
        if not mistyped(error):
            raise
        async with connected(redis):
            for key, kind in kinds.items():
                found = (await redis.type(key)).decode()
                if found not in (kind, "none"):
                    raise RedisRefused(
                        f"{WRONG_TYPE}, {key!r} is a {found} and no {kind}; something else has written over what "
                        "Insitu keeps there: put it back, or remove the key"
                    ) from error
        raise


async def replies_by_type(pipeline: Any) -> list[Any]:
    """Return the replies of a pipeline, None from a key of another type; any other error is raised."""
    replies = await pipeline.execute(raise_on_error=False)
    for one in replies:
        if isinstance(one, Exception) and not str(one).startswith(WRONG_TYPE):
            raise one
    return [None if isinstance(one, Exception) else one for one in replies]


def mistyped(error: RedisRefused) -> bool:
    """Whether Redis refused because a key is of another type."""
    return str(error.details["reason"]).startswith(WRONG_TYPE)


def why_first(said: str) -> str:
    """Return why nobody was reached before an address so long that the reason behind it would be cut."""
    where, found, why = said.rstrip(".").rpartition(". ")
    return f"{why} ({where})" if found and "connecting to" in where and len(said) > SHOWN_CHARACTERS else said


def reason(error: Exception) -> str:
    """Return what Redis said; a pipeline's error repeats the command before it, a script's ends with its place.

    That a key lies at another node is said only to who knows nothing of a cluster.
    """
    if isinstance(error, AskError):  # a MovedError is one too
        return NODE
    found = PIPELINE_REASON.search(str(error))
    return IN_SCRIPT.sub("", found[1] if found else str(error)).rstrip(".")
