"""A tensor comes back from its string as it was, and no other string passes for one."""

import struct
from math import prod
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from models.tensor_strings import (
    AXES_LIMIT,
    CODES,
    DIM_LIMIT,
    DTYPES,
    ELEMENTS_LIMIT,
    ITEM_BYTES,
    MAGIC,
    POINTER,
    TRAILER_LIMIT_BYTES,
    StoredTensor,
    array_of,
    glimpsed,
    numpy_of,
    of_array,
    pack,
    trailer_of,
    unpack,
)
from tests.data.make_contract import FOLDER, TENSORS

NUMERIC = [dtype for dtype in DTYPES if dtype != "STRING"]
SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
TEXTS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=4)


def packed(payload: bytes, dtype: int, *dims: int) -> bytes:
    """A string as the page describes it."""
    return payload + struct.pack(f"<{len(dims)}IBB", *dims, len(dims), dtype) + MAGIC


def floats(*shape: int) -> StoredTensor:
    return StoredTensor("FLOAT", shape, b"\x07" * (4 * prod(shape)))


def test_the_layout_is_numbers_then_dims_axes_type_and_magic() -> None:
    tensor = of_array(np.array([[1, -2, 3]], np.int16))

    assert tensor == StoredTensor("INT16", (1, 3), b"\x01\x00\xfe\xff\x03\x00")
    assert pack(tensor) == tensor.data + b"\x01\0\0\0\x03\0\0\0" + b"\x02" + b"\x03" + b"\x93TNSR\x01"


def test_the_codes_never_move() -> None:
    words = ["FLOAT", "DOUBLE", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "BOOL", "STRING"]

    assert [*DTYPES] == words
    assert {word: CODES[word] for word in words} == {word: at for at, word in enumerate(words)}


@pytest.mark.parametrize("name", TENSORS)
def test_a_golden_tensor_is_read_and_written_again_byte_for_byte(name: str) -> None:
    stored = (FOLDER / f"tensor-{name}.bin").read_bytes()

    tensor = unpack(stored)

    assert tensor is not None
    np.testing.assert_array_equal(array_of(tensor), TENSORS[name])
    assert pack(tensor) == pack(of_array(TENSORS[name])) == stored


@given(data=st.data(), dtype=st.sampled_from(NUMERIC), shape=SHAPES)
def test_numbers_of_any_type_and_shape_come_back_as_they_were(
    data: st.DataObject, dtype: str, shape: tuple[int, ...]
) -> None:
    array = data.draw(arrays.arrays(numpy_of(dtype), shape))

    read = unpack(pack(of_array(array)))

    assert read is not None
    assert (read.dtype, read.shape) == (dtype, shape)
    again = array_of(read)
    assert again.dtype == numpy_of(dtype)
    np.testing.assert_array_equal(again, array)


@given(data=st.data(), shape=SHAPES)
def test_texts_come_back_as_they_were(data: st.DataObject, shape: tuple[int, ...]) -> None:
    texts = data.draw(st.lists(TEXTS, min_size=prod(shape), max_size=prod(shape)))
    array = np.empty(len(texts), object)
    array[:] = texts

    read = unpack(pack(of_array(array.reshape(shape))))

    assert read is not None
    assert (read.dtype, read.shape) == ("STRING", shape)
    assert array_of(read).reshape(-1).tolist() == texts


@given(st.lists(st.binary(max_size=5).filter(lambda text: b"\0" not in text), min_size=1, max_size=5))
def test_bytes_that_are_no_text_are_kept(texts: list[bytes]) -> None:
    stored = StoredTensor("STRING", (len(texts),), b"".join(text + b"\0" for text in texts))

    array = array_of(stored)

    assert [text.encode("utf-8", "surrogateescape") for text in array] == texts
    assert of_array(array) == stored


@given(
    payload=st.binary(max_size=40),
    code=st.integers(0, 12),
    dims=st.lists(st.integers(0, 5) | st.integers(0, DIM_LIMIT), max_size=4),
)
@example(payload=b"", code=9, dims=[0])
@example(payload=b"\0" * 3, code=9, dims=[3])
@example(payload=b"a\0b", code=9, dims=[1])
@example(payload=b"", code=0, dims=[DIM_LIMIT] * 3 + [0])
def test_a_trailer_counts_only_where_the_payload_fits_it(payload: bytes, code: int, dims: list[int]) -> None:
    value = packed(payload, code, *dims)
    if code < len(DTYPES) and DTYPES[code] == "STRING":
        fits = payload.count(b"\0") == prod(dims) and payload[-1:] in {b"", b"\0"}
    else:
        fits = code < len(DTYPES) and len(payload) == prod(dims) * ITEM_BYTES[DTYPES[code]]
    fits &= prod(max(dim, 1) for dim in dims) <= ELEMENTS_LIMIT

    read = unpack(value)

    if fits:
        assert read == StoredTensor(DTYPES[code], tuple(dims), payload)
        assert pack(read) == value
    elif len(value) % 4 or payload.startswith(POINTER):
        assert read is None
    else:
        assert read == StoredTensor("FLOAT", (len(value) // 4,), value)


@given(st.binary(max_size=300))
@example(MAGIC)
@example(b"\x00\x00" + MAGIC)
@example(b"\xff\x00" + MAGIC)
@example(b"\xff" * 2000 + b"\xff\x00" + MAGIC)
@example(b"\x00" * 4 + b"\x00\x00" + MAGIC)
def test_any_string_is_a_tensor_or_is_none_and_says_so_without_a_fault(value: bytes) -> None:
    read = unpack(value)

    if read is None:
        assert len(value) % 4 or not value or value.startswith(POINTER)
    else:
        assert value.startswith(read.data)
        assert array_of(read).shape == read.shape


def looked_at(value: bytes) -> tuple[str, tuple[int, ...]] | None:
    return glimpsed(len(value), value[: len(POINTER)], value[-TRAILER_LIMIT_BYTES:])


@given(
    st.binary(max_size=300)
    | st.builds(packed, st.binary(max_size=9), st.integers(0, 10), st.integers(0, 4), st.integers(0, 4))
    | st.binary(max_size=300).map(POINTER.__add__)
)
def test_both_ends_of_a_string_tell_what_all_of_it_tells(value: bytes) -> None:
    tensor, told = unpack(value), looked_at(value)

    if tensor is None:
        assert told is None
    else:
        assert told == (tensor.dtype, tensor.shape) or (told is None and value[-7:-6] == b"\x09")


@pytest.mark.parametrize(
    "tensor", [floats(), floats(3, 200), floats(*[1] * AXES_LIMIT), StoredTensor("BOOL", (0,), b"")]
)
def test_both_ends_of_a_tensor_of_numbers_are_enough(tensor: StoredTensor) -> None:
    assert looked_at(pack(tensor)) == (tensor.dtype, tensor.shape)
    assert looked_at(pack(StoredTensor("STRING", (1,), b"a\0"))) is None


def test_a_raw_vector_is_a_float_tensor_of_one_axis() -> None:
    raw = np.array([1.5, -2], "<f4").tobytes()

    assert unpack(raw) == StoredTensor("FLOAT", (2,), raw)
    assert unpack(raw[:-1]) is None
    assert unpack(b"") is None


def test_what_stands_for_a_model_is_no_tensor() -> None:
    pointer = POINTER + b'"m","version":1}'
    assert [unpack(pointer + b" " * more) for more in range(4)] == [None] * 4

    packed_anyway = pack(StoredTensor("UINT8", (len(pointer),), pointer))
    assert unpack(packed_anyway) is not None


@pytest.mark.parametrize("axes", [0, 1, 63, AXES_LIMIT])
def test_a_tensor_has_up_to_64_axes(axes: int) -> None:
    tensor = floats(*[1] * axes)

    value = pack(tensor)

    assert unpack(value) == tensor
    assert len(value) == 4 + 4 * axes + 8 <= 4 + TRAILER_LIMIT_BYTES
    assert array_of(tensor).ndim == axes


@pytest.mark.parametrize(
    "shape", [(1,) * 65, (1, -1), (DIM_LIMIT + 1, 0), (1 << 20, 0, 1 << 20), (1 << 16, (1 << 16) + 1)]
)
def test_a_shape_that_no_trailer_holds_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match=rf"shape \[{shape[0]}, .* cannot be stored; a tensor has at most 64 axes"
    ):
        trailer_of("FLOAT", shape)
    assert trailer_of("FLOAT", (1 << 16, 1 << 16)) == packed(b"", 0, 1 << 16, 1 << 16)


def test_a_shape_that_numpy_has_not_is_no_tensor() -> None:
    assert unpack(packed(b"\0", CODES["INT8"], *[1] * 65)) is None
    assert unpack(packed(b"", CODES["INT8"], DIM_LIMIT, 2, 0)) == StoredTensor(
        "FLOAT", (5,), packed(b"", 2, DIM_LIMIT, 2, 0)
    )


def test_numbers_are_views_that_cannot_be_written() -> None:
    array = array_of(floats(2, 3))

    assert not array.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1


def test_any_byte_but_0_is_true() -> None:
    assert array_of(StoredTensor("BOOL", (4,), b"\x00\x01\x02\xff")).tolist() == [False, True, True, True]


@pytest.mark.parametrize("order", ["<", ">", "="])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "i4", "i8", "u2"])
def test_arrays_of_any_byte_order_and_layout_are_stored_alike(order: str, dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(order + dtype)

    assert of_array(array.T.copy().T) == of_array(array) == of_array(array.astype("<" + dtype))


@pytest.mark.parametrize(
    "array", [np.array("é"), np.array(["é"]), np.array([b"\xc3\xa9"]), np.array(["é"], object)]
)
def test_arrays_of_texts_of_any_kind_are_strings(array: Any) -> None:
    stored = of_array(array)

    assert (stored.dtype, stored.data) == ("STRING", "é\0".encode())
    assert stored.shape == array.shape


@pytest.mark.parametrize(
    "dtype", ["float16", "uint32", "uint64", "complex64", "datetime64[s]", ml_dtypes.bfloat16]
)
def test_a_type_that_redisai_has_not_is_refused_by_name(dtype: Any) -> None:
    with pytest.raises(ValueError, match=r"no tensors of .*; cast to one of FLOAT, DOUBLE"):
        of_array(np.zeros(2, dtype))


def test_a_text_with_a_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="holds a NUL"):
        of_array(np.array(["a", "b\0c"], object))
