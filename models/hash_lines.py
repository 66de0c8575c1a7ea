"""Replies of many hashes as lines: those of one pattern are found in columns, to the byte; pure, no I/O.

A reply is known to begin where the one before it ends, and that one to be of the pattern: so no
value, whatever is in it, passes for a reply.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.replies import Lines, Places, Texts, after, parsed

WINDOW_ROWS = 128  # looked at in one go, then twice as many, as long as every one is regular
ODD_SHARE = 16  # more than 1 irregular row in 16: looking for each costs more than parsing all
FIRST_ROWS = 8  # among which the pattern of the others is looked for


@dataclass(frozen=True, slots=True)
class Pattern:
    """How the lines of one reply lie: `values` are the lines of the fields, in rising order.

    `order` puts them into the order of the view: field i is the order[i]-th. A name is one text
    with its header.
    """

    lines: int
    head: Texts
    names: Texts | None
    values: Sequence[int]
    order: Sequence[int]

    def fits(self, lines: Lines, starts: Places, ends: Places) -> NDArray[np.bool_]:
        """Return which replies are of this pattern; each holds if all before it do."""
        step = 2 if self.names is None else 4
        headers, values = slice(step - 1, None, step), slice(step, None, step)
        good: NDArray[np.bool_] = lines.say(starts[:, :1], self.head)[:, 0]
        good &= lines.headed(starts[:, headers], ends[:, values] - starts[:, values]).all(axis=1)
        if self.names is not None:
            good &= lines.say(starts[:, 1::step], self.names).all(axis=1)
        return good


def of_some(count: int) -> Pattern:
    """Return the pattern of HMGET of so many fields, all there."""
    return Pattern(2 * count + 1, Texts([b"*%d\r\n" % count]), None, range(2, 2 * count + 1, 2), range(count))


def of_all(reply: bytearray, count: int, wanted: Sequence[bytes]) -> Pattern | None:
    """Return the pattern of HGETALL that the first regular reply has, None where none of the first is."""
    at = 0
    for _ in range(min(count, FIRST_ROWS)):
        stop = after(reply, at)
        (first,) = parsed(reply[at:stop], 1)
        if isinstance(first, list):
            names = first[::2]
            if set(wanted) <= set(names) and not any(b"\n" in name for name in names):
                return of_names(names, wanted)
        at = stop
    return None


def of_names(names: Sequence[bytes], wanted: Sequence[bytes]) -> Pattern:
    """Return the pattern of hashes that hold these fields in this order."""
    places = [names.index(name) for name in wanted]
    rising = sorted(places)
    return Pattern(
        lines=4 * len(names) + 1,
        head=Texts([b"*%d\r\n" % (2 * len(names))]),
        names=Texts([b"$%d\r\n%b\r\n" % (len(name), name) for name in names]),
        values=[4 * place + 4 for place in rising],
        order=[rising.index(place) for place in places],
    )


@dataclass(slots=True)
class Regular:
    """The rows of one pattern and where their values lie, (rows, fields); `odd` are the other replies."""

    rows: NDArray[np.int64]
    starts: Places
    ends: Places
    odd: Mapping[int, bytes]


def regular(lines: Lines, count: int, pattern: Pattern) -> Regular | None:
    """Part `count` replies into those of a pattern and the others; None where these are many."""
    row, line, window = 0, 0, WINDOW_ROWS
    runs: list[tuple[range, Places, Places]] = []
    odd: dict[int, bytes] = {}
    while row < count:
        most = min(window, count - row, (len(lines.starts) - line) // pattern.lines)
        starts, ends = lines.tabled(line, most, pattern.lines)
        good = pattern.fits(lines, starts, ends)
        well = most if good.all() else int(good.argmin())
        if well:
            values = pattern.values
            runs.append((range(row, row + well), starts[:well, values], ends[:well, values]))
        row, line, window = row + well, line + well * pattern.lines, 2 * window
        if well == most and most:
            continue
        if row < count:
            if len(odd) > count // ODD_SHARE:
                return None
            at = int(lines.starts[line])
            stop = after(lines.reply, at)
            odd[row] = bytes(lines.reply[at:stop])
            row, line, window = row + 1, lines.line_at(stop), WINDOW_ROWS
    return joined(runs, odd, len(pattern.values))


def joined(runs: Sequence[tuple[range, Places, Places]], odd: Mapping[int, bytes], fields: int) -> Regular:
    """Join runs of rows that follow one another."""
    if not runs:
        none = np.empty((0, fields), np.int64)
        return Regular(np.empty(0, np.int64), none, none, odd)
    rows = np.concatenate([np.arange(one.start, one.stop) for one, _, _ in runs])
    return Regular(
        rows, np.concatenate([one for _, one, _ in runs]), np.concatenate([one for _, _, one in runs]), odd
    )
