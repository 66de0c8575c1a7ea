"""Asked: commands for many keys as one payload, and how the bytes of their replies are read."""

from collections.abc import Callable
from dataclasses import dataclass

from models.replies import Found


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for the keys of a block: whoever has a connection sends `payload`, and `read`s what comes.

    `wide` is the faster way that Redis may refuse, or that may not pay for these keys.
    """

    payload: bytes
    read: Callable[[bytearray], Found]
    wide: bool
