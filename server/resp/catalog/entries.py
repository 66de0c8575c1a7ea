"""One command as COMMAND INFO and COMMAND DOCS tell of it, in the shapes of Redis 7.

Source: https://redis.io/docs/latest/commands/command/, https://redis.io/docs/latest/commands/command-docs/
"""

from functools import lru_cache

from server.resp.catalog.spans import of_set
from server.resp.catalog.synopsis import Argument, arguments_of
from server.resp.commands.command import Command
from server.resp.wire.replies import Encoder, array, bulk, integer, simple

KEPT = 1024
MODULE_FLAG = "module"
WRITE, READ = "write", "readonly"


def shown_name(command: Command) -> str:
    """Return the name as Redis writes it."""
    return command.name.lower()


def flags_of(command: Command) -> list[str]:
    """Return the flags, that of modules among them."""
    return [*command.flags, MODULE_FLAG]


def categories_of(command: Command) -> list[str]:
    """Return the categories of access that follow from the flags, as Redis infers them."""
    named = [("write", WRITE), ("read", READ), ("admin", "admin"), ("dangerous", "admin")]
    pace = "fast" if "fast" in command.flags else "slow"
    return [category for category, flag in named if flag in command.flags] + [pace]


def key_flags(command: Command) -> list[str]:
    """Return what a command does with its keys."""
    own = ["RW", "access", "update"] if WRITE in command.flags else ["RO", "access"]
    return [*own, "incomplete"] if command.names is not None else own


@lru_cache(KEPT)
def entry(wire: Encoder, command: Command) -> bytes:
    """Return the entry of COMMAND and COMMAND INFO."""
    return array(
        [
            bulk(shown_name(command)),
            integer(command.told_arity),
            of_set(wire, [simple(flag) for flag in flags_of(command)]),
            *(integer(place) for place in command.keys),
            of_set(wire, [simple(f"@{category}") for category in categories_of(command)]),
            of_set(wire, []),  # tips
            of_set(wire, [key_spec(wire, command)] if command.keys[0] else []),
            array([]),  # subcommands
        ]
    )


def key_spec(wire: Encoder, command: Command) -> bytes:
    """Return where the keys are: from a first word on, every so many words, up to a last one."""
    first, last, step = command.keys
    reach = last - first if last > 0 else last
    start = [(bulk("index"), integer(first))]
    span = [
        (bulk("lastkey"), integer(reach)),
        (bulk("keystep"), integer(step)),
        (bulk("limit"), integer(0)),
    ]
    return wire.map(
        [
            (bulk("flags"), of_set(wire, [simple(flag) for flag in key_flags(command)])),
            (bulk("begin_search"), typed(wire, "index", wire.map(start))),
            (bulk("find_keys"), typed(wire, "range", wire.map(span))),
        ]
    )


def typed(wire: Encoder, kind: str, spec: bytes) -> bytes:
    """Return a part of a key specification."""
    return wire.map([(bulk("type"), bulk(kind)), (bulk("spec"), spec)])


@lru_cache(KEPT)
def docs(wire: Encoder, command: Command) -> bytes:
    """Return the value that COMMAND DOCS has for a command."""
    found = [
        (bulk("summary"), bulk(command.summary.rstrip("."))),
        (bulk("since"), bulk(command.since)),
        (bulk("group"), bulk("module")),
        (bulk("module"), bulk(command.group)),
    ]
    if command.synopsis:
        told = [argument(wire, one) for one in arguments_of(command.synopsis)]
        found.append((bulk("arguments"), array(told)))
    return wire.map(found)


def argument(wire: Encoder, one: Argument) -> bytes:
    """Return one argument of a command."""
    found = [(bulk("name"), bulk(one.name)), (bulk("type"), bulk(one.kind))]
    if not one.arguments:
        found.append((bulk("display_text"), bulk(one.name)))
    if one.kind == "key":
        found.append((bulk("key_spec_index"), integer(0)))
    if one.token:
        found.append((bulk("token"), bulk(one.token)))
    if one.flags:
        found.append((bulk("flags"), of_set(wire, [simple(flag) for flag in one.flags])))
    if one.arguments:
        found.append((bulk("arguments"), array([argument(wire, inner) for inner in one.arguments])))
    return wire.map(found)
