"""Replies of Redis counted as they pass: where each ends, without a copy and without an object for what is in it.

A reply may come in any number of pieces. What is pushed out of band (RESP3's `>`) is no reply.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from server.resp.wire.frames import END, LINE_LIMIT, Malformed

LINES = b"+-:_,#("  # one line each
BULKS = b"$=!"  # a length, then so many bytes
AGGREGATES = b"*~>"  # a number of elements
PAIRS = b"%|"  # a number of pairs
PUSH, ATTRIBUTE = b">"[0], b"|"[0]


class Scanner:
    """Where the replies of one connection end."""

    __slots__ = ("_held", "_left", "_pushed", "_skip")

    def __init__(self) -> None:
        self._held = b""  # the beginning of a line that is not whole
        self._skip = 0  # bytes of a bulk string that are still to come, its end included
        self._left: list[int] = []  # elements that are still to come, innermost last
        self._pushed = False  # what is under way was pushed

    @property
    def between(self) -> bool:
        """Whether everything that came has ended."""
        return not self._left and not self._skip and not self._held

    def ends(self, data: bytes, at: int = 0) -> list[tuple[int, bool]]:
        """Return where replies end in what came next, from `at` on, and whether each was pushed.

        Raises: Malformed, this is no reply.
        """
        try:
            return self._ends(data, at)
        except ValueError:
            raise Malformed("a reply of Redis has no length where one belongs") from None

    def _ends(self, data: bytes, at: int) -> list[tuple[int, bool]]:
        """Return the same.

        Raises: Malformed, ValueError.
        """
        found: list[tuple[int, bool]] = []
        while True:
            if self._skip:
                step = min(self._skip, len(data) - at)
                at, self._skip = at + step, self._skip - step
                if self._skip:
                    return found
                if self._done():
                    found.append((at, self._pushed))
                continue
            line = data.find(END[1:], at)
            if line < 0:
                self._hold(data[at:])
                return found
            head, self._held = self._held + data[at : line + 1], b""
            at = line + 1
            if self._begun(head) and self._done():
                found.append((at, self._pushed))

    def _hold(self, part: bytes) -> None:
        """Keep the beginning of a line.

        Raises: Malformed, it is too long.
        """
        self._held += part
        if len(self._held) > LINE_LIMIT and self._held[0] not in LINES:
            raise Malformed("too long a line in a reply of Redis")

    def _begun(self, head: bytes) -> bool:
        """Take the line that an element begins with; whether it is all of it.

        Raises: Malformed, ValueError.
        """
        kind = head[0]
        if not self._left:
            self._pushed = kind == PUSH
        if kind in LINES:
            return True
        size = int(head[1:-2])
        if kind in BULKS:
            self._skip = size + 2 if size >= 0 else 0
            return size < 0
        if kind in PAIRS:
            size *= 2
        elif kind not in AGGREGATES:
            raise Malformed(f"a reply of Redis cannot begin with {head[:40]!r}")
        if kind == ATTRIBUTE:  # what it is said of follows
            self._left.append(size + 1)
            return False
        if size > 0:
            self._left.append(size)
            return False
        return True

    def _done(self) -> bool:
        """Take note that an element has ended; whether a reply has."""
        left = self._left
        while left:
            left[-1] -= 1
            if left[-1]:
                return False
            left.pop()
        return True


def whole(data: bytes) -> bool:
    """Whether this is exactly one reply, where that is quickly seen; False says nothing."""
    kind = data[0]
    if kind in LINES:
        return data.find(END) == len(data) - 2
    if kind == 0x24:  # $
        line = data.find(END)
        return line > 0 and len(data) == (line + 4 + int(data[1:line]) if data[1] != 0x2D else line + 2)
    return False
