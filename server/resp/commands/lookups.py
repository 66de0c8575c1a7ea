"""What a command names in Redis, looked at in one round trip; what is wrong is said in RedisAI's order."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from models.tensor_strings import StoredTensor
from server.inference.errors import DeadlineExceeded
from server.resp.caller import Caller
from server.resp.commands.run_parsing import Claim, Misworded
from server.resp.commands.stored_models import Stored, model_of
from server.resp.commands.tensors import tensor_of
from server.resp.refusals import Refused

OTHER_INPUTS = "Number of keys given as INPUTS here does not match model definition"
OTHER_OUTPUTS = "Number of keys given as OUTPUTS here does not match model definition"
PART_KEYS = 1024  # that are read before others have their turn
TIMER_SECONDS = 0.001  # no deadline is kept more exactly

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Limit:
    """The time that a command gives itself with TIMEOUT, from when it came.

    Units: at, seconds of time.monotonic.
    """

    at: float
    seconds: float

    @classmethod
    def of(cls, timeout_ms: int) -> "Limit | None":
        """Return the limit of a command that comes now, None where it has none."""
        seconds = timeout_ms / 1000
        return cls(time.monotonic() + seconds, seconds) if timeout_ms else None

    @property
    def over(self) -> bool:
        """Whether the time is over, as nearly as a timer tells it."""
        return time.monotonic() >= self.at - TIMER_SECONDS


class TimedOut(DeadlineExceeded):
    """The time that a command gave itself is over by a timer, which may come a millisecond or two too soon."""


def timed_out(error: DeadlineExceeded, limit: Limit | None) -> bool:
    """Whether it was the time that a command gave itself which is over, rather than the server's."""
    return isinstance(error, TimedOut) or (limit is not None and limit.over)


async def tensors_and_models(
    caller: Caller, names: Sequence[bytes], claims: Sequence[Claim], limit: Limit | None = None
) -> tuple[list[StoredTensor], dict[bytes, Stored]]:
    """Return the tensors at keys, and the models that are claimed, by key.

    Raises: Refused, first what is wrong with the tensors; TimedOut, a model was not loaded in time;
            what a version raises that does not load; RedisUnavailable.
    """
    models = [*dict.fromkeys([claim.model for claim in claims])]
    if len(names) + len(models) > PART_KEYS:
        tensors = await tensors_at(caller, names)
        return tensors, await models_of(caller, claims, await replies_of(caller, models), limit)
    distinct = [*dict.fromkeys(names)]  # a tensor that is named twice is read once
    replies = await replies_of(caller, [*distinct, *models])
    found = dict(zip(distinct, map(tensor_of, replies[: len(distinct)]), strict=True))
    tensors = [found[name] for name in names]
    return tensors, await models_of(caller, claims, replies[len(distinct) :], limit)


async def tensors_at(caller: Caller, keys: Sequence[bytes]) -> list[StoredTensor]:
    """Return the tensors at keys; those of many are read in parts, between which others have their turn.

    Raises: Refused, for the first key that holds none; RedisUnavailable.
    """
    found: dict[bytes, StoredTensor] = {}
    tensors: list[StoredTensor] = []
    for at in range(0, len(keys), PART_KEYS):
        some = keys[at : at + PART_KEYS]
        new = [key for key in dict.fromkeys(some) if key not in found]
        replies = await replies_of(caller, new)
        found |= zip(new, map(tensor_of, replies), strict=True)
        tensors += map(found.__getitem__, some)
        await asyncio.sleep(0)
    return tensors


async def replies_of(caller: Caller, keys: Sequence[bytes]) -> list[Any]:
    """Return what is at keys, in one round trip for so many of them; none where there are none."""
    replies: list[Any] = []
    for at in range(0, len(keys), PART_KEYS):
        replies += await caller.redis([("GET", key) for key in keys[at : at + PART_KEYS]])
    return replies


async def models_of(
    caller: Caller, claims: Sequence[Claim], replies: Sequence[Any], limit: Limit | None
) -> dict[bytes, Stored]:
    """Return the models that are claimed, by key; `replies` are of each key once, in their order.

    Raises: as `tensors_and_models`.
    """
    found: dict[bytes, Stored] = {}
    for claim in claims:
        stored = found.get(claim.model)
        if stored is None:
            stored = await in_time(limit, model_of(caller, claim.model, replies[len(found)]))
            found[claim.model] = stored
        check_counts(stored, claim)
    return found


def check_counts(stored: Stored, claim: Claim) -> None:
    """Refuse another number of inputs or outputs than the model has; the words have no code word.

    Raises: Refused.
    """
    if claim.inputs is not None and claim.inputs != len(stored.manifest.inputs):
        raise Refused(OTHER_INPUTS)
    if claim.outputs is not None and claim.outputs != len(stored.manifest.outputs):
        raise Refused(OTHER_OUTPUTS)


async def in_time(limit: Limit | None, work: Awaitable[Found]) -> Found:
    """Wait for something no longer than a command allows.

    Raises: TimedOut.
    """
    if limit is None:
        return await work
    try:
        async with asyncio.timeout(max(0.0, limit.at - time.monotonic())):
            return await work
    except TimeoutError:
        raise TimedOut(limit.seconds) from None


async def refuse(caller: Caller, error: Misworded) -> NoReturn:
    """Refuse a command that is written wrongly, unless something that it names before that is wrong.

    Raises: Refused; as `tensors_and_models`.
    """
    await tensors_and_models(caller, error.loads, error.claims)
    raise error
