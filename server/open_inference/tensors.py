"""Tensors of the Open Inference Protocol <-> numpy: shapes first, then values; nothing is allocated on a promise."""

import struct
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from models.errors import BadRequest, shown
from models.tensors import Tensor, is_float, numpy_dtype
from server.inference.tensors import SENT_NUMBERS, kinds_in, leaves

MOST_AXES = 64  # numpy's own limit
MOST_ELEMENTS = 1 << 40  # no request carries so many, and numpy counts no further than 64 bits
LENGTH_BYTES = 4  # before each element of BYTES, little-endian
Buffer = bytes | bytearray | memoryview


def shape_of(name: str, shape: object) -> tuple[int, ...]:
    """Return a shape that a request gives.

    Raises: BadRequest, naming the dimension, its value and the cure.
    """
    if not isinstance(shape, Sequence) or isinstance(shape, str | bytes):
        raise BadRequest(
            f"input {shown(name)!r} has no shape; send a list such as [1, 32]", tensor=shown(name)
        )
    if len(shape) > MOST_AXES:
        raise BadRequest(f"input {shown(name)!r} has {len(shape)} axes; a tensor has at most {MOST_AXES}")
    for dim in shape:
        if type(dim) is not int or dim < 0:
            raise BadRequest(
                f"input {shown(name)!r} has the dimension {shown(dim)}; a dimension is a whole number from 0",
                tensor=shown(name),
            )
    if prod(max(dim, 1) for dim in shape) > MOST_ELEMENTS:
        raise BadRequest(
            f"input {shown(name)!r} has shape {shown(list(shape))}, more elements than any request carries",
            tensor=shown(name),
        )
    return tuple(shape)


def of_bytes(name: str, dtype: str, shape: tuple[int, ...], data: Buffer) -> Tensor:
    """Return a tensor of raw little-endian bytes, in place: it shares their memory where that is aligned.

    Raises: BadRequest, another number of bytes than the shape has elements; texts that are cut off or no UTF-8.
    """
    count = prod(shape)
    if dtype == "string":
        return of_texts(name, count, data).reshape(shape)
    kind = numpy_dtype(dtype)
    wanted = count * kind.itemsize
    if len(data) != wanted:
        raise BadRequest(
            f"input {shown(name)!r} has {len(data)} bytes; shape {list(shape)} of {kind.itemsize} bytes each "
            f"takes {wanted}",
            tensor=shown(name),
        )
    if dtype == "bool":
        return np.frombuffer(data, np.uint8).astype(bool).reshape(shape)  # any byte but 0 is true
    tensor = np.frombuffer(data, kind).reshape(shape)
    return tensor if tensor.flags.aligned else tensor.copy()


def of_texts(name: str, count: int, data: Buffer) -> Tensor:
    """Return texts that are each preceded by their length in bytes.

    Shape: (count,), objects.
    Raises: BadRequest.
    """
    if count * LENGTH_BYTES > len(data):
        raise BadRequest(
            f"input {shown(name)!r} has {len(data)} bytes, too few for {count} texts with {LENGTH_BYTES} bytes "
            "of length each",
            tensor=shown(name),
        )
    texts = np.empty(count, object)
    at, size = 0, len(data)
    for row in range(count):
        try:
            (length,) = struct.unpack_from("<I", data, at)
        except struct.error:
            raise cut_off(name, row, at, size) from None
        at += LENGTH_BYTES
        if length > size - at:
            raise cut_off(name, row, at, size, length)
        texts[row] = text_of(name, row, bytes(data[at : at + length]))
        at += length
    if at != size:
        raise BadRequest(
            f"input {shown(name)!r} has {size - at} bytes after its {count} texts; the shape and the bytes disagree",
            tensor=shown(name),
        )
    return texts


def cut_off(name: str, row: int, at: int, size: int, length: int | None = None) -> BadRequest:
    """Return the error of texts that end too early."""
    said = "its length is cut off" if length is None else f"it is said to have {length} bytes"
    return BadRequest(
        f"input {shown(name)!r}: element {row} is not all there: {said}, {max(0, size - at)} follow",
        tensor=shown(name),
    )


def text_of(name: str, row: int, data: bytes) -> str:
    """Return one text.

    Raises: BadRequest, it is no UTF-8: ONNX Runtime knows texts only.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(
            f"input {shown(name)!r}: element {row} is no UTF-8 ({error.reason} at byte {error.start}), "
            "and a network takes texts only",
            tensor=shown(name),
        ) from error


def of_list(name: str, dtype: str, shape: tuple[int, ...], data: object) -> Tensor:
    """Return a tensor of JSON values, flat or nested as the shape is.

    Raises: BadRequest, another count than the shape has, another nesting, a value that is none of the type.
    """
    if not isinstance(data, list):
        raise BadRequest(
            f"input {shown(name)!r} has no data; send a list of its values, or bytes with binary_data_size",
            tensor=shown(name),
        )
    count = prod(shape)
    if dtype != "string":
        check_kinds(name, dtype, data)
    try:
        parsed: Tensor = np.array(data, object if dtype == "string" else None)
    except (ValueError, OverflowError) as error:
        raise BadRequest(
            f"input {shown(name)!r} is ragged: its lists differ in length", tensor=shown(name)
        ) from error
    if dtype == "uint64" and parsed.dtype.kind == "f":
        parsed = exact(parsed, data)
    if parsed.size != count:
        raise BadRequest(
            f"input {shown(name)!r} has {parsed.size} values, shape {shown(list(shape))} takes {count}",
            tensor=shown(name),
        )
    nested = shape if count else shape[: parsed.ndim]  # lists without values end where there are none
    if parsed.ndim > 1 and parsed.shape != nested:
        raise BadRequest(
            f"input {shown(name)!r} nests its values as {list(parsed.shape)}, its shape is {list(shape)}; "
            "send them flat, or nested as the shape says",
            tensor=shown(name),
        )
    return values_of(name, dtype, parsed.reshape(-1)).reshape(shape)


def check_kinds(name: str, dtype: str, data: list[Any]) -> None:
    """Refuse values that are no numbers, truth values among numbers too; of lists that are ragged numpy tells.

    Raises: BadRequest, naming the first.
    """
    kinds = kinds_in(data)
    if not kinds <= SENT_NUMBERS or (dtype != "bool" and bool in kinds):
        wanted = (bool, int, float) if dtype == "bool" else (int, float)
        for one in leaves(data):
            if type(one) not in wanted:
                raise refused(name, dtype, one)


def exact(parsed: Tensor, data: list[Any]) -> Tensor:
    """Return whole numbers as they were sent, which numpy made floats: it does so with some beyond 63 bits."""
    whole: Tensor = np.array(data, object)
    fit = all(type(one) is int and 0 <= one < 1 << 64 for one in whole.reshape(-1).tolist())
    return whole.astype(numpy_dtype("uint64")) if fit else parsed


def values_of(name: str, dtype: str, parsed: Tensor) -> Tensor:
    """Cast JSON values to a type, none rounded, cut off or lost.

    Shape:  (values,).
    Raises: BadRequest, naming the first that would be.
    """
    if not parsed.size:
        return parsed.astype(numpy_dtype(dtype))
    if dtype == "string":
        wrong = next((one for one in parsed.tolist() if not isinstance(one, str)), None)
        if wrong is not None:
            raise refused(name, dtype, wrong)
        return parsed
    fitting = "b" if dtype == "bool" else "iuf" if "float" in dtype else "iu"
    if parsed.dtype.kind not in fitting and not (dtype == "bool" and parsed.dtype.kind in "iu"):
        mistaken = [one for one in parsed.tolist() if not suits(dtype, one)] or parsed.tolist()
        raise refused(name, dtype, next((one for one in mistaken if not is_whole(one)), mistaken[0]))
    with np.errstate(over="ignore", invalid="ignore"):
        cast = parsed.astype(numpy_dtype(dtype))
    lost = ~np.isfinite(cast) if is_float(cast.dtype) else cast != parsed
    if lost.any() and is_float(cast.dtype):
        lost &= np.isfinite(parsed)  # what was sent so is itself
    if lost.any():
        raise refused(name, dtype, parsed[int(np.argmax(lost))].item())
    return cast


def suits(dtype: str, value: object) -> bool:
    """Whether a JSON value is of a kind that a type takes."""
    if isinstance(value, bool) or dtype == "bool":
        return isinstance(value, bool) and dtype == "bool"
    return isinstance(value, int) or (isinstance(value, float) and "float" in dtype)


def is_whole(value: object) -> bool:
    """Whether a value is a float beside integers that became floats with it."""
    return isinstance(value, float) and value.is_integer()


def refused(name: str, dtype: str, value: object) -> BadRequest:
    """Return the error of a value that is none of the type."""
    return BadRequest(
        f"input {shown(name)!r} holds {shown(value)!r}, which is no finite {dtype}"
        if "float" in dtype
        else f"input {shown(name)!r} holds {shown(value)!r}, which is no {dtype}",
        tensor=shown(name),
    )


def to_bytes(tensor: Tensor) -> bytes:
    """Return the raw form of a tensor; texts each after their length."""
    if tensor.dtype.kind in "OSU":
        return b"".join(lengthened(one) for one in tensor.reshape(-1).tolist())
    return tensor.tobytes()


def lengthened(text: Any) -> bytes:
    """Return one text after its length."""
    data = text if isinstance(text, bytes) else str(text).encode("utf-8", "surrogatepass")
    return len(data).to_bytes(LENGTH_BYTES, "little") + data
