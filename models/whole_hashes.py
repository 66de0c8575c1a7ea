"""Whole hashes: all that a hash holds in place of HMGET of its fields, put in the order of these; pure, no I/O.

Redis looks each field of a small hash up by walking through it, so that asking for most of what a
hash holds costs two to three times as much as asking for everything.
"""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any


class WholeHash:
    """One kind of hashes and the fields that are wanted of them."""

    def __init__(self, names: Sequence[bytes]) -> None:
        self.names = [*names]
        self._held = self.names  # the fields as the last hash in another order had them
        self._places: Callable[[Any], Sequence[Any]] = tuple

    def chosen(self, reply: Any) -> Any:
        """Return the wanted values of all that a hash holds, None for one it lacks; what is no hash as it came."""
        if type(reply) is not list:
            return reply
        held = reply[::2]
        if held == self.names:  # nearly always
            return reply[1::2]
        if held != self._held:
            if not set(self.names) <= set(held):
                return [*map(dict(zip(held, reply[1::2], strict=True)).get, self.names)]
            self._held = held
            self._places = itemgetter(*[2 * held.index(name) + 1 for name in self.names], 0)
        return [*self._places(reply)][:-1]
