"""Redis commands as bytes: what surrounds the key is written once, the key is put in; pure, no I/O.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/, arrays of bulk strings.
"""

from collections.abc import Iterable, Sequence

SHORT_BYTES = 128  # keys for which all that comes before them is kept ready
BETWEEN = [b"\r\n$%d\r\n" % size for size in range(8 * SHORT_BYTES)]  # a key and a value of that many bytes

Argument = str | bytes | int
Parts = tuple[bytes, ...]  # of one argument that is too long to be copied
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


class Setting:
    """SET of one key a value, for good or for some seconds."""

    __slots__ = ("_head", "_heads", "_tail")

    def __init__(self, ttl_seconds: int | None = None) -> None:
        after: tuple[Argument, ...] = () if ttl_seconds is None else ("EX", ttl_seconds)
        self._head = b"*%d\r\n%b$" % (3 + len(after), bulk("SET"))
        self._heads = [b"%b%d\r\n" % (self._head, size) for size in range(SHORT_BYTES)]
        self._tail = b"\r\n" + b"".join(map(bulk, after))

    def encoded_for(self, keys: Sequence[str], values: Sequence[bytes]) -> list[bytes]:
        """Return the commands as Redis takes them."""
        heads, tail, join = self._heads, self._tail, b"".join
        pairs = zip(map(str.encode, keys), values, strict=True)
        try:
            return [join((heads[len(data)], data, BETWEEN[len(value)], value, tail)) for data, value in pairs]
        except IndexError:  # one is long
            return [*map(self._encoded, keys, values)]

    def _encoded(self, key: str, value: bytes) -> bytes:
        data = key.encode()
        return b"%b%d\r\n%b%b%b" % (
            self._head,
            len(data),
            data,
            b"\r\n$%d\r\n%b" % (len(value), value),
            self._tail,
        )


def bulk(argument: Argument) -> bytes:
    """Return one argument as a bulk string."""
    data = argument if isinstance(argument, bytes) else str(argument).encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)


def encoded(command: Sequence[Argument]) -> bytes:
    """Return any command as Redis takes it, each argument copied once."""
    parts = [b"*%d\r\n" % len(command)]
    for argument in command:
        data = argument if isinstance(argument, bytes) else str(argument).encode()
        parts += (b"$%d\r\n" % len(data), data, b"\r\n")
    return b"".join(parts)


def pieces(commands: Iterable[Sequence[Argument | Parts]]) -> list[bytes]:
    """Return commands as Redis takes them, in pieces to be sent one after the other: what is in parts is not joined."""
    made: list[bytes] = []
    short: list[bytes] = []
    for command in commands:
        short.append(b"*%d\r\n" % len(command))
        for argument in command:
            if isinstance(argument, tuple):
                made += (b"%b$%d\r\n" % (b"".join(short), sum(map(len, argument))), *argument)
                short = [b"\r\n"]
                continue
            data = argument if isinstance(argument, bytes) else str(argument).encode()
            short += (b"$%d\r\n" % len(data), data, b"\r\n")
    made.append(b"".join(short))
    return made
