"""COMMAND GETKEYS and GETKEYSANDFLAGS of a command of ours: which of some words are keys."""

from collections.abc import Sequence

from models.errors import InsituError
from server.resp.catalog.entries import key_flags
from server.resp.catalog.spans import of_set
from server.resp.commands.command import Command
from server.resp.refusals import refused
from server.resp.wire.replies import Encoder, array, bulk, simple


def key_reply(wire: Encoder, command: Command, words: Sequence[bytes], flags: bool) -> bytes:
    """Return the keys among the words after a name, each with what is done with it where `flags` are asked for.

    Raises: Refused.
    """
    if not command.fits(len(words) + 1):
        raise refused("Invalid number of arguments specified for command")
    found = [bulk(key) for key in keys_of(command, words)]
    if not found:
        raise refused("The command has no key arguments")
    if not flags:
        return array(found)
    told = of_set(wire, [simple(flag) for flag in key_flags(command) if flag != "incomplete"])
    return array([array([key, told]) for key in found])


def keys_of(command: Command, words: Sequence[bytes]) -> list[bytes]:
    """Return the keys among the words after a name.

    Raises: Refused, words that the command does not understand.
    """
    if command.names is not None:
        try:
            return command.names(words)
        except InsituError:
            raise refused("Invalid arguments specified for command") from None
    first, last, step = command.keys
    if not first:
        return []
    end = last if last > 0 else len(words) + 1 + last
    return [*words[first - 1 : end : step]]
