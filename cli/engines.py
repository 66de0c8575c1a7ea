"""The server's core in the process of a command; a function of this module may be sent to other processes."""

from typing import TYPE_CHECKING

from cli.errors import needs
from cli.settings import decline_telemetry

if TYPE_CHECKING:
    from server.inference.engine import Engine
    from server.settings import ServerSettings


def settings_for(url: str, prefix: str) -> "ServerSettings":
    """Return the server's settings of the environment.

    Raises: WrongUsage.
    """
    from cli.serving import server_settings

    return server_settings(url, {"prefix": prefix, "host": "127.0.0.1"})


def engine_for(settings: "ServerSettings") -> "Engine":
    """Build the core.

    Raises: NotInstalled, ProviderUnavailable.
    """
    decline_telemetry()
    with needs("server"):
        from models.connecting import REPLY_SECONDS
        from server.building import build_engine
    return build_engine(settings, reply_seconds=REPLY_SECONDS)
