"""What a JSON text is made of, found without making anything of it: lists, objects, and the names of these.

Each becomes an object of Python many times as large as its bytes, and nobody else is served while they are made.
"""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.rest.refusals import TooManyNames, TooManyNodes

NODES_MOST = 1 << 20
NODE_BYTES = 16  # of a body for which a server was allowed more than so many bytes for each of them
NAMES_MOST = 1 << 16  # of one object: the time that they take grows faster than their number
Marks = NDArray[np.uint8]
Flags = NDArray[np.bool_]


def check_nodes(body: bytes | bytearray) -> None:
    """Refuse a body that has more lists and objects than rows of numbers need, or an object of too many names.

    Raises: TooManyNodes, TooManyNames.
    """
    most = max(NODES_MOST, len(body) // NODE_BYTES)
    if body.count(b"[") + body.count(b"{") > most:  # those in texts are among them
        found = nodes(body)
        if found > most:
            raise TooManyNodes(found, most)
    if body.count(b":") > NAMES_MOST:
        found = most_names(body)
        if found > NAMES_MOST:
            raise TooManyNames(found, NAMES_MOST)


def nodes(body: bytes | bytearray) -> int:
    """Return how many lists and objects begin outside of texts."""
    marks = marks_of(body)
    return int(np.count_nonzero(among(marks, b"[{") & ~in_texts(marks)))


def most_names(body: bytes | bytearray) -> int:
    """Return how many names the object has that has the most."""
    marks = marks_of(body)
    found = marks[among(marks, b"{}:") & ~in_texts(marks)]
    begins, ends = found == ord("{"), found == ord("}")
    depth = np.cumsum(begins.astype(np.int8) - ends, dtype=np.int32)[~ends]
    begins = begins[~ends][
        np.argsort(depth, kind="stable")
    ]  # of one depth: an object, its names, the next object
    owners = np.cumsum(begins)[~begins]
    return int(np.bincount(owners).max(initial=0))


def times_named(body: bytes | bytearray, name: str) -> int:
    """Return how often the outermost object of a JSON text has a name, which needs no unescaping."""
    places = np.array(
        [one.start() for one in re.finditer(rb'"%b"[ \t\r\n]*:' % name.encode(), body)], np.int64
    )
    if len(places) < 2:  # once is right
        return len(places)
    marks = marks_of(body)
    texts = in_texts(marks)
    begins, ends = among(marks, b"[{") & ~texts, among(marks, b"]}") & ~texts
    depth = np.cumsum(begins.astype(np.int8) - ends, dtype=np.int32)
    return int(np.count_nonzero((depth[places] == 1) & texts[places] & (marks[places] == ord('"'))))


def marks_of(body: bytes | bytearray) -> Marks:
    """Return the bytes of a JSON text in their places, without quotes that end no text."""
    return np.frombuffer(body.replace(rb"\\", b"__").replace(rb"\"", b"__"), np.uint8)


def in_texts(marks: Marks) -> Flags:
    """Return which bytes belong to a text; the quote before it does, the one behind it does not."""
    inside: Flags = np.logical_xor.accumulate(marks == ord('"'))
    return inside


def among(marks: Marks, wanted: bytes) -> Any:
    """Return which bytes are one of those."""
    return np.logical_or.reduce([marks == one for one in wanted])
