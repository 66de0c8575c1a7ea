"""What is done with each command that is not just passed through, by its name in capitals."""

from collections.abc import Mapping
from functools import partial

from server.resp.commands.command import Command
from server.resp.connection import Special
from server.resp.specials.introducing import (
    about_client,
    authenticating,
    greeting,
    quitting,
    resetting,
    selecting,
)
from server.resp.specials.listening import raw, subscribing
from server.resp.specials.ours import own
from server.resp.specials.telling import telling
from server.resp.specials.transacting import (
    SCRIPTING,
    beginning,
    discarding,
    executing,
    scripting,
    watching,
)
from server.resp.subscriptions import COMMANDS as SUBSCRIBING


def specials(commands: Mapping[bytes, Command]) -> dict[bytes, Special]:
    """Return what is done with each command that is not just passed through."""
    return {
        **{name: partial(own, command) for name, command in commands.items()},
        **dict.fromkeys(SUBSCRIBING, subscribing),
        **dict.fromkeys((b"MONITOR", b"SYNC", b"PSYNC"), raw),
        **dict.fromkeys((b"COMMAND", b"INFO", b"MODULE"), telling),
        **dict.fromkeys(SCRIPTING, scripting),
        b"SELECT": selecting,
        b"AUTH": authenticating,
        b"HELLO": greeting,
        b"RESET": resetting,
        b"MULTI": beginning,
        b"WATCH": watching,
        b"EXEC": executing,
        b"DISCARD": discarding,
        b"CLIENT": about_client,
        b"QUIT": quitting,
    }
