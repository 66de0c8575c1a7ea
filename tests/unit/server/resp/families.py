"""Every command that any module of `server.resp.commands` has."""

import pkgutil
from importlib import import_module

from server.resp import commands
from server.resp.commands.command import Command


def every_command() -> list[Command]:
    """Return the commands of all modules, each once, by name."""
    modules = [
        import_module(f"{commands.__name__}.{one.name}") for one in pkgutil.iter_modules(commands.__path__)
    ]
    found = [getattr(module, "COMMANDS", ()) for module in modules]
    families = [family for family in found if isinstance(family, tuple)]
    return sorted((one for family in families for one in family), key=lambda one: one.name)
