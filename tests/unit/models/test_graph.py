"""An ONNX file is read for its signature, or refused by name; nothing in it is ever run or followed."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, SparseTensorProto, TensorProto, helper

from models.errors import BadModelFile, ModelTooLarge
from models.graph import DTYPES, inspect_graph
from models.tensors import TensorSpec
from tests.unit.models.graphs import FLOAT, model, onnx_bytes, value


def refusal(data: bytes) -> str:
    with pytest.raises(BadModelFile) as caught:
        inspect_graph(data)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    return str(caught.value)


def test_the_signature_of_a_file_is_what_it_says_of_itself() -> None:
    data = onnx_bytes(
        inputs=[value("x", ("batch", 3)), value("n", ("batch",), TensorProto.INT64)],
        outputs=[value("y", (None, 2)), value("z", (), TensorProto.STRING)],
        producer_name="trainer",
        producer_version="1.2",
    )

    found = inspect_graph(data)

    assert found.inputs == (
        TensorSpec(name="x", dtype="float32", shape=("batch", 3)),
        TensorSpec(name="n", dtype="int64", shape=("batch",)),
    )
    assert found.outputs == (
        TensorSpec(name="y", dtype="float32", shape=("?", 2)),
        TensorSpec(name="z", dtype="string", shape=()),
    )
    assert (found.opset, found.ir_version, found.producer) == ({"": 20}, 10, "trainer 1.2")


@pytest.mark.parametrize("number", sorted(DTYPES))
def test_every_supported_element_type_is_read(number: int) -> None:
    found = inspect_graph(onnx_bytes(inputs=[value("x", (1,), number)]))

    assert found.inputs[0].dtype == DTYPES[number]


@pytest.mark.parametrize(
    ("size", "read"), [(-1, "?"), (0, 0), (7, 7), ("steps", "steps"), (None, "?"), ("", "?")]
)
def test_a_dimension_is_its_number_its_name_or_free(size: Any, read: object) -> None:
    found = inspect_graph(onnx_bytes(inputs=[value("x", ("batch", size))]))

    assert found.inputs[0].shape == ("batch", read)


def test_weights_listed_among_the_inputs_are_no_inputs() -> None:
    weight = helper.make_tensor("w", FLOAT, [3], [1.0, 2.0, 3.0])

    found = inspect_graph(onnx_bytes(inputs=[value("x"), value("w", (3,))], initializer=[weight]))

    assert [spec.name for spec in found.inputs] == ["x"]


def test_both_names_of_the_standard_domain_are_one() -> None:
    assert inspect_graph(onnx_bytes(opsets=[("ai.onnx", 20)])).opset == {"": 20}


@pytest.mark.parametrize("data", [b"", b"\x00", b"not a model", b"\xff" * 100, b"PK\x03\x04zip", b"{}" * 50])
def test_bytes_that_are_no_model_are_told_with_how_to_make_one(data: bytes) -> None:
    assert "these bytes are no ONNX model" in refusal(data)


def test_a_file_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(ModelTooLarge, match="has 11 bytes, the limit is 10; raise INSITU_MODEL_LIMIT_BYTES"):
        inspect_graph(b"x" * 11, limit_bytes=10)


@pytest.mark.parametrize(
    ("opsets", "fault"),
    [
        ([("", 6)], "operator set ai.onnx 6, supported are 7 to 26; export it again with opset_version=26"),
        ([("", 27)], "operator set ai.onnx 27"),
        ([("", 20), ("ai.onnx.ml", 99)], "operator set ai.onnx.ml 99"),
        ([("", 20), ("com.microsoft", 2)], "operator set com.microsoft 2"),
    ],
)
def test_an_operator_set_that_was_not_tried_is_named(opsets: list[tuple[str, int]], fault: str) -> None:
    assert fault in refusal(onnx_bytes(opsets=opsets))


def test_a_domain_that_no_node_uses_does_no_harm() -> None:
    assert inspect_graph(onnx_bytes(opsets=[("", 20), ("my.ops", 3)])).opset == {"": 20, "my.ops": 3}


@pytest.mark.parametrize("version", [0, 2, 14])
def test_a_format_version_that_was_not_tried_is_named(version: int) -> None:
    assert f"IR) version {version}, supported are 3 to 13" in refusal(onnx_bytes(ir_version=version))


def custom(name: str = "Mine", **attributes: Any) -> Any:
    return helper.make_node(name, ["x"], ["y"], domain="my.ops", **attributes)


def branch(*nodes: Any, **facts: Any) -> Any:
    """An If node with these nodes in one of its graphs."""
    inner = helper.make_graph(list(nodes), "inner", [], [value("y")], **facts)
    return helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)


def function(*nodes: Any, name: str = "F") -> Any:
    return helper.make_function("own", name, ["x"], ["y"], list(nodes), [helper.make_opsetid("", 20)])


@pytest.mark.parametrize(
    "file",
    [
        model(nodes=[custom()]),
        model(nodes=[branch(custom())]),
        model(nodes=[branch(branch(custom()))]),
        model(functions=[function(custom())]),
        model(functions=[function(branch(custom()))]),
    ],
    ids=["graph", "branch", "branch of a branch", "function", "branch in a function"],
)
def test_a_custom_operator_is_named_wherever_it_hides(file: ModelProto) -> None:
    assert "the model uses custom operators: my.ops:Mine; only those of ONNX" in refusal(
        file.SerializeToString()
    )


def test_many_custom_operators_are_listed_in_bounds() -> None:
    text = refusal(onnx_bytes(nodes=[custom(f"Op{number:03}") for number in range(100)]))

    assert "my.ops:Op007 and 92 more" in text


def test_a_function_of_the_models_own_is_no_custom_operator() -> None:
    call = helper.make_node("F", ["x"], ["y"], domain="own")
    body = function(helper.make_node("Identity", ["x"], ["y"]))

    file = model(nodes=[call], functions=[body], opsets=[("", 20), ("own", 1)])

    assert inspect_graph(file.SerializeToString()).opset == {"": 20, "own": 1}


def outside(name: str = "w") -> TensorProto:
    tensor = TensorProto(name=name, data_type=FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def sneaky() -> TensorProto:
    """External data without the flag that says so."""
    tensor = outside()
    tensor.data_location = TensorProto.DEFAULT
    return tensor


def sparse(values: TensorProto) -> SparseTensorProto:
    indices = helper.make_tensor("i", TensorProto.INT64, [3], [0, 1, 2])
    return SparseTensorProto(values=values, indices=indices, dims=[9])


def constant(**attributes: Any) -> Any:
    return helper.make_node("Constant", [], ["y"], **attributes)


@pytest.mark.parametrize(
    "file",
    [
        model(initializer=[outside()]),
        model(initializer=[sneaky()]),
        model(sparse_initializer=[sparse(outside())]),
        model(nodes=[constant(value=outside())]),
        model(nodes=[constant(values=[outside()])]),
        model(nodes=[constant(sparse_value=sparse(outside()))]),
        model(nodes=[constant(sparse_values=[sparse(outside())])]),
        model(nodes=[branch(constant(value=outside()))]),
        model(nodes=[branch(initializer=[outside()])]),
        model(functions=[function(constant(value=outside()))]),
        model(functions=[function(branch(initializer=[outside()]))]),
    ],
    ids=["weight", "without the flag", "sparse weight", "attribute", "attribute list", "sparse attribute",
         "sparse attribute list", "branch", "weight of a branch", "function", "branch in a function"],
)  # fmt: skip
def test_weights_in_another_file_are_named_wherever_they_hide(file: ModelProto) -> None:
    assert "weight 'w' lies in another file (external data); store it inside" in refusal(
        file.SerializeToString()
    )


@pytest.mark.parametrize("part", ["inputs", "outputs"])
def test_a_graph_without_inputs_or_outputs_serves_nothing(part: str) -> None:
    assert "the graph has no input or no output" in refusal(onnx_bytes(**{part: []}))


@pytest.mark.parametrize("part", ["inputs", "outputs"])
def test_two_tensors_of_one_name_are_refused(part: str) -> None:
    assert "have one name: y, y" in refusal(onnx_bytes(**{part: [value("y"), value("y")]}))


def test_an_input_may_be_an_output_as_well() -> None:
    found = inspect_graph(onnx_bytes(outputs=[value("x"), value("y")]))

    assert [spec.name for spec in found.outputs] == ["x", "y"]


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (TensorProto.COMPLEX64, "COMPLEX64"),
        (0, "UNDEFINED"),
        (999, "999"),
    ],
)
def test_an_element_type_that_is_not_supported_is_named(number: int, name: str) -> None:
    text = refusal(onnx_bytes(inputs=[value("x", (1,), number)]))

    assert f"input 'x' has element type {name}; supported: bool, int8" in text


def test_an_input_without_a_shape_is_told_with_the_cure() -> None:
    assert "input 'x' has no shape; run onnx.shape_inference.infer_shapes" in refusal(
        onnx_bytes(inputs=[value("x", None)])
    )


def test_an_output_that_is_no_tensor_is_told_with_the_cure() -> None:
    sequence = helper.make_tensor_sequence_value_info("y", FLOAT, ("batch",))
    untyped = helper.make_empty_tensor_value_info("y")
    untyped.ClearField("type")

    assert "output 'y' is a sequence_type, not a tensor; with skl2onnx" in refusal(
        onnx_bytes(outputs=[sequence])
    )
    assert "output 'y' is a value without a type, not a tensor" in refusal(onnx_bytes(outputs=[untyped]))


@pytest.mark.parametrize("size", [2**41, "n" * 257])
def test_a_dimension_beyond_reason_is_refused(size: Any) -> None:
    assert "input 'x': shape.1" in refusal(onnx_bytes(inputs=[value("x", ("batch", size))]))


def test_a_name_that_is_no_text_is_refused() -> None:
    data = onnx_bytes(inputs=[value("XXXX")]).replace(b"XXXX", b"\xff\xfe\xfd\xfc")

    assert "name: should be text" in refusal(data)


GOOD = onnx_bytes(
    nodes=[
        constant(value=helper.make_tensor("t", FLOAT, [1], [1.0])),
        branch(helper.make_node("Identity", ["x"], ["y"])),
    ],
    initializer=[helper.make_tensor("w", FLOAT, [1], [1.0])],
    functions=[function(helper.make_node("Identity", ["x"], ["y"]))],
)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_signature_or_a_named_refusal(data: bytes) -> None:
    read(data)


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.integers(0, len(GOOD)))
def test_a_damaged_file_is_a_signature_or_a_named_refusal(at: int, byte: int, cut: int) -> None:
    damaged = bytearray(GOOD)
    damaged[at] = byte

    read(bytes(damaged))
    read(bytes(damaged[:cut]))


def read(data: bytes) -> None:
    """Inspect, and let nothing but a named refusal pass."""
    with suppress(BadModelFile):
        inspect_graph(data)
