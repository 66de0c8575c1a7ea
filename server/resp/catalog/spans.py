"""Raw replies of Redis taken apart without being read: a header, the bytes of each element; both protocols.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from collections.abc import Sequence

from server.resp.wire.replies import RESP2, Encoder

LINE = b"\r\n"
COUNTED, PAIRED, SIZED, ATTRIBUTE = b"*~>", b"%|", b"$=!", b"|"
LISTS, MAPS = b"*~", b"*%"


def is_a(reply: bytes, kinds: bytes) -> bool:
    """Whether a reply is of one of some kinds; what Redis refuses or queues is none of ours."""
    return bool(reply) and reply[:1] in kinds


def header(reply: bytes) -> tuple[int, bytes]:
    """Return the number of what a reply begins with, and all after that line."""
    line, _, rest = reply.partition(LINE)
    return int(line[1:]), rest


def longer(reply: bytes, more: Sequence[bytes]) -> bytes:
    """Return an aggregate with more elements at its end; of a map, names and values in turn."""
    count, rest = header(reply)
    kind = reply[:1]
    added = len(more) // 2 if kind == b"%" else len(more)
    return b"%b%d\r\n%b%b" % (kind, count + added, rest, b"".join(more))


def elements(reply: bytes) -> list[bytes]:
    """Return the bytes of each element of an array or set."""
    count, rest = header(reply)
    found, at = [], 0
    for _ in range(count):
        end = end_of(rest, at)
        found.append(rest[at:end])
        at = end
    return found


def end_of(data: bytes, at: int) -> int:
    """Return where the value ends that begins at some place."""
    left = 1
    while left:
        line = data.index(LINE, at)
        kind, after = data[at : at + 1], line + len(LINE)
        left -= 1
        if kind in SIZED:
            size = int(data[at + 1 : line])
            after += size + len(LINE) if size >= 0 else 0
        elif kind in COUNTED:
            left += max(0, int(data[at + 1 : line]))
        elif kind in PAIRED:
            left += 2 * int(data[at + 1 : line]) + (kind == ATTRIBUTE)  # the value that it is about follows
        at = after
    return at


def of_set(wire: Encoder, items: Sequence[bytes]) -> bytes:
    """Return a set of what is encoded already; RESP2 has an array for it."""
    kind = b"~" if wire.version > RESP2.version else b"*"
    return b"%b%d\r\n%b" % (kind, len(items), b"".join(items))
