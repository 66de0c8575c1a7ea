"""What an error reply of Redis means for the read it answers, for its connection and for its route."""

from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError

from models.denials import of_a_key
from models.errors import RedisRefused, RedisUnavailable
from models.redis_failures import BUSY

# What a Redis says that does not let us read; no row is at fault, but where it names a key.
FORBIDDEN = ("NOPERM", "NOAUTH")
# What one says that can answer nobody now: whoever asks next is told the same until a PING is answered.
AWAY = (BUSY, "MASTERDOWN", "LOADING")
# What one says about some keys only; in a cluster they are asked again elsewhere.
MISPLACED = ("CLUSTERDOWN", "TRYAGAIN")
# The word before an error of no kind: it says nothing.
UNNAMED = "ERR "


def fault_of(replies: Sequence[Any]) -> RedisUnavailable | RedisRefused | None:
    """Return the first error among replies that is no row's fault."""
    for text in errors_in(replies):
        if text.startswith(FORBIDDEN) and not of_a_key(text):
            return RedisRefused(text)
        if text.startswith(AWAY):
            return RedisUnavailable(text)
    return None


def fault_of_one(replies: Sequence[Any]) -> RedisUnavailable | RedisRefused | None:
    """Return the same of a Redis that is asked for every key, whatever it says of slots."""
    for text in errors_in(replies):
        if text.startswith(MISPLACED):
            return RedisUnavailable(text)
    return fault_of(replies)


def errors_in(replies: Sequence[Any]) -> list[str]:
    """Return the texts of the error replies."""
    return [str(reply) for reply in replies if isinstance(reply, ResponseError)]


def away(fault: RedisUnavailable | RedisRefused) -> bool:
    """Whether whoever sent this answers nobody for now."""
    return isinstance(fault, RedisUnavailable) and str(fault.details["reason"]).startswith(AWAY)
