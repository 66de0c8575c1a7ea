"""Vectors of many keys at once: bytes of replies -> rows, by their fixed distance; pure, no I/O."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, groupby
from typing import Any

import numpy as np
from redis.exceptions import ResponseError

from models.asking import Around, Asked, mgets, portions_of
from models.raw_sources import Layout
from models.replies import Bytes, Found, errors_of, parsed
from models.sources import VectorSource
from models.tensor_strings import FIXED_BYTES, MAGIC, TRAILER_LIMIT_BYTES, trailing
from models.tensors import Tensor, numpy_dtype

TOGETHER_KEYS = 512  # of one MGET: more hold other clients up without being faster
TOGETHER_BYTES = 1 << 18
# Of one MGET of a block: Valkey 9 answers a pipeline of these half as fast again, Redis 7 as fast.
BLOCK_KEYS = 16
GROUPS = 8  # times as many as may come together are a portion: they leave as fast as they are worked off
# Where the MGET of more than 1 row in 4 was refused, for it or for one beside it, GET refuses each alone.
REFUSED_SHARE = 4
MAGIC_BYTES = np.frombuffer(MAGIC, np.uint8)
LENGTH_BYTES = 24  # no bulk string says its length in more


class VectorBlock:
    """One vector source, read for many keys: MGET, or GET where keys lie apart."""

    def __init__(self, source: VectorSource, dtype: str) -> None:
        self._layout = Layout(source)
        self._dtype = dtype
        self._get = Around.command("GET")
        self._most_bytes = self._layout.size + TRAILER_LIMIT_BYTES + LENGTH_BYTES
        most = together(self._layout.size)
        self._together = min(BLOCK_KEYS, most)
        self.portion = GROUPS * most  # keys
        self.wide = self._together > 1

    def asked(self, keys: Sequence[str], apart: bool) -> Asked:
        """Return what is asked for keys, which lie on one node but `apart`."""
        portions = [*portions_of(keys, self.portion)]
        if apart or not self.wide:
            return Asked([*map(self._get.joined, portions)], partial(self._read, len(keys), ()), wide=False)
        payloads = [mgets(portion, self._together) for portion in portions]
        sizes = [size for portion in portions for size in sizes_of(len(portion), self._together)]
        return Asked(payloads, partial(self._read, len(keys), sizes), wide=True)

    def _read(self, count: int, groups: Sequence[int], reply: Bytes) -> Found:
        """Read the replies to `count` keys, that were asked one by one or in groups of one array each."""
        head = b"*%d\r\n" % groups[0] if groups else b""
        raw = self._strided(
            count, groups, reply, self._trailer(reply[: len(head) + self._most_bytes], len(head))
        )
        if raw is not None:
            return Found(*self._numbers(raw))
        replies = parsed(reply, len(groups) or count)
        each = [*chain.from_iterable(map(spread, replies, groups))] if groups else replies
        return self._sorted_out(each)

    def _trailer(self, reply: Bytes, at: int) -> bytes:
        """Return the trailer of the first vector, which begins at `at`, where it is such a tensor."""
        end = reply.find(b"\r\n", at)
        size = reply[at + 1 : end]
        if reply[at : at + 1] != b"$" or not size.isdigit() or int(size) <= self._layout.size:
            return b""
        trailer = trailing(bytes(reply[end + 2 : end + 2 + int(size)]))
        fits = len(trailer) + self._layout.size == int(size) and self._layout.takes(trailer)
        return trailer if trailer and fits else b""

    def _strided(self, count: int, groups: Sequence[int], reply: Bytes, trailer: bytes) -> Tensor | None:
        """Return the vectors' bytes, (count, size); None when any reply is of another length or trailer."""
        size, after = self._layout.size, np.frombuffer(trailer, np.uint8)
        header = np.frombuffer(b"$%d\r\n" % (size + len(trailer)), np.uint8)
        before = len(header)
        stride, at, row = before + size + len(trailer) + 2, 0, 0
        result = np.empty((count, size), np.uint8)
        data = np.frombuffer(reply, np.uint8)
        for rows, times in alike(groups or (count,)):
            head = np.frombuffer(b"*%d\r\n" % rows if groups else b"", np.uint8)
            start, at = at, at + times * (len(head) + rows * stride)
            if at > len(reply):
                return None
            whole = data[start:at].reshape(times, -1)
            if not (whole[:, : len(head)] == head).all():
                return None
            part = whole[:, len(head) :].reshape(times, rows, stride)
            if not (part[..., :before] == header).all():
                return None
            if trailer and not (part[..., before + size : -2] == after).all():
                return None
            after_these = row + times * rows
            result[row:after_these].reshape(times, rows, size)[:] = part[..., before : before + size]
            row = after_these
        return result if at == len(reply) and (trailer or not tensors_among(result)) else None

    def _numbers(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows as the input takes them, and which of them it does take."""
        layout = self._layout
        values = raw.view(layout.stored).reshape(len(raw), *layout.shape)
        quick = layout.quick(values, self._dtype)
        return (quick, np.ones(len(raw), np.bool_)) if quick is not None else layout.each(values, self._dtype)

    def _sorted_out(self, replies: Sequence[Any]) -> Found:
        """Read replies among which some are no vector."""
        numbers = [self._layout.numbers(reply) if type(reply) is bytes else None for reply in replies]
        good = np.array([one is not None for one in numbers], np.bool_)
        shape = (len(replies), *self._layout.shape)
        errors = errors_of(replies)
        found = Found(np.zeros(shape, numpy_dtype(self._dtype)), good, errors)
        found.pays = len(errors) * REFUSED_SHARE <= len(replies)
        if good.any():
            data = bytearray().join([one for one in numbers if one is not None])
            values, well = self._numbers(np.frombuffer(data, np.uint8).reshape(-1, self._layout.size))
            found.values[good] = values
            good[good] = well
        return found


def sizes_of(count: int, most: int) -> list[int]:
    """Return the sizes of groups of at most so many."""
    return [most] * (count // most) + [count % most] * (count % most > 0)


def alike(groups: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield how many rows groups have, and how many of them in a row have so many."""
    for rows, some in groupby(groups):
        yield rows, len([*some])


def together(size: int) -> int:
    """Return how many vectors of `size` bytes one MGET asks for."""
    return max(1, min(TOGETHER_KEYS, TOGETHER_BYTES // size))


def tensors_among(vectors: Tensor) -> bool:
    """Whether any of raw vectors, (B, size), ends as tensor strings do: it may be one of another type or number."""
    if vectors.shape[1] < FIXED_BYTES or MAGIC[-1] not in vectors[:, -1].tobytes():
        return False
    return bool((vectors[:, -len(MAGIC) :] == MAGIC_BYTES).all(axis=1).any())


def spread(reply: Any, count: int) -> list[Any]:
    """Return the replies in an array; an error is that of each."""
    if isinstance(reply, ResponseError):
        return [reply] * count
    if not isinstance(reply, list) or len(reply) != count:
        raise ValueError(f"this is no array of {count} replies")
    return reply
