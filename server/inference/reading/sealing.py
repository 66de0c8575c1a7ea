"""Sealed reads: many commands ended by an ECHO, whose reply tells where theirs end.

Its token is drawn anew for each read, so no value that is stored can pass for it.
"""

import secrets
from collections.abc import Sequence

from models.encoding import encoded

TOKEN_BYTES = 16
END_BYTES = len(b"$16\r\n") + TOKEN_BYTES + len(b"\r\n")  # the reply to ECHO, as it ends the command too


class Sealed(list[bytes]):
    """Commands and the ECHO that ends them, as the one command of a read.

    Units: most, bytes of a reply that is still listened to.
    """

    __slots__ = ("end", "most")

    def __init__(self, payload: bytes, most: int) -> None:
        seal = encoded(("ECHO", secrets.token_bytes(TOKEN_BYTES)))
        super().__init__([payload + seal])
        self.end, self.most = seal[-END_BYTES:], most


def sealed(commands: Sequence[bytes]) -> Sealed:
    """Return the commands of a read that must be sealed."""
    if not isinstance(commands, Sealed):
        raise TypeError("only sealed commands are read raw")
    return commands
