"""AI.MODELEXECUTE and AI.MODELRUN as they are written: which model on which tensors; nothing is looked at in Redis.

What is wrong is found in RedisAI's order, and that looks at keys between its checks of the words: a
model's key before INPUTS, and how many inputs the model has before OUTPUTS. `Misworded` therefore
says what comes before it.
"""

from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from models.errors import shown
from server.resp.commands.command import Words
from server.resp.refusals import Refused

LEAST_EXECUTE = 7  # words after AI.MODELEXECUTE
LEAST_RUN = 5  # words after AI.MODELRUN
INT64 = 1 << 63
SHOWN_WORD = 240

NO_COUNT = {b"INPUTS": "Invalid argument for input_count", b"OUTPUTS": "Invalid argument for output_count"}
NOT_POSITIVE = {
    b"INPUTS": "Input count must be a positive integer",
    b"OUTPUTS": "Output count must be a positive integer",
}
TOO_FEW = {
    b"INPUTS": "number of input keys to AI.MODELEXECUTE command does not match the number of given arguments",
    b"OUTPUTS": "number of output keys to AI.MODELEXECUTE command does not match the number of given arguments",
}
NO_TIMEOUT = "No value provided for TIMEOUT"
BAD_TIMEOUT = "Invalid value for TIMEOUT"


class Run(NamedTuple):
    """One run of a model: the names of its tensors, in the order that the graph has them.

    Units: timeout_ms, milliseconds; 0 where none is given.
    """

    model: bytes
    inputs: Sequence[bytes]
    outputs: Sequence[bytes]
    timeout_ms: int = 0


class Claim(NamedTuple):
    """How many inputs and outputs a command gives a model; None where it goes wrong before it says so."""

    model: bytes
    inputs: int | None = None
    outputs: int | None = None


class Misworded(Refused):
    """A command that is written wrongly; what is wrong with the keys of `loads` and `claims` is said first."""

    def __init__(self, text: str, loads: Sequence[bytes] = (), claims: Sequence[Claim] = ()) -> None:
        super().__init__(text)
        self.loads = loads
        self.claims = claims


def misworded(text: str, *claimed: bytes | int) -> NoReturn:
    """Refuse a command under the common code word; `claimed` are the fields of its claim, as far as it came."""
    raise Misworded(f"ERR {text}", (), claims_of(claimed))


def claims_of(claimed: Sequence[bytes | int]) -> Sequence[Claim]:
    """Return the claim of a command, none where it names no model."""
    return [Claim(*claimed)] if claimed else ()  # type: ignore[arg-type]  # a model, then counts


def whole(word: bytes) -> int | None:
    """Return the integer of 64 bits that a word is, None when it is none; as Redis reads one: no sign of +, no 01."""
    try:
        number = int(word)
    except ValueError:
        return None
    return number if b"%d" % number == word and -INT64 <= number < INT64 else None


def parse_modelexecute(args: Words) -> Run:
    """Read key INPUTS n k.. OUTPUTS n k.. [TIMEOUT ms].

    Raises: Misworded.
    """
    if len(args) < LEAST_EXECUTE:
        misworded("wrong number of arguments for 'AI.MODELEXECUTE' command")
    model, count = args[0], len(args)
    inputs = counted(args, 1, b"INPUTS", model)
    after = 3 + inputs
    if after > count:
        misworded(TOO_FEW[b"INPUTS"], model, inputs)
    outputs = counted(args, after, b"OUTPUTS", model, inputs)
    end = after + 2 + outputs
    if end > count:
        misworded(TOO_FEW[b"OUTPUTS"], model, inputs, outputs)
    timeout_ms = last_timeout(args, end, model, inputs, outputs) if end < count else 0
    return Run(model, args[3:after], args[after + 2 : end], timeout_ms)


def counted(args: Words, at: int, name: bytes, *claimed: bytes | int) -> int:
    """Return the number that follows a word, which must be at this place.

    Raises: Misworded.
    """
    if at >= len(args) or args[at].upper() != name:
        misworded(f"{name.decode()} not specified", *claimed)
    number = whole(args[at + 1]) if at + 1 < len(args) else None
    if number is None:
        misworded(NO_COUNT[name], *claimed)
    if number <= 0:
        misworded(NOT_POSITIVE[name], *claimed)
    return number


def last_timeout(args: Words, at: int, *claimed: bytes | int) -> int:
    """Return the timeout that ends a command, in milliseconds.

    Raises: Misworded.
    """
    if args[at].upper() != b"TIMEOUT":
        unexpected(args[at], claimed)
    if at + 1 == len(args):
        misworded(NO_TIMEOUT, *claimed)
    milliseconds = timeout_of(args[at + 1], *claimed)
    if at + 2 < len(args):
        unexpected(args[at + 2], claimed)
    return milliseconds


def timeout_of(word: bytes, *claimed: bytes | int) -> int:
    """Return a timeout, in milliseconds.

    Raises: Misworded.
    """
    milliseconds = whole(word)
    if milliseconds is None or milliseconds <= 0:
        misworded(BAD_TIMEOUT, *claimed)
    return milliseconds


def unexpected(word: bytes, claimed: Sequence[bytes | int]) -> NoReturn:
    """Refuse a word that has no place; this has no code word."""
    raise Misworded(f"Invalid argument: {shown(word, SHOWN_WORD)}", (), claims_of(claimed))


def parse_modelrun(args: Words) -> Run:
    """Read key [TIMEOUT ms] INPUTS k.. OUTPUTS k..

    Raises: Misworded.
    """
    if len(args) < LEAST_RUN:
        misworded("wrong number of arguments for 'AI.MODELRUN' command")
    model, at, timeout_ms = args[0], 1, 0
    if args[1].upper() == b"TIMEOUT":
        timeout_ms, at = timeout_of(args[2], model), 3
    if args[at].upper() != b"INPUTS":
        misworded("INPUTS not specified", model)
    end = outputs_at(args, at + 1)
    return Run(model, args[at + 1 : end], args[end + 1 :], timeout_ms)


def outputs_at(args: Words, start: int) -> int:
    """Return where OUTPUTS is; the number of words where it is not."""
    return next((at for at in range(start, len(args)) if args[at].upper() == b"OUTPUTS"), len(args))
