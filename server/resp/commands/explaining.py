"""INSITU.EXPLAIN: what each feature of a key adds to its prediction, the largest first."""

from models.errors import BadRequest, listed, shown
from server.inference.asking import Ask
from server.inference.explaining.asking import Wish
from server.resp.caller import Caller
from server.resp.commands.command import Command, Words
from server.resp.commands.options import (
    Given,
    check_home,
    counted,
    deadline_of,
    missing_of,
    parted,
    text,
    version_of,
    whole_of,
)
from server.resp.rows import of_row

VALUED = ("VERSION", "LABEL", "OUTPUT", "ELEMENT", "SAMPLES", "MISSING", "TIMEOUT")
LEAST = 2  # words: a model and a key


def asked(words: Words) -> tuple[Ask, Wish]:
    """Return what the words after the name ask.

    Raises: BadRequest.
    """
    (model, key, *more), given = parted(words, LEAST, VALUED)
    if more:
        raise BadRequest(
            f"INSITU.EXPLAIN takes one key, then options; {shown(more[0])!r} is none of {listed(VALUED)}"
        )
    ask = Ask(
        text(model),
        version_of(given),
        keys=[text(key)],
        missing=missing_of(given),
        deadline=deadline_of(given),
    )
    return ask, wish_of(given)


def wish_of(given: Given) -> Wish:
    """Return how the row shall be explained.

    Raises: BadRequest.
    """
    return Wish(
        label=text(given["LABEL"]) if "LABEL" in given else None,
        output=text(given["OUTPUT"]) if "OUTPUT" in given else None,
        element=whole_of(given, "ELEMENT"),
        samples=whole_of(given, "SAMPLES"),
    )


async def explain(caller: Caller, words: Words) -> bytes:
    """Answer INSITU.EXPLAIN: one map.

    Raises: Refused, InsituError.
    """
    check_home(caller)
    with counted(caller, words[0]):
        ask, wish = asked(words)
    answer = await caller.engine.explainer.explain(ask, wish)
    row = answer.rows[0]
    if row.error is not None:
        raise row.error
    return of_row(caller.wire, row, answer.version)


COMMANDS = (
    Command(
        "INSITU.EXPLAIN",
        -3,
        explain,
        "Says what each feature of a key adds to its prediction",
        "model key [VERSION version] [LABEL label] [OUTPUT output] [ELEMENT element] [SAMPLES count] "
        "[MISSING number] [TIMEOUT milliseconds]",
        flags=("readonly",),
        keys=(2, 2, 1),
        alongside=True,
        scope="predict",
    ),
)
