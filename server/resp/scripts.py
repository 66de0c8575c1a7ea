"""Lua scripts of clients that call commands of ours: Redis knows none of them, and says so in words of its own."""

from collections.abc import Sequence
from hashlib import sha1

from server.resp.refusals import IN_TRANSACTION
from server.resp.wire.replies import error

UNKNOWN = (b"-ERR Unknown Redis command called from script", b"-ERR Unknown command called from script")
PREFIXES = (b"AI.", b"INSITU.")
DIGESTS_KEPT = 4096
REFUSED = error(IN_TRANSACTION)


class Scripts:
    """Digests of scripts that name commands of ours, as far as they came by this door."""

    def __init__(self) -> None:
        self._digests: dict[bytes, None] = {}

    def name_us(self, words: Sequence[bytes]) -> bool:
        """Whether EVAL, EVALSHA or SCRIPT LOAD is of a script that names commands of ours."""
        name = words[0].upper()
        if name.startswith(b"EVALSHA"):
            return len(words) > 1 and words[1].lower() in self._digests
        text = words[2:3] if name == b"SCRIPT" else words[1:2]
        if not text or not any(one in text[0].upper() for one in PREFIXES):
            return False
        if len(self._digests) >= DIGESTS_KEPT:
            del self._digests[next(iter(self._digests))]
        self._digests[sha1(text[0], usedforsecurity=False).hexdigest().encode()] = None
        return True


def worded(reply: bytes) -> bytes:
    """Return the reply to such a script: that a command is unknown is said as RedisAI refuses it."""
    return REFUSED if reply.startswith(UNKNOWN) else reply
