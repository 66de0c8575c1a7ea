"""Redis commands as bytes: what surrounds the key is written once, the key is put in; pure, no I/O.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/, arrays of bulk strings.
"""

from collections.abc import Sequence

SHORT_BYTES = 128  # keys for which all that comes before them is kept ready

Argument = str | bytes | int
Command = tuple[Argument, ...]


class Form:
    """One command of a source with its key left open: as a tuple for a client, or as bytes."""

    __slots__ = ("_head", "_heads", "_tail", "after", "name")

    def __init__(self, name: str, *after: Argument) -> None:
        """Take the command's name and the arguments after the key."""
        self.name, self.after = name, after
        self._head = b"*%d\r\n%b$" % (2 + len(after), bulk(name))
        self._heads = [b"%b%d\r\n" % (self._head, size) for size in range(SHORT_BYTES)]
        self._tail = b"\r\n" + b"".join(map(bulk, after))

    def of(self, key: str) -> Command:
        """Return the command for one key, as redis-py takes it."""
        return (self.name, key, *self.after)

    def encoded(self, key: str) -> bytes:
        """Return the command for one key, as Redis takes it."""
        data = key.encode()
        return b"%b%d\r\n%b%b" % (self._head, len(data), data, self._tail)

    def encoded_for(self, keys: Sequence[str]) -> list[bytes]:
        """Return the commands for several keys, as `encoded` does for one."""
        heads, tail = self._heads, self._tail
        try:
            return [heads[len(data)] + data + tail for data in map(str.encode, keys)]
        except IndexError:  # one is long
            return [*map(self.encoded, keys)]


def bulk(argument: Argument) -> bytes:
    """Return one argument as a bulk string."""
    data = argument if isinstance(argument, bytes) else str(argument).encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)


def encoded(command: Sequence[Argument]) -> bytes:
    """Return any command as Redis takes it."""
    return b"*%d\r\n%b" % (len(command), b"".join(map(bulk, command)))
