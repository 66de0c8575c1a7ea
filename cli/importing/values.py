"""What RedisAI kept at a key, read from the bytes its module wrote: a tensor, a model or a script.

Five encodings are about. Tensors: 0 to 3 say device, bits, code, lanes, axes, sizes, strides and an
offset before the bytes; 4 says code, bits and sizes, and of texts where each begins after them.
Models: 0 ends its tag with a NUL and has the file in one piece; 1 cuts the file; 2 to 4 know
MINBATCHTIMEOUT too. Names and devices end with a NUL in all of them.
"""

from dataclasses import dataclass

from cli.importing.errors import EncodingUnknown, FileDamaged, ValueUnreadable
from cli.importing.inventory import Found
from cli.importing.rdb_bytes import RdbBytes
from cli.importing.rdb_values import MODULE_SIGNED, MODULE_STRING, MODULE_UNSIGNED
from models.execution import Execution, text_of
from models.tensor_strings import AXES_LIMIT, ITEM_BYTES, StoredTensor, storable, terminated

BACKENDS = ("TF", "TFLITE", "TORCH", "ONNX")
ONNX = "ONNX"
NEWEST = 4
NAMES_LIMIT = 65_536  # inputs or outputs of one model
DTYPES = {
    (0, 8): "INT8",
    (0, 16): "INT16",
    (0, 32): "INT32",
    (0, 64): "INT64",
    (1, 8): "UINT8",
    (1, 16): "UINT16",
    (2, 32): "FLOAT",
    (2, 64): "DOUBLE",
    (6, 8): "BOOL",
    (7, 8): "STRING",
}
"""(code, bits) of DLPack, with RedisAI's own 7, -> RedisAI's word."""


@dataclass(frozen=True, slots=True)
class RaiModel:
    """A model: its backend's word, how it was stored, and its file, which is only read of ONNX."""

    backend: str
    execution: Execution
    file: bytes = b""


@dataclass(frozen=True, slots=True)
class RaiScript:
    """A script; nothing of it is read."""


Value = StoredTensor | RaiModel | RaiScript


class Parts:
    """The parts of a module's value one after the other, each of the kind that is asked for."""

    def __init__(self, data: RdbBytes, found: Found) -> None:
        self._data = data
        self._found = found

    def unreadable(self, what: str) -> ValueUnreadable:
        """Return the error of a value that is not what it should be."""
        return ValueUnreadable(
            f"the {self._found.kind} at key {self._found.name!r} of database {self._found.db} cannot be read "
            f"({what}); store it again in RedisAI, and import it with --match",
            key=self._found.name,
            db=self._found.db,
        )

    def _expect(self, *kinds: int) -> None:
        read = self._data.length()
        if read not in kinds:
            raise self.unreadable(
                f"a part of kind {kinds[0]} should stand at byte {self._data.offset}, not {read}"
            )

    def unsigned(self) -> int:
        """Read an unsigned number."""
        self._expect(MODULE_UNSIGNED)
        return self._data.length()

    def signed(self) -> int:
        """Read a signed number, which Redis writes as an unsigned one."""
        self._expect(MODULE_UNSIGNED, MODULE_SIGNED)
        number = self._data.length()
        return number - (1 << 64) if number >> 63 else number

    def string(self) -> bytes:
        """Read a string."""
        self._expect(MODULE_STRING)
        return self._data.string()

    def text(self) -> bytes:
        """Read a string that ends with a NUL."""
        return self.string().removesuffix(b"\0")

    def skip_strings(self, most: int) -> None:
        """Pass over a number and as many strings."""
        count = self.unsigned()
        if count > most:
            raise self.unreadable(f"it should have {count} names")
        for _ in range(count):
            self._expect(MODULE_STRING)
            self._data.skip_string()


def value_of(data: RdbBytes, found: Found, encoding: int) -> Value:
    """Read the value of a key from where it begins.

    Raises: ValueUnreadable.
    """
    parts = Parts(data, found)
    try:
        return read(parts, found, encoding)
    except (FileDamaged, EncodingUnknown) as error:  # of this value alone: the file was walked to its end
        raise parts.unreadable(f"at byte {error.details['offset']}: {error.what}") from error


def read(parts: Parts, found: Found, encoding: int) -> Value:
    """Read the value of a key.

    Raises: ValueUnreadable, FileDamaged, EncodingUnknown.
    """
    if not 0 <= encoding <= NEWEST:
        raise parts.unreadable(f"encoding {encoding}, known are 0 to {NEWEST}")
    if found.kind == "script":
        return RaiScript()
    if found.kind == "model":
        return model_of(parts, found, encoding)
    tensor = tensor_of(parts) if encoding == NEWEST else older_tensor_of(parts)
    check(parts, tensor)
    return tensor


def tensor_of(parts: Parts) -> StoredTensor:
    """Read a tensor as encoding 4 has it; where its texts begin is not needed."""
    code, bits = parts.unsigned(), parts.unsigned()
    shape = sizes(parts, parts.signed(), signed=True)
    return StoredTensor(dtype_of(parts, code, bits), shape, parts.string())


def older_tensor_of(parts: Parts) -> StoredTensor:
    """Read a tensor as encodings 0 to 3 have it."""
    parts.unsigned()  # the device is the CPU
    parts.unsigned()  # and its number says nothing
    bits, code, lanes = parts.unsigned(), parts.unsigned(), parts.unsigned()
    axes = parts.unsigned()
    shape, strides = sizes(parts, axes), sizes(parts, axes)
    offset = parts.unsigned()
    if lanes != 1 or offset or not in_c_order(shape, strides):
        raise parts.unreadable(
            f"{lanes} lanes, strides {list(strides)} and offset {offset} are no plain tensor"
        )
    return StoredTensor(dtype_of(parts, code, bits), shape, parts.string())


def sizes(parts: Parts, axes: int, *, signed: bool = False) -> tuple[int, ...]:
    """Read a number for each axis."""
    if not 0 <= axes <= AXES_LIMIT:
        raise parts.unreadable(f"it has {axes} axes")
    return tuple(parts.signed() if signed else parts.unsigned() for _ in range(axes))


def in_c_order(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether elements lie one after the other, the last axis the nearest; strides count elements."""
    step = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size > 1 and stride != step:
            return False
        step *= size
    return True


def dtype_of(parts: Parts, code: int, bits: int) -> str:
    """Return RedisAI's word of an element type."""
    found = DTYPES.get((code, bits))
    if found is None:
        raise parts.unreadable(f"elements of code {code} and {bits} bits")
    return found


def check(parts: Parts, tensor: StoredTensor) -> None:
    """Compare the bytes of a tensor with its shape."""
    if any(size < 0 for size in tensor.shape) or not storable(tensor.shape):
        raise parts.unreadable(f"shape {list(tensor.shape)}")
    count = 1
    for size in tensor.shape:
        count *= size
    fits = (
        terminated(tensor.data, count)
        if tensor.dtype == "STRING"
        else len(tensor.data) == count * ITEM_BYTES[tensor.dtype]
    )
    if not fits:
        raise parts.unreadable(f"{len(tensor.data)} bytes for {tensor.dtype} {list(tensor.shape)}")


def model_of(parts: Parts, found: Found, encoding: int) -> RaiModel:
    """Read a model; the file of a backend that is not served stays where it is."""
    number = parts.unsigned()
    backend = BACKENDS[number] if number < len(BACKENDS) else f"number {number}"
    device = parts.text()
    tag = parts.text() if encoding == 0 else parts.string()
    batching = [parts.unsigned(), parts.unsigned(), parts.unsigned() if encoding >= 2 else 0]
    execution = execution_of(parts, found, (device, tag), batching)
    if backend != ONNX:
        return RaiModel(backend, execution)
    parts.skip_strings(NAMES_LIMIT)
    parts.skip_strings(NAMES_LIMIT)
    return RaiModel(backend, execution, parts.string() if encoding == 0 else file_of(parts))


def execution_of(parts: Parts, found: Found, words: tuple[bytes, bytes], batching: list[int]) -> Execution:
    """Return how a model was stored."""
    device, tag = words
    rows, least_rows, wait_ms = batching
    try:
        return Execution(
            key=text_of(found.key),
            db=found.db,
            device=device.decode("utf-8", "replace"),
            tag=text_of(tag),
            batch_rows=rows,
            min_batch_rows=least_rows,
            min_batch_wait_ms=wait_ms,
        )
    except ValueError as error:
        raise parts.unreadable("its key, device, tag or batch sizes are too large") from error


def file_of(parts: Parts) -> bytes:
    """Read a file that is cut into chunks."""
    size, chunks = parts.unsigned(), parts.unsigned()
    pieces, read = [], 0
    for _ in range(chunks):
        pieces.append(parts.string())
        read += len(pieces[-1])
        if read > size:
            break
    if read != size:
        raise parts.unreadable(f"its file has {read} bytes or more, it says {size}")
    return b"".join(pieces)
