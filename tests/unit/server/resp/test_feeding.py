"""What does not fit a graph is told in ONNX Runtime's own words: they are compared with those it says here."""

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto

from models.tensor_strings import DTYPES, StoredTensor, array_of, numpy_of
from server.resp.commands.feeding import feeds_of
from server.resp.refusals import Refused
from tests.graphs import FLOAT, HALF, Shape, bundle, passed

NEWER, OLDER = "the inputs/outputs or the model", "the inputs or the model"  # 1.32 and 1.14


def refusal(onnx: bytes, tensor: StoredTensor) -> str:
    with pytest.raises(Refused) as caught:
        feeds_of(bundle(onnx).manifest, "whole", [tensor])
    return str(caught.value)


def said(onnx: bytes, tensor: StoredTensor) -> str:
    """What ONNX Runtime says of a tensor, in one line."""
    session = ort.InferenceSession(onnx)
    with pytest.raises(Exception, match="INVALID_ARGUMENT") as caught:  # its own kinds are private
        session._sess.run(["y"], {"x": array_of(tensor)}, None)  # noqa: SLF001  # its wrapper checks the rank itself
    return str(caught.value).partition("INVALID_ARGUMENT : ")[2].replace("\n", " ").replace(NEWER, OLDER)


def of_zeros(dtype: str, shape: tuple[int, ...]) -> StoredTensor:
    size = max(1, numpy_of(dtype).itemsize) if dtype != "STRING" else 1
    return StoredTensor(dtype, shape, bytes(size * int(np.prod(shape))))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [FLOAT, TensorProto.DOUBLE, HALF, TensorProto.UINT32, TensorProto.UINT16])
def test_another_type_is_told_as_onnx_runtime_tells_it(dtype: str, kind: int) -> None:
    onnx, tensor = passed(kind, ["rows"]), of_zeros(dtype, (2,))
    if (dtype, kind) in {("FLOAT", FLOAT), ("DOUBLE", TensorProto.DOUBLE), ("UINT16", TensorProto.UINT16)}:
        assert feeds_of(bundle(onnx).manifest, "whole", [tensor])["x"].shape == (2,)
    elif kind in (HALF, TensorProto.UINT32):
        assert "which is no type of a tensor here" in refusal(onnx, tensor)
    else:
        assert refusal(onnx, tensor) == said(onnx, tensor)


@pytest.mark.parametrize(
    ("wanted", "shape"),
    [
        (["rows", 2], (2,)),
        (["rows", 2], (1, 2, 1)),
        (["rows", 2], ()),
        (["rows", 2], (4, 3)),
        ([1, 2, 3], (1, 3, 4)),
        ([2, 2], (3, 3)),
        (["rows", "steps", 3], (1, 9, 2)),
    ],
)
def test_another_shape_is_told_as_onnx_runtime_tells_it(wanted: Shape, shape: tuple[int, ...]) -> None:
    onnx, tensor = passed(FLOAT, wanted), of_zeros("FLOAT", shape)

    assert refusal(onnx, tensor) == said(onnx, tensor)
