"""Element types and shapes mean the same everywhere."""

import numpy as np
import pytest
from pydantic import ValidationError

from models.tensors import TensorSpec, elements, numpy_dtype


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float16", "float32", "float64"])
def test_stored_numbers_are_little_endian(dtype: str) -> None:
    assert numpy_dtype(dtype) == np.dtype(dtype).newbyteorder("<")


def test_text_is_kept_as_objects() -> None:
    assert numpy_dtype("string") == np.dtype(object)


@pytest.mark.parametrize(("shape", "count"), [((), 1), ((3,), 3), ((2, 3, 4), 24)])
def test_a_shape_has_the_product_of_its_sizes(shape: tuple[int, ...], count: int) -> None:
    assert elements(shape) == count


@pytest.mark.parametrize("shape", [(), ("batch",), (4, 3), ("batch", 0), ("?", "steps", 12)])
def test_a_dimension_is_a_number_or_a_name(shape: tuple[int | str, ...]) -> None:
    assert TensorSpec(name="x", dtype="float32", shape=shape).shape == shape


@pytest.mark.parametrize("shape", [(-1,), ("",), (2**41,), (1.5,), ("x" * 257,)])
def test_anything_else_is_no_dimension(shape: tuple[object, ...]) -> None:
    with pytest.raises(ValidationError):
        TensorSpec.model_validate({"name": "x", "dtype": "float32", "shape": shape})
