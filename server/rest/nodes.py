"""How many lists and objects a JSON text has, counted before it is read.

Each becomes an object of Python many times as large as its two bytes, and nobody else is served while they are made.
"""

import numpy as np

from server.rest.refusals import TooManyNodes

NODES_MOST = 1 << 20
NODE_BYTES = 16  # of a body for which a server was allowed more than so many bytes for each of them


def check_nodes(body: bytes | bytearray) -> None:
    """Refuse a body that has more lists and objects than rows of numbers need.

    Raises: TooManyNodes.
    """
    most = max(NODES_MOST, len(body) // NODE_BYTES)
    if body.count(b"[") + body.count(b"{") > most:  # those in texts are among them
        found = nodes(body)
        if found > most:
            raise TooManyNodes(found, most)


def nodes(body: bytes | bytearray) -> int:
    """Return how many lists and objects begin outside of texts."""
    marks = np.frombuffer(body.replace(rb"\\", b"").replace(rb"\"", b""), np.uint8)
    begins = (marks == ord("[")) | (marks == ord("{"))
    in_texts = np.logical_xor.accumulate(marks == ord('"'))
    return int(np.count_nonzero(begins & ~in_texts))
