"""Replies of Redis about itself with our commands in them; pure, no I/O.

    concerns(words)                          whether a command is one of these
    asked(words, commands)                   what Redis is asked in its place, None where it need not be
    rewritten(words, reply, wire, commands)  the reply to the client

`commands` are by name in capitals. What Redis refuses or queues stays as it is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from server.resp.catalog.entries import docs, entry, shown_name
from server.resp.catalog.info import Sections, module, told
from server.resp.catalog.key_places import key_reply
from server.resp.catalog.listing import listed
from server.resp.catalog.spans import LISTS, MAPS, elements, header, is_a, longer
from server.resp.commands.command import Command
from server.resp.errors import answer
from server.resp.refusals import Refused
from server.resp.wire.replies import Encoder, bulk, integer

Words = Sequence[bytes]
Commands = Mapping[bytes, Command]

KEYS, KEYS_AND_FLAGS = b"COMMAND GETKEYS", b"COMMAND GETKEYSANDFLAGS"
NULLS = (b"$-1\r\n", b"*-1\r\n", b"_\r\n")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asked, and what its reply is made of."""

    words: Words
    wire: Encoder
    commands: Commands
    sections: Sections = field(default_factory=dict)

    def named(self) -> list[Command | None]:
        """Return the commands that COMMAND INFO or DOCS name, None for those that are none of ours."""
        return [found(self.commands, word) for word in self.words[2:]]


def concerns(words: Words) -> bool:
    """Whether the reply to a command tells of commands or modules."""
    return name_of(words) in REWRITES


def asked(words: Words, commands: Commands) -> Words | None:
    """Return what Redis is asked in place of a command, None where the reply needs nothing of Redis."""
    return None if own_keys(words, commands) is not None else words


def rewritten(
    words: Words, reply: bytes, wire: Encoder, commands: Commands, sections: Sections | None = None
) -> bytes:
    """Return the reply to a client, given that of Redis; `sections` are those that INFO has of the module."""
    command = own_keys(words, commands)
    if command is not None:
        try:
            return key_reply(wire, command, words[3:], name_of(words) == KEYS_AND_FLAGS)
        except Refused as error:
            return answer(error)
    kinds, rewrite = REWRITES.get(name_of(words), (b"", unchanged))
    if not is_a(reply, kinds):
        return reply
    return rewrite(reply, Asked(words, wire, commands, sections or {}))


def name_of(words: Words) -> bytes:
    """Return the name of a command, with that of its subcommand where it has some."""
    name = words[0].upper()
    if name in (b"COMMAND", b"MODULE") and len(words) > 1:
        return name + b" " + words[1].upper()
    return name


def found(commands: Commands, word: bytes) -> Command | None:
    """Return the command of a name, None where it is none of ours."""
    return commands.get(word.upper())


def own_keys(words: Words, commands: Commands) -> Command | None:
    """Return the command of ours whose keys are asked for."""
    asks = name_of(words) in (KEYS, KEYS_AND_FLAGS) and bool(words[2:])
    return found(commands, words[2]) if asks else None


def unchanged(reply: bytes, _: Asked) -> bytes:
    """Return a reply as it is."""
    return reply


def counted(reply: bytes, ask: Asked) -> bytes:
    """COMMAND COUNT."""
    return integer(header(reply)[0] + len(ask.commands))


def every(reply: bytes, ask: Asked) -> bytes:
    """COMMAND."""
    return longer(reply, [entry(ask.wire, one) for one in ask.commands.values()])


def informed(reply: bytes, ask: Asked) -> bytes:
    """COMMAND INFO: an entry a name, in the order of the names."""
    names = ask.named()
    if not names:
        return every(reply, ask)
    entries = [
        entry(ask.wire, own) if own is not None and theirs in NULLS else theirs
        for own, theirs in zip(names, elements(reply), strict=True)
    ]
    return longer(b"%b0\r\n" % reply[:1], entries)


def documented(reply: bytes, ask: Asked) -> bytes:
    """COMMAND DOCS: a map from names."""
    wanted = [one for one in ask.named() if one is not None] if ask.words[2:] else ask.commands.values()
    pairs = ((bulk(shown_name(one)), docs(ask.wire, one)) for one in wanted)
    return longer(reply, [part for pair in pairs for part in pair])


def listing(reply: bytes, ask: Asked) -> bytes:
    """COMMAND LIST: names."""
    return longer(reply, [bulk(shown_name(one)) for one in listed(ask.words, ask.commands.values())])


def modules(reply: bytes, ask: Asked) -> bytes:
    """MODULE LIST."""
    return longer(reply, [module(ask.wire)])


def informing(reply: bytes, ask: Asked) -> bytes:
    """INFO: a text, a verbatim one in RESP3."""
    size, rest = header(reply)
    verbatim = is_a(reply, b"=")
    data = rest[4:size] if verbatim else rest[:size]  # after `txt:`
    names = [word.decode("utf-8", "replace") for word in ask.words[1:]]
    text = told(data.decode("utf-8", "surrogateescape"), names, ask.sections)
    new = text.encode("utf-8", "surrogateescape")
    return b"=%d\r\ntxt:%b\r\n" % (len(new) + 4, new) if verbatim else bulk(new)


REWRITES: dict[bytes, tuple[bytes, Callable[[bytes, Asked], bytes]]] = {
    b"COMMAND": (LISTS, every),
    b"COMMAND COUNT": (b":", counted),
    b"COMMAND INFO": (LISTS, informed),
    b"COMMAND DOCS": (MAPS, documented),
    b"COMMAND LIST": (LISTS, listing),
    KEYS: (b"", unchanged),
    KEYS_AND_FLAGS: (b"", unchanged),
    b"MODULE LIST": (LISTS, modules),
    b"INFO": (b"$=", informing),
}
