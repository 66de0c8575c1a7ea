"""How a door beside HTTP listens: on a port that others listen on too, or hold."""

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from models.errors import REASON_CHARACTERS, shown
from models.tls_files import unreadable
from server.workers.listeners import bound, place

BACKLOG = 2048


class Door(Protocol):
    """A door that is open."""

    address: str

    def end(self) -> None:
        """Take nobody new, and let what is under way end within its time."""

    async def close(self) -> None:
        """End, and wait until that is done."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a door listens and how; `given` is a socket that listens there already.

    Units: shutdown_seconds, what is under way gets to end.
    """

    host: str
    port: int
    shutdown_seconds: float
    certificate: Path | None = None
    key: Path | None = None
    given: socket.socket | None = None

    @property
    def address(self) -> str:
        """The host and the port as they are told."""
        return place(self.host, self.port)

    def listener(self) -> socket.socket:
        """Return a socket that listens.

        Raises: OSError.
        """
        one = self.given or bound(self.host, self.port, shared=True)
        try:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            one.listen(BACKLOG)
        except OSError:
            one.close()
            raise
        return one

    def credentials(self, *protocols: str) -> ssl.SSLContext | None:
        """Return what TLS is spoken with, None without it; `protocols` are offered by ALPN.

        Raises: OSError, a file that cannot be read or is no certificate.
        """
        if self.certificate is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context


def fault_of_certificate(certificate: Path | None, key: Path | None) -> str:
    """Return what is wrong with files that TLS is to be spoken with, empty where nothing is, or there are none."""
    if certificate is None or key is None:
        return ""
    files = (("tls_cert", certificate), ("tls_key", key))
    for name, path in files:
        if fault := unreadable(path):
            return f"{name} {shown(str(path), REASON_CHARACTERS)} cannot be read: {fault}"
    try:
        # Nobody is there to be asked for a passphrase.
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, lambda: "")
    except (OSError, ValueError) as error:
        both = " and ".join([f"{name} {shown(str(path), REASON_CHARACTERS)}" for name, path in files])
        told = f"{both} are no certificate and its key ({error.args[-1]})"
        return f"{told}; both are PEM, the key without a passphrase"
    return ""
