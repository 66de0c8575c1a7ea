"""From settings to a Redis that answers: the one that is named, else the embedded one that runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.exceptions import AuthenticationError, RedisClusterException, RedisError, ResponseError

from cli.embedded import find_running
from cli.errors import RedisUnreachable
from cli.key_files import signing_of
from cli.settings import Settings
from models.connecting import connect, without_password
from models.errors import shown
from models.keys import Keys
from models.redis_failures import BUSY, UNSAVED, refusal_within
from models.store import Client, ModelStore

ANSWER_SECONDS = 5.0  # in which a Redis answers that is there
LOG_IN = "put the right user and password into the URL, redis://USER:PASSWORD@HOST:6379"
NO_MASTER = (
    "start sentinels that watch a master of this name, or write theirs into the URL; a failover takes seconds"
)
CURES = (
    ("DB index is out of range", "name a database that it has, redis://HOST:6379/0"),
    ("unknown command 'SENTINEL'", "it is no sentinel: name one, or this Redis itself as redis://HOST:6379"),
    ("Cluster mode is not enabled", "it is no cluster: write redis:// in place of redis+cluster://"),
    ("permissions to ", "allow this user what `Rights` in docs/redis-keys.md lists"),
    ("certificate has expired", "renew its certificate"),
    (
        "certificate is not valid for",
        "name its host as its certificate does, or say ?ssl_check_hostname=false",
    ),
    ("CERTIFICATE_REQUIRED", "it wants one of yours: ?ssl_certfile=FILE&ssl_keyfile=FILE"),
    (
        "ALERT_UNKNOWN_CA",
        "it does not trust your certificate: name one of its authority with ?ssl_certfile=FILE",
    ),
    (
        "- auth:",
        "log in to the sentinels: ?sentinel_password=PASSWORD, and sentinel_username where they have users",
    ),
    ("No master found", NO_MASTER),
    ("loading the dataset", "wait until it has read its data; INFO persistence tells how far it is"),
    (
        "Link with MASTER is down",
        "give the URL of its primary, or bring that back: this replica is to answer nobody without it",
    ),
    (BUSY, "wait for the script, or end it with `redis-cli SCRIPT KILL`"),
    ("Connection reset by peer", "write rediss:// where it speaks TLS, redis:// where it speaks none"),
    ("SSL", "write redis:// where it speaks no TLS, or name its authority with ?ssl_ca_certs=FILE"),
)


def redis_url(settings: Settings) -> str:
    """Return the URL of the Redis to work with.

    Raises: RedisUnreachable, none is named and no embedded one runs.
    """
    if settings.redis_url is not None:
        return settings.redis_url
    running = find_running(settings.data_dir)
    if running is None:
        where = f" on {settings.data_dir}" if settings.data_dir else ""
        raise RedisUnreachable(
            f"no Redis: INSITU_REDIS_URL is not set and no embedded Redis runs{where}; "
            "start one with `insitu up` or `insitu demo`, or set INSITU_REDIS_URL=redis://HOST:6379"
        )
    return running.url


@asynccontextmanager
async def opened(settings: Settings, *, signs: bool = False) -> AsyncIterator[ModelStore]:
    """Open the model store in a Redis that has answered a PING; as the settings say it trusts, and `signs`.

    Raises: RedisUnreachable; BadName, no URL of Redis; BadKey, SigningNotInstalled.
    """
    signing = signing_of(settings, signs=signs)
    url = redis_url(settings)
    client = connect(url)
    try:
        await check_answer(client, url)
        yield ModelStore(client, Keys(settings.prefix), signing=signing)
    finally:
        await client.aclose()


async def check_answer(client: Client, url: str) -> None:
    """Ask once, so that what is wrong is told before any work.

    A Redis that only takes no writes may be looked at.

    Raises: RedisUnreachable.
    """
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await client.execute_command("PING")
    except (AuthenticationError, ResponseError) as error:
        if str(error).startswith(UNSAVED):
            return
        raise refusal(url, str(error)) from error
    except (RedisError, RedisClusterException, OSError) as error:  # a TimeoutError is an OSError
        if refused := refusal_within(error):
            raise refusal(url, str(refused)) from error
        place = shown(without_password(url))
        plain = ", write redis:// where it speaks no TLS" if url.startswith("rediss") else ""
        guarded = ", wait for its sentinels to replace it" if "+sentinel://" in url else ""
        cure = cure_for(str(error), f"start it{guarded}{plain}, or set INSITU_REDIS_URL to another")
        said = str(error) or f"no reply within {ANSWER_SECONDS:g} s"
        reason, _, _ = said.partition(" : <")  # a sentinel client goes on with every client's options
        raise RedisUnreachable(f"Redis at {place} does not answer ({reason}); {cure}", url=place) from error


def refusal(url: str, reason: str) -> RedisUnreachable:
    """Return the error of a Redis that answers, and lets nobody in, with what cures it."""
    place = shown(without_password(url))
    return RedisUnreachable(f"Redis at {place} refuses ({reason}); {cure_for(reason, LOG_IN)}", url=place)


def cure_for(reason: str, otherwise: str) -> str:
    """Return what to do about what Redis or its client said."""
    return next((cure for said, cure in CURES if said in reason), otherwise)
