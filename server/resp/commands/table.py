"""Every command that is answered here, by its name in capitals."""

from server.resp.commands.command import Command

FAMILIES: tuple[tuple[Command, ...], ...] = ()
COMMANDS: dict[bytes, Command] = {one.name.encode(): one for family in FAMILIES for one in family}
