"""Whoever a command is answered for: the core, their own connection to Redis, and how replies are written."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha1
from typing import Any

from redis.exceptions import NoScriptError, ResponseError

from models.encoding import Argument, Parts
from server.inference.engine import Engine
from server.resp.configuration import Configuration
from server.resp.wire.replies import RESP2, Encoder

Word = Argument | Parts
Redis = Callable[[Sequence[Sequence[Word]]], Awaitable[list[Any]]]


class Script:
    """A Lua script that Redis may know already."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class Caller:
    """One client as the commands see it.

    `redis` sends commands to Redis on the client's own connection, in one write, and returns their
    replies: bytes, int, list, None, and an error as a ResponseError in its place. `db` is the
    database the client has selected, `home` the one that features and models are read from.
    `configuration` is the server's, the same for all clients. `changes` says whether they may change anything,
    `by_token` that a token of this server says so: to Redis they are the server itself.
    `views` is as `redis`, but a long string is a view of its reply, which is not copied; without it none is. `makes`
    hears of each part of a long reply that is made, and raises Refused where there is no room for more.
    `strays` tells whether what was queued for them may have gone to another database than `db`: their
    transaction selects one.
    """

    engine: Engine
    redis: Redis
    wire: Encoder = RESP2
    db: int = 0
    home: int = 0
    configuration: Configuration = field(default_factory=Configuration)
    changes: bool = True
    by_token: bool = False
    strays: Callable[[], bool] = bool
    views: Redis | None = None
    makes: Callable[[int], object] = int

    async def string(self, key: Word) -> Any:
        """Return what GET says of a key; a long string may be a view that cannot be written.

        Raises: RedisUnavailable.
        """
        (reply,) = await (self.views or self.redis)([("GET", key)])
        return reply

    async def script(self, script: Script, keys: Sequence[Word], arguments: Sequence[Word] = ()) -> Any:
        """Run a script on the client's own connection and return its reply, an error too.

        Raises: RedisUnavailable.
        """
        return await run(self.redis, script, keys, arguments)


async def run(redis: Redis, script: Script, keys: Sequence[Word], arguments: Sequence[Word] = ()) -> Any:
    """Run a script and return its reply, an error too.

    Raises: RedisUnavailable.
    """
    words = (len(keys), *keys, *arguments)
    (reply,) = await redis([("EVALSHA", script.digest, *words)])
    if isinstance(reply, ResponseError) and missing(reply):
        (reply,) = await redis([("EVAL", script.text, *words)])
    return reply


def missing(reply: ResponseError) -> bool:
    """Whether Redis says that it does not know a script."""
    return isinstance(reply, NoScriptError) or str(reply).startswith("NOSCRIPT")
