"""The sections of a DAG, which stand before its first step; nothing is looked at in Redis.

[LOAD n k..] [PERSIST n k..] [ROUTING k] [TIMEOUT ms]
"""

from collections.abc import Callable

from models.errors import shown
from server.resp.commands.command import Words
from server.resp.commands.run_parsing import BAD_TIMEOUT, NO_TIMEOUT, SHOWN_WORD, whole
from server.resp.refusals import Refused, refused

THEN = b"|>"
PLACED = (b"LOAD", b"PERSIST", b"ROUTING")
NO_SECTION = (
    "AI.DAGEXECUTE and AI.DAGEXECUTE_RO commands must contain at least one out of "
    "ROUTING, LOAD, PERSIST keywords"
)
TOO_FEW = {
    b"LOAD": "number of keys to LOAD into DAG does not match the number of given arguments",
    b"PERSIST": "number of keys to PERSIST after DAG execution does not match the number of given arguments",
}


class Head:
    """The sections before the first step, in any order, each at most once."""

    __slots__ = ("_args", "_read_only", "_seen", "loads", "persists", "timeout_ms")

    def __init__(self, args: Words, read_only: bool) -> None:
        self._args = args
        self._read_only = read_only
        self._seen: set[bytes] = set()
        self.loads: list[bytes] = []
        self.persists: list[bytes] = []
        self.timeout_ms = 0

    def read(self, deprecated: bool) -> int:
        """Read the sections, and return where the first step begins.

        Raises: Refused.
        """
        args, at, seen = self._args, 0, self._seen
        while at < len(args) and args[at] != THEN:
            name = args[at].upper()
            section = SECTIONS.get(name)
            if section is None or name in seen:
                raise unexpected(args[at])
            at = section(self, at)
            seen.add(name)
        if at < len(args) and args[-1] == THEN and args[-2].upper() != b"BLOB":
            raise unexpected(THEN)
        if not deprecated and seen.isdisjoint(PLACED):
            raise refused(NO_SECTION)
        if at >= len(args):
            raise refused("DAG is empty")
        return at

    def load(self, at: int) -> int:
        """Read LOAD n k.., and return where it ends.

        Raises: Refused.
        """
        self.loads += (keys := self._keys(at, b"LOAD"))
        return self._whole(at, keys, b"LOAD")

    def persist(self, at: int) -> int:
        """Read PERSIST n k.., and return where it ends.

        Raises: Refused.
        """
        if self._read_only:
            raise refused("PERSIST cannot be specified in a read-only DAG")
        self.persists += (keys := self._keys(at, b"PERSIST"))
        if len(set(keys)) < len(keys):
            raise refused("PERSIST keys must be unique")
        return self._whole(at, keys, b"PERSIST")

    def _keys(self, at: int, name: bytes) -> Words:
        """Return the keys of a section, as many as there are of those it counts."""
        args = self._args
        if at + 2 >= len(args):
            raise refused(f"missing arguments after {name.decode()} keyword in DAG command")
        count = whole(args[at + 1])
        if count is None or count <= 0:
            raise refused(f"invalid or negative value found in number of keys to {name.decode()}")
        return args[at + 2 : at + 2 + count]

    def _whole(self, at: int, keys: Words, name: bytes) -> int:
        """Return where a section ends whose keys must all be there."""
        if len(keys) != int(self._args[at + 1]):
            raise refused(TOO_FEW[name])
        return at + 2 + len(keys)

    def routing(self, at: int) -> int:
        """Read ROUTING k, which steers a cluster, and return where it ends.

        Raises: Refused.
        """
        if at + 1 == len(self._args):
            raise refused("Missing ROUTING value")
        return at + 2

    def timeout(self, at: int) -> int:
        """Read TIMEOUT ms, where 0 and less are none, and return where it ends.

        Raises: Refused.
        """
        if at + 1 == len(self._args):
            raise refused(NO_TIMEOUT)
        milliseconds = whole(self._args[at + 1])
        if milliseconds is None:
            raise refused(BAD_TIMEOUT)
        self.timeout_ms = max(0, milliseconds)
        return at + 2


SECTIONS: dict[bytes, Callable[[Head, int], int]] = {
    b"LOAD": Head.load,
    b"PERSIST": Head.persist,
    b"ROUTING": Head.routing,
    b"TIMEOUT": Head.timeout,
}


def unexpected(word: bytes) -> Refused:
    """Return the error of a word that has no place before the first step."""
    return refused(f"Invalid DAG command. Unexpected argument:  {shown(word, SHOWN_WORD)}")
