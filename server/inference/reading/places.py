"""Where a Redis listens and what it is told first; from a URL, by redis-py's own rules."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from ssl import SSLContext, SSLError
from typing import Any, TypeVar

from redis.asyncio.connection import ConnectionPool, SSLConnection
from redis.exceptions import ResponseError

from models.errors import RedisRefused, RedisUnavailable
from models.redis_failures import UNSAVED
from server.inference.reading.faults import AWAY, UNNAMED

Spoken = TypeVar("Spoken")  # by its methods a protocol of asyncio
Greeting = tuple[tuple[str, ...], ...]
PING = ("PING",)
ROLE = ("ROLE",)
# These may be refused to whoever reads: whoever says so answers.
OPTIONAL = {"PING", "ROLE", "CLIENT"}
READABLE = ("NOPERM", UNSAVED)
FULL_LINE_SECONDS = 0.01  # until a unix socket's line is tried again
FULL = "ERR max number of clients"


@dataclass(frozen=True, slots=True)
class Place:
    """One Redis: a unix socket's path, or a host and a port, in clear or over TLS."""

    greeting: Greeting
    host: str = "localhost"
    port: int = 6379
    path: str = ""
    tls: SSLContext | None = None

    @property
    def name(self) -> str:
        """The place as errors name it."""
        return self.path or f"{self.host}:{self.port}"

    def at(self, host: str, port: int) -> "Place":
        """Return another node that is spoken to in the same way."""
        return replace(self, host=host, port=port)

    def as_master(self) -> "Place":
        """Return the same place, asked whether it is a master."""
        return replace(self, greeting=(*self.greeting, ROLE))

    async def itself(self) -> "Place":
        """Return this place: nobody has to be asked where it is."""
        return self

    async def reached(self, make: Callable[[], Spoken]) -> Spoken:
        """Connect.

        A unix socket whose line of those who wait is full refuses at once; it is tried until the caller gives up.

        Raises: OSError.
        """
        loop: Any = asyncio.get_running_loop()  # whose types ask for a subclass of its protocols
        spoken: Spoken
        while self.path:
            try:
                _, spoken = await loop.create_unix_connection(make, self.path)
            except BlockingIOError:
                await asyncio.sleep(FULL_LINE_SECONDS)
            else:
                return spoken
        name = self.host if self.tls else None
        _, spoken = await loop.create_connection(
            make, self.host, self.port, ssl=self.tls, server_hostname=name
        )
        return spoken

    def check(self, replies: list[Any]) -> None:
        """Look at the replies to the greeting.

        Raises: RedisUnavailable, nobody is answered here now; RedisRefused, not with these credentials.
        """
        for command, reply in zip(self.greeting, replies, strict=True):
            if isinstance(reply, ResponseError):
                check_refusal(command[0], str(reply))
            elif command is ROLE and reply[0] != b"master":
                raise RedisUnavailable(f"{self.name} is no master now")


def check_refusal(command: str, text: str) -> None:
    """Look at one refusal of a greeting.

    Raises: RedisUnavailable, RedisRefused.
    """
    if text.startswith((*AWAY, FULL)):
        raise RedisUnavailable(text.removeprefix(UNNAMED))
    if not (command in OPTIONAL and text.startswith(READABLE)):
        raise RedisRefused(text)


def place_of(url: str) -> Place:
    """Return the place of a redis://, rediss:// or unix:// URL.

    Raises: ValueError, TypeError or RedisError, as redis-py says what is wrong with it.
    """
    pool: Any = ConnectionPool.from_url(url)
    made = pool.make_connection()
    greeting = (*credentials(made.username, made.password), *choice(made.db, made.client_name), PING)
    if path := getattr(made, "path", ""):
        return Place(greeting, path=path)
    tls = made.ssl_context.get() if isinstance(made, SSLConnection) else None
    return Place(greeting, made.host, made.port, tls=tls)


def credentials(username: str | None, password: str | None) -> Greeting:
    """Return the command that says who we are, if anybody asks."""
    if not (username or password):
        return ()
    return (("AUTH", *((username,) if username else ()), password or ""),)


def choice(db: int | str | None, client_name: str | None) -> Greeting:
    """Return the commands that choose a database and a name."""
    return (
        *((("SELECT", str(db)),) if db else ()),
        *((("CLIENT", "SETNAME", client_name),) if client_name else ()),
    )


def unreachable(place: str, error: Exception) -> RedisUnavailable:
    """Return why nobody is reached at a place, the cause first: what follows may be cut."""
    if isinstance(error, SSLError):
        why = getattr(error, "verify_message", "") or error.reason or str(error)
        return RedisUnavailable(f"TLS: {why}, {place}")
    why = getattr(error, "strerror", "") or str(error) or type(error).__name__
    return RedisUnavailable(f"{why}, {place}")
