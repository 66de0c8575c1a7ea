"""One reply of Redis: whose it is, whether it was refused, and arrays cast without loss; pure."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from models.denials import of_a_key
from models.errors import (
    REASON_CHARACTERS,
    FeatureError,
    InsituError,
    NotANumber,
    SourceUnsupported,
    WrongType,
    shown,
)
from models.tensors import Tensor, numpy_dtype
from models.values import Fills, Raw


class KeyRefused(FeatureError):
    """A key that Redis does not let its user read."""

    code = "redis_refused_key"

    def __init__(self, key: str, reason: str) -> None:
        name, told = shown(key), shown(reason, REASON_CHARACTERS)
        super().__init__(
            f"Redis refused key {name!r}: {told}; ACL SETUSER NAME ~PATTERN, or %R~PATTERN, allows it to the user "
            "that Insitu logs in as",
            key=name,
            reason=told,
        )


@dataclass(slots=True)
class Cell:
    """One source of one row: where it was read, what came back, what may stand in.

    Units: now, Unix seconds; ages, seconds, to which a source that carries a time adds its own.
    """

    key: str
    reply: Any
    fills: Fills
    now: float
    ages: list[float]


def checked(cell: Cell, command: str, wanted: str) -> Raw:
    """Return the reply unless Redis refused the command.

    Raises: WrongType, SourceUnsupported, KeyRefused, FeatureError for any other refusal; a fault of the reading
            itself, such as RedisUnavailable, as it is.
    """
    if not isinstance(cell.reply, Exception):
        return cell.reply
    if isinstance(cell.reply, InsituError):
        raise cell.reply
    text = str(cell.reply)
    # RedisJSON words it "Existing key has wrong Redis type", Redis itself "WRONGTYPE ..."
    if text.startswith("WRONGTYPE") or "wrong Redis type" in text:
        raise WrongType(cell.key, wanted)
    if "unknown command" in text:
        raise SourceUnsupported(command)
    if of_a_key(text):
        raise KeyRefused(cell.key, text)
    raise FeatureError(f"key {shown(cell.key)!r} cannot be read: {shown(text)}", key=shown(cell.key))


def finite(values: Tensor, dtype: str, place: str) -> Tensor:
    """Return an array cast to the input's type, every element finite and in range.

    Raises: NotANumber, naming the first element that is not.
    """
    result = cast(values, dtype)
    bad = lost(values, result)
    if bad.any():
        at = int(np.argmax(bad.reshape(-1)))
        raise NotANumber(f"element {at} of {place}", values.reshape(-1)[at].item(), dtype)
    return result


def all_finite(values: Tensor) -> bool:
    """Whether every element of a float array is finite; for few elements in half the time of `.all()`."""
    return 0 not in np.isfinite(values).tobytes()  # a number is looked for faster than bytes are


def cast(values: Tensor, dtype: str) -> Tensor:
    """Return an array of the input's type; ask `lost` whether it still says the same."""
    wanted = numpy_dtype(dtype)
    if values.dtype == wanted:
        return values
    with np.errstate(over="ignore", invalid="ignore"):
        result: Tensor = values.astype(wanted, copy=False)
    return result


def lost(values: Tensor, result: Tensor) -> Tensor:
    """Return where a cast array no longer says what it said: not finite, out of range, rounded."""
    if result.dtype.kind == "f":
        return ~np.isfinite(result)
    changed: Tensor = result != values
    if values.dtype.kind == "f" and result.dtype.kind != "b":
        # a processor may saturate: 2^63 becomes 2^63 - 1, and as a float that is 2^63 again
        with np.errstate(over="ignore"):  # a bound that float16 does not reach is infinite to it
            changed |= values >= float(np.iinfo(result.dtype).max) + 1
    return changed
