"""Sending: commands to Redis in writes of bounded size, and what its refusals mean for a job."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from redis.exceptions import ResponseError

from models.encoding import bulk, encoded
from models.errors import BadRequest, InsituError, RedisRefused, shown
from models.templates import KeyTemplate
from server.batch.pacing import spans, unhurried
from server.inference.reading.reads import Ask, awaited

MEMBERS = 512  # rows of one command
WRITE_BYTES = 1 << 20


async def sent(ask: Ask, commands: Sequence[bytes]) -> list[Any]:
    """Send commands and return a reply each; errors of Redis are among them.

    Raises: InsituError, what kept all of a write from being answered.
    """
    replies: list[Any] = []
    for span in spans([*map(len, commands)], len(commands), WRITE_BYTES):
        replies += await unhurried(partial(awaited, ask, commands[span]))
    return replies


def errors_in(replies: Sequence[Any]) -> list[Exception]:
    """Return the errors among replies."""
    kinds = set(map(type, replies))  # two or three: one look at each reply
    if not any(issubclass(kind, Exception) for kind in kinds):
        return []
    return [reply for reply in replies if isinstance(reply, Exception)]


def wrong_type(reply: object) -> bool:
    """Whether Redis says that the key is of another type."""
    return isinstance(reply, ResponseError) and str(reply).startswith("WRONGTYPE")


def refusal(error: Exception) -> InsituError:
    """Return what an error among replies means for the job."""
    return error if isinstance(error, InsituError) else RedisRefused(str(error))


def check(replies: Sequence[Any]) -> None:
    """Look for what no row is at fault for.

    Raises: RedisRefused, what Redis said; RedisUnavailable, the node of some keys is away.
    """
    for error in errors_in(replies):
        raise refusal(error)


def check_but_types(replies: Sequence[Any]) -> None:
    """Do the same where a key of another type is its row's affair."""
    check([error for error in errors_in(replies) if not wrong_type(error)])


class SharedKey:
    """The one key that all rows of a job go to."""

    def __init__(self, ask: Ask, key: str, templates: Sequence[KeyTemplate], wanted: str) -> None:
        """Take a key that shall be of the type `wanted`.

        Raises: BadRequest, the model reads it as features.
        """
        self.key, self._ask, self._wanted = key, ask, wanted
        for template in templates:
            if template.match(key) is not None:
                raise BadRequest(
                    f"the answers would go to {shown(key)!r}, which {template.text!r} reads as features; "
                    "choose another key"
                )

    async def ask(self, commands: Sequence[bytes]) -> list[Any]:
        """Send commands for the key and return their replies.

        Raises: BadRequest, it is of another type; RedisUnavailable, RedisRefused.
        """
        replies = await sent(self._ask, commands)
        for error in errors_in(replies):
            raise await self._other_type() if wrong_type(error) else refusal(error)
        return replies

    async def _other_type(self) -> BadRequest:
        (found,) = await unhurried(partial(awaited, self._ask, [encoded(("TYPE", self.key))]))
        kind = found.decode() if isinstance(found, bytes) else shown(found)
        return BadRequest(
            f"the answers would go to {shown(self.key)!r}, which is a {kind} and no {self._wanted}; "
            "choose another key, or remove it"
        )

    def commands(self, name: str, *columns: Sequence[bytes]) -> list[bytes]:
        """Return commands of bounded size for the key: after it the arguments of each row, one of each column."""
        width, rows = len(columns), len(columns[0])
        flat: list[bytes] = [b""] * (rows * width)
        for at, column in enumerate(columns):
            flat[at::width] = bulks(column)
        before = bulk(name) + bulk(self.key)
        sizes = [*map(sum, zip(*[map(len, flat[at::width]) for at in range(width)], strict=True))]
        return [
            b"*%d\r\n%b%b"
            % (
                2 + width * (span.stop - span.start),
                before,
                b"".join(flat[span.start * width : span.stop * width]),
            )
            for span in spans(sizes, MEMBERS, WRITE_BYTES)
        ]


def bulks(arguments: Sequence[bytes]) -> list[bytes]:
    """Return arguments as bulk strings."""
    return [b"$%d\r\n%b\r\n" % (len(data), data) for data in arguments]


def encoded_keys(keys: Sequence[str]) -> list[bytes]:
    """Return keys as bytes."""
    return [*map(str.encode, keys)]
