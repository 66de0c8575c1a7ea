"""COMMAND LIST by pattern: one that is longer than any name means none."""

from server.resp.catalog.listing import listed
from server.resp.commands.command import Command


async def unasked(_caller: object, _words: object) -> bytes:
    return b""


def test_a_pattern_that_is_too_long_for_a_name_means_none() -> None:
    names = ("a" * 2000, "", "b")
    commands = [Command(name, 1, unasked, "") for name in names]

    assert listed([b"COMMAND", b"LIST", b"FILTERBY", b"PATTERN", b"a" * 2000], commands) == []
    assert listed([b"COMMAND", b"LIST", b"FILTERBY", b"PATTERN", b"B"], commands) == commands[2:]
