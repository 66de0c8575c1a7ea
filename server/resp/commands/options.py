"""Options: the words at the end of a command that say how, and what they may be."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from models.errors import BadRequest, InsituError, shown
from models.keys import VERSION_DIGITS, as_version
from models.values import Missing
from server.inference.catalogue import Reference
from server.resp.caller import Caller
from server.resp.commands.command import Words
from server.resp.refusals import refused

VALUED = ("VERSION", "MISSING", "TIMEOUT")
MILLISECONDS_MOST = 10**9
OF_DIGITS = f", of at most {VERSION_DIGITS} digits"

Given = Mapping[str, bytes]


def parted(
    words: Words, least: int, valued: Sequence[str], flags: Sequence[str] = ()
) -> tuple[Words, dict[str, bytes]]:
    """Part the options at the end of some words from the words before them, of which `least` at the least stay.

    What can be an option is one: a word of that name that is meant otherwise stands further to the front.
    """
    given: dict[str, bytes] = {}
    end = len(words)
    while end > least:
        value = name_of(words[end - 2], valued, given) if end - least >= 2 else None
        flag = name_of(words[end - 1], flags, given)
        if value is not None:
            given[value] = words[end - 1]
            end -= 2
        elif flag is not None:
            given[flag] = b""
            end -= 1
        else:
            break
    return words[:end], given


def name_of(word: bytes, names: Sequence[str], given: Given) -> str | None:
    """Return the option that a word names, None where it is none or has been given."""
    name = word.decode("ascii", "replace").upper()
    return name if name in names and name not in given else None


def text(word: bytes) -> str:
    """Return a word as text; one that is no UTF-8 is no name of anything here."""
    return word.decode("utf-8", "surrogateescape")


def version_of(given: Given) -> Reference:
    """Return the version or alias that is asked for, None for production.

    Raises: BadRequest, a number of so many digits that no version has it.
    """
    if "VERSION" not in given:
        return None
    word = given["VERSION"]
    number = digits_in(word)
    if number is None and word.isdigit():
        raise BadRequest(f"VERSION is {shown(word)!r}; send at most {VERSION_DIGITS} digits", field="VERSION")
    return word.decode("utf-8", "replace") if number is None else number


def missing_of(given: Given) -> Missing:
    """Return the number that stands in for absent values.

    Raises: BadRequest.
    """
    if "MISSING" not in given:
        return None
    return number_of(given, "MISSING")


def deadline_of(given: Given) -> float | None:
    """Return when the command is given up, in seconds of time.monotonic.

    Raises: BadRequest.
    """
    if "TIMEOUT" not in given:
        return None
    milliseconds = number_of(given, "TIMEOUT")
    if not 0 < milliseconds <= MILLISECONDS_MOST:
        raise BadRequest(
            f"TIMEOUT is {shown(given['TIMEOUT'])}; send a number of milliseconds over 0, "
            f"at most {MILLISECONDS_MOST:,}",
            field="TIMEOUT",
        )
    return time.monotonic() + milliseconds / 1000


def number_of(given: Given, name: str) -> float:
    """Return a finite number.

    Raises: BadRequest.
    """
    try:
        number = float(given[name])
    except ValueError:
        number = float("nan")
    if number - number != 0:  # neither finite nor a number
        raise BadRequest(f"{name} is {shown(given[name])!r}; send a number", field=name)
    return number


def whole_of(given: Given, name: str) -> int | None:
    """Return a whole number from 0 on, None where none is given.

    Raises: BadRequest.
    """
    if name not in given:
        return None
    number = digits_in(given[name])
    if number is None:
        raise BadRequest(
            f"{name} is {shown(given[name])!r}; send a whole number from 0 on{OF_DIGITS}", field=name
        )
    return number


def digits_in(word: bytes) -> int | None:
    """Return the number that a word of digits is, None where it is none or has too many of them."""
    return as_version(word.decode("ascii", "replace")) if len(word) <= VERSION_DIGITS else None


@contextmanager
def counted(caller: Caller, model: bytes) -> Iterator[None]:
    """Count a command that the core never gets to see."""
    try:
        yield
    except InsituError as error:
        caller.engine.refused(text(model), error)
        raise


def check_home(caller: Caller) -> None:
    """Refuse to read features for a client that looks at another database than they are read from.

    Raises: Refused.
    """
    if caller.db != caller.home:
        raise refused(
            f"features are read from database {caller.home}, this connection has selected {caller.db}; "
            f"`SELECT {caller.home}` first, or serve database {caller.db} with a URL that ends in /{caller.db}"
        )
