"""COMMAND LIST: which commands its filters mean, as Redis 7 reads them."""

from collections.abc import Iterable, Sequence

from models.patterns import Pattern
from server.resp.catalog.entries import categories_of
from server.resp.commands.command import Command

FILTERED = 5  # words: COMMAND LIST FILTERBY kind value
PATTERN_BYTES = 1024  # no name of a command needs more


def listed(words: Sequence[bytes], commands: Iterable[Command]) -> list[Command]:
    """Return the commands that COMMAND LIST tells of, with its filter if it has one."""
    if len(words) < FILTERED:
        return [*commands]
    kind, wanted = words[3].upper(), words[4].decode("utf-8", "replace").lower()
    match kind:
        case b"MODULE":
            return [one for one in commands if one.group == wanted]
        case b"ACLCAT":
            return [one for one in commands if wanted in categories_of(one)]
    if len(words[4]) > PATTERN_BYTES:
        return []
    pattern = Pattern(words[4], folded=True)
    return [one for one in commands if pattern.matches(one.name.encode())]
