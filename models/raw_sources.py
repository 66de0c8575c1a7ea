"""Sources of whole arrays: raw vectors and lists of steps; replies -> rows, pure, no I/O.

Readers as in `models/text_sources.py`. Raw numbers are little-endian; a stored bool is one byte,
0 or 1. A vector may also be a tensor string of RedisAI's type and as many elements, whatever its
shape: then the trailer that fits it says so, and it is never read as numbers.
"""

from collections.abc import Sequence
from operator import methodcaller
from typing import Any

import numpy as np

from models.decoding import Cell, all_finite, cast, checked, finite, lost
from models.encoding import Form
from models.errors import KeyMissing, WrongLength, WrongType, shown
from models.fields import numbers_within
from models.sources import ListSource, SequenceSource, VectorSource
from models.tensor_strings import FIXED_BYTES, MAGIC, NUMPY, described, trailed, trailing
from models.tensors import Tensor, elements, numpy_dtype
from models.values import Place, number

STRINGS = {bytes}
TENSOR_DTYPES = {numpy.name: dtype for dtype, numpy in NUMPY.items()}
ends_like_a_tensor = methodcaller("endswith", MAGIC)


class Layout:
    """How one vector or step lies in a string: `size` bytes of a dtype and shape."""

    def __init__(self, source: VectorSource | ListSource) -> None:
        self.dtype, self.shape = source.dtype, source.shape
        self.stored = numpy_dtype("uint8" if source.dtype == "bool" else source.dtype)
        self.count = elements(source.shape)
        self.size = self.count * self.stored.itemsize
        self.sizes = {self.size}
        self.tensor_dtype = TENSOR_DTYPES.get(source.dtype)

    @property
    def wanted(self) -> str:
        """The size in words."""
        return f"{self.size} ({self.dtype} {list(self.shape)})"

    def read(self, strings: Sequence[bytes]) -> Tensor:
        """Return strings of the right size as one array, (len(strings), *shape), writable."""
        return self.array(bytearray().join(strings))

    def array(self, data: bytearray) -> Tensor:
        """Return the bytes of B vectors as one array, (B, *shape), writable."""
        return np.frombuffer(data, self.stored).reshape(-1, *self.shape)

    def ends_in_magic(self, data: bytearray) -> bool:
        """Whether any of joined vectors ends in the byte that tensor strings end in."""
        return self.size >= FIXED_BYTES and MAGIC[-1] in data[self.size - 1 :: self.size]

    def takes(self, trailer: bytes) -> bool:
        """Whether tensor strings with a trailer have the type and the number of elements."""
        told = described(trailer)
        return told is not None and told[0] == self.tensor_dtype and told[2] == self.size

    def numbers(self, string: bytes) -> bytes | None:
        """Return the numbers of a stored vector, raw or of a tensor string; None where it is neither."""
        tensor = trailed(string)
        if tensor is None:
            return string if len(string) == self.size else None
        return tensor.data if self.takes(trailing(string)) else None

    def found(self, string: bytes) -> tuple[str, str]:
        """Return what a string that is no such vector is, and what is wanted, in words."""
        tensor = trailed(string)
        if tensor is None:
            return f"{len(string)} bytes", self.wanted
        numbers = f"{self.tensor_dtype} with {self.count} element{'s' * (self.count > 1)}"
        wanted = f"{numbers if self.tensor_dtype else f'{self.size} bytes'} ({self.dtype} {list(self.shape)})"
        return f"a tensor of {tensor.dtype} {shown(list(tensor.shape))}", wanted

    def finite(self, values: Tensor, dtype: str, place: str) -> Tensor:
        """Return what `read` gave as the input takes it.

        Raises: NotANumber, naming the first element that does not fit.
        """
        stored = finite(values, "bool", place) if self.dtype == "bool" else values
        return finite(stored, dtype, place)

    def quick(self, values: Tensor, dtype: str) -> Tensor | None:
        """Return what `read` gave as the input takes it; None when any element does not fit."""
        if self.dtype == "bool" and values.max() > 1:
            return None
        result = cast(values, dtype)
        if result.dtype.kind == "f":
            return result if all_finite(result) else None
        return None if lost(values, result).any() else result

    def each(self, values: Tensor, dtype: str) -> tuple[Tensor, Tensor]:
        """Return what `read` gave as the input takes it, and which of the rows it does take, (B,)."""
        result = cast(values, dtype)
        bad: Tensor = lost(values, result)
        if self.dtype == "bool":
            bad = np.logical_or(bad, values > 1)
        return result, np.logical_not(bad.reshape(len(values), -1).any(axis=1))


def stand_in(cell: Cell, source: VectorSource | ListSource, shape: tuple[int, ...], dtype: str) -> Tensor:
    """Return an array filled with the stand-in for an absent key.

    Raises: KeyMissing without one, NotANumber.
    """
    fill = cell.fills.get(source.key, source.default)
    if fill is None:
        raise KeyMissing(cell.key)
    value = number(fill, dtype, f"the stand-in for key {shown(cell.key)!r}")
    return np.full(shape, value, numpy_dtype(dtype))


class VectorReader:
    """GET of a string of exactly the declared bytes, or of a tensor of them; one reply: bytes."""

    def __init__(self, source: VectorSource, dtype: str) -> None:
        self._source, self._dtype = source, dtype
        self._layout = Layout(source)
        self.size = self._layout.size
        """Bytes of a vector's numbers."""
        self.form = Form("GET")
        self.columnar = True

    def columns(self, replies: Sequence[Any]) -> Tensor | None:
        """All rows at once, (B, *shape), where all are raw or all are tensors of one trailer."""
        if set(map(type, replies)) != STRINGS:
            return None
        sizes = set(map(len, replies))
        if sizes != self._layout.sizes:
            return self._tensors(replies, sizes)
        data = bytearray().join(replies)
        if self._layout.ends_in_magic(data) and any(map(ends_like_a_tensor, replies)):
            return None
        return self._layout.quick(self._layout.array(data), self._dtype)

    def _tensors(self, strings: Sequence[bytes], sizes: set[int]) -> Tensor | None:
        """All rows at once, where they are tensors."""
        size, trailer = self._layout.size, trailing(strings[0])
        if not trailer or not self._layout.takes(trailer) or sizes != {size + len(trailer)}:
            return None
        whole = np.frombuffer(bytearray().join(strings), np.uint8).reshape(len(strings), -1)
        if not (whole[:, size:] == np.frombuffer(trailer, np.uint8)).all():
            return None
        return self._layout.quick(self._layout.array(bytearray(whole[:, :size].tobytes())), self._dtype)

    def row(self, cell: Cell) -> Tensor:
        """One row: the declared shape."""
        reply = checked(cell, "GET", "a string of raw numbers")
        if reply is None:
            return stand_in(cell, self._source, self._source.shape, self._dtype)
        if not isinstance(reply, bytes):
            raise WrongType(cell.key, "a string of raw numbers")
        numbers = self._layout.numbers(reply)
        if numbers is None:
            raise WrongLength(cell.key, *self._layout.found(reply))
        return self._layout.finite(self._layout.read([numbers])[0], self._dtype, f"key {shown(cell.key)!r}")


class ListReader:
    """LRANGE of the last steps; one reply: a list of at most `last` entries, oldest first."""

    def __init__(self, source: ListSource, dtype: str) -> None:
        self._source, self._dtype = source, dtype
        self._layout = Layout(source)
        self.form = Form("LRANGE", -source.last, -1)
        self.columnar = False

    def columns(self, _replies: Sequence[Any]) -> Tensor | None:
        """Rows differ in length: read one by one."""
        return None

    def row(self, cell: Cell) -> Tensor:
        """One row: (steps, *shape), `last` steps when padded."""
        entries = checked(cell, "LRANGE", "a list")
        if not isinstance(entries, list) or len(entries) > self._source.last:
            raise WrongType(cell.key, "a list")
        if not entries:
            return padded(stand_in(cell, self._source, (1, *self._source.shape), self._dtype), self._source)
        if not all(isinstance(entry, bytes) for entry in entries):
            raise WrongType(cell.key, "a list")
        steps = self._raw(entries, cell) if self._source.encoding == "raw" else self._text(entries, cell)
        return padded(self._layout.finite(steps, self._dtype, f"key {shown(cell.key)!r}"), self._source)

    def _raw(self, entries: Sequence[bytes], cell: Cell) -> Tensor:
        """Entries of raw numbers, every one of the declared size."""
        for step, entry in enumerate(entries):
            if len(entry) != self._layout.size:
                raise WrongLength(cell.key, f"{len(entry)} bytes in entry {step}", self._layout.wanted)
        return self._layout.read(entries)

    def _text(self, entries: Sequence[bytes], cell: Cell) -> Tensor:
        """Entries of decimal numbers, every one of the declared count."""
        steps = [entry.replace(b",", b" ").split() for entry in entries]
        for step, words in enumerate(steps):
            if len(words) != self._layout.count:
                wanted = f"{self._layout.count} ({list(self._source.shape)})"
                raise WrongLength(cell.key, f"{len(words)} numbers in entry {step}", wanted)
        values = numbers_within([word for words in steps for word in words], self._source.dtype)
        if values is None:
            values = [
                number(word, self._source.dtype, Place("entry", step, f"key {shown(cell.key)!r}"))
                for step, words in enumerate(steps)
                for word in words
            ]
        array = np.array(values, numpy_dtype(self._source.dtype))
        return array.reshape(len(entries), *self._source.shape)


def padded(steps: Tensor, source: SequenceSource) -> Tensor:
    """Fill up to `last` steps where the source pads."""
    short = source.last - len(steps)
    if source.pad == "none" or not short:
        return steps
    fill = np.full((short, *steps.shape[1:]), source.pad_value, steps.dtype)
    return np.concatenate((fill, steps) if source.pad == "left" else (steps, fill))
