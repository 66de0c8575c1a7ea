"""Asked: commands for many keys in portions, and how the bytes of their replies are read."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from models.encoding import SHORT_BYTES, Argument, bulk
from models.replies import Found

PORTION_BYTES = 1 << 16  # of replies, about: so much Redis hands over before it turns to its next client


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for the keys of a block: whoever has a connection sends the portions, and `read`s what comes.

    `wide` is the faster way that Redis may refuse, or that may not pay for these keys.
    """

    portions: Sequence[bytes]
    read: Callable[[bytearray], Found]
    wide: bool


def mget(keys: Sequence[str]) -> bytes:
    """Return MGET of keys."""
    return b"*%d\r\n$4\r\nMGET\r\n%b" % (len(keys) + 1, ALONE.joined(keys))


def mgets(keys: Sequence[str], size: int) -> bytes:
    """Return MGETs of keys, so many in each."""
    text = ALONE.joined(keys)
    if not text.isascii() or len(set(map(len, keys))) > 1:
        return b"".join(map(mget, portions_of(keys, size)))
    each = len(text) // len(keys)  # bytes of a key and what is around it
    step = size * each
    rest = len(text) // step * step
    head = b"*%d\r\n$4\r\nMGET\r\n" % (size + 1)
    whole = b"".join([part for at in range(0, rest, step) for part in (head, text[at : at + step])])
    return whole + mget(keys[rest // each :]) if rest < len(text) else whole


def portions_of(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Yield the keys of one portion after the other."""
    for at in range(0, len(keys), size):
        yield keys[at : at + size]


class Around:
    """What goes over the wire before and after each key."""

    def __init__(self, before: bytes, after: bytes) -> None:
        self._before, self._after = before, after
        # latin-1 has a character for every byte, so that bytes may be put together as text, which is faster
        self._heads = [(b"%b$%d\r\n" % (before, size)).decode("latin-1") for size in range(SHORT_BYTES)]
        self._tail = (b"\r\n%b" % after).decode("latin-1")

    @classmethod
    def command(cls, name: str, *after: Argument) -> "Around":
        """Return what surrounds the key of a command whose first argument it is."""
        return cls(b"*%d\r\n%b" % (2 + len(after), bulk(name)), b"".join(map(bulk, after)))

    def joined(self, keys: Sequence[str]) -> bytes:
        """Return all keys, each with what is around it."""
        heads, tail = self._heads, self._tail
        if "".join(keys).isascii():
            try:
                if len(set(map(len, keys))) == 1:  # what is between two keys is always the same
                    head = heads[len(keys[0])]
                    return f"{head}{(tail + head).join(keys)}{tail}".encode("latin-1")
                return (tail.join([heads[len(key)] + key for key in keys]) + tail).encode("latin-1")
            except IndexError:  # one is long
                pass
        return b"".join([b"%b%b%b" % (self._before, bulk(key), self._after) for key in keys])


ALONE = Around(b"", b"")
