"""Vectors of many keys at once: bytes of replies -> rows, by their fixed distance; pure, no I/O."""

from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from redis.exceptions import ResponseError

from models.asking import Around, Asked
from models.encoding import bulk
from models.raw_sources import Layout
from models.replies import Bytes, Found, errors_of, parsed
from models.sources import VectorSource
from models.tensors import Tensor, numpy_dtype

TOGETHER_KEYS = 512  # of one MGET: more hold other clients up without being faster
TOGETHER_BYTES = 1 << 18


class VectorBlock:
    """One vector source, read for many keys: MGET, or GET where keys lie apart."""

    def __init__(self, source: VectorSource, dtype: str) -> None:
        self._layout = Layout(source)
        self._dtype = dtype
        self._get, self._key = Around.command("GET"), Around(b"", b"")
        self._header = np.frombuffer(b"$%d\r\n" % self._layout.size, np.uint8)
        self._together = max(1, min(TOGETHER_KEYS, TOGETHER_BYTES // self._layout.size))
        self.wide = self._together > 1

    def asked(self, keys: Sequence[str], apart: bool) -> Asked:
        """Return what is asked for keys, which lie on one node but `apart`."""
        size = 0 if apart or not self.wide else self._together
        counts = [min(size, len(keys) - at) for at in range(0, len(keys), size)] if size else []
        data = self._grouped(keys, size) if size else self._get.joined(keys)
        return Asked(data, partial(self._read, len(keys), counts), bool(size))

    def _grouped(self, keys: Sequence[str], size: int) -> bytes:
        """Return MGETs of `size` keys each."""
        groups = [keys[at : at + size] for at in range(0, len(keys), size)]
        name = bulk("MGET")
        return b"".join(
            [b"*%d\r\n%b%b" % (len(group) + 1, name, self._key.joined(group)) for group in groups]
        )

    def _read(self, count: int, groups: Sequence[int], reply: Bytes) -> Found:
        """Read the replies to `count` keys, that were asked one by one or in groups of one array each."""
        raw = self._strided(count, groups, reply)
        if raw is not None:
            return Found(*self._numbers(raw))
        replies = parsed(reply, len(groups) or count)
        each = [*chain.from_iterable(map(spread, replies, groups))] if groups else replies
        return self._sorted_out(each)

    def _strided(self, count: int, groups: Sequence[int], reply: Bytes) -> Tensor | None:
        """Return the vectors' bytes, (count, size); None when any reply is of another length."""
        size, before = self._layout.size, len(self._header)
        stride, at, row = before + size + 2, 0, 0
        result = np.empty((count, size), np.uint8)
        data = np.frombuffer(reply, np.uint8)
        for rows in groups or (count,):
            head = b"*%d\r\n" % rows if groups else b""
            start = at + len(head)
            at = start + rows * stride
            if at > len(reply) or reply[start - len(head) : start] != head:
                return None
            part = data[start:at].reshape(rows, stride)
            if not (part[:, :before] == self._header).all():
                return None
            result[row : row + rows] = part[:, before:-2]
            row += rows
        return result if at == len(reply) else None

    def _numbers(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows as the input takes them, and which of them it does take."""
        layout = self._layout
        values = raw.view(layout.stored).reshape(len(raw), *layout.shape)
        quick = layout.quick(values, self._dtype)
        return (quick, np.ones(len(raw), np.bool_)) if quick is not None else layout.each(values, self._dtype)

    def _sorted_out(self, replies: Sequence[Any]) -> Found:
        """Read replies among which some are no vector."""
        size = self._layout.size
        good = np.array([type(reply) is bytes and len(reply) == size for reply in replies], np.bool_)
        shape = (len(replies), *self._layout.shape)
        found = Found(np.zeros(shape, numpy_dtype(self._dtype)), good, errors_of(replies))
        if good.any():
            data = bytearray().join([replies[at] for at in np.flatnonzero(good).tolist()])
            values, well = self._numbers(np.frombuffer(data, np.uint8).reshape(-1, size))
            found.values[good] = values
            good[good] = well
        return found


def spread(reply: Any, count: int) -> list[Any]:
    """Return the replies in an array; an error is that of each."""
    if isinstance(reply, ResponseError):
        return [reply] * count
    if not isinstance(reply, list) or len(reply) != count:
        raise ValueError(f"this is no array of {count} replies")
    return reply
