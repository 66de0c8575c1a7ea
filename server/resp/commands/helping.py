"""INSITU.HELP: the commands of this family, in the form of Redis' own HELP."""

from server.resp.caller import Caller
from server.resp.commands import cataloguing, explaining, predicting
from server.resp.commands.command import Command, Words
from server.resp.wire.replies import array, simple

INDENT = "    "
TITLE = "INSITU.<subcommand> predicts from what lies in this Redis. Commands are:"


async def help_(_caller: Caller, _words: Words) -> bytes:
    """Answer INSITU.HELP: lines of text."""
    return array([simple(line) for line in lines()])


def lines() -> list[str]:
    """Return the title, then each command with what it does."""
    every = (*predicting.COMMANDS, *explaining.COMMANDS, *cataloguing.COMMANDS, *COMMANDS)
    told = [(f"{one.name} {one.synopsis}".rstrip(), f"{INDENT}{one.summary}.") for one in every]
    return [TITLE, *(line for pair in told for line in pair)]


COMMANDS = (
    Command(
        "INSITU.HELP",
        1,
        help_,
        "Prints this help",
        flags=("loading", "stale"),
        alongside=True,
        scope="predict",
    ),
)
