"""What an ONNX file says of itself: signature, operator sets, and why it may be refused.

Read with the `onnx` library, never run here. Refused: no ONNX at all, external data, operators
outside the sets below, versions this product was not tried with, inputs or outputs that are no
tensors. Constants: ONNX Runtime 1.32 and onnx 1.23, their release notes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import onnx
from google.protobuf.message import DecodeError
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    SparseTensorProto,
    TensorProto,
    TensorShapeProto,
    ValueInfoProto,
)
from pydantic import ValidationError

from models.errors import BadModelFile, ModelTooLarge, listed, shown
from models.faults import explain
from models.graph_outline import outline
from models.tensors import UNNAMED, Dtype, TensorSpec

MODEL_LIMIT_BYTES = (1 << 31) - 1  # protobuf's own limit for one message
OPSETS = {"": (7, 26), "ai.onnx.ml": (1, 5), "com.microsoft": (1, 1)}
IR_VERSIONS = (3, 13)
LARGE_BYTES = 8 << 20  # reading more than that at once holds every thread up for tens of milliseconds
NO_ONNX = "these bytes are no ONNX model"
DTYPES: dict[int, Dtype] = {
    TensorProto.BOOL: "bool",
    TensorProto.INT8: "int8",
    TensorProto.INT16: "int16",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
    TensorProto.UINT8: "uint8",
    TensorProto.UINT16: "uint16",
    TensorProto.UINT32: "uint32",
    TensorProto.UINT64: "uint64",
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
    TensorProto.STRING: "string",
}


@dataclass(frozen=True, slots=True)
class GraphSummary:
    """What a manifest takes over from an ONNX file."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    opset: dict[str, int]
    ir_version: int
    producer: str
    classes: tuple[tuple[str, ...], ...] = ()  # that classifiers in it name, in the order of their columns


def inspect_graph(data: bytes, limit_bytes: int = MODEL_LIMIT_BYTES) -> GraphSummary:
    """Read the signature of an ONNX file.

    Raises: ModelTooLarge; BadModelFile, naming what is wrong and the cure.
    """
    if len(data) > limit_bytes:
        raise ModelTooLarge(len(data), limit_bytes)
    return summary(parsed(data))


def summary(model: ModelProto) -> GraphSummary:
    """Check a parsed file and return its signature."""
    opset = {entry.domain: entry.version for entry in model.opset_import}
    opset = {("" if domain == "ai.onnx" else domain): v for domain, v in opset.items()}
    check_versions(opset, model.ir_version)
    check_no_external_data(model)
    check_operators(model)
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [read_value(value, "input") for value in graph.input if value.name not in weights]
    outputs = [read_value(value, "output") for value in graph.output]
    if not inputs or not outputs:
        raise BadModelFile("the graph has no input or no output, so there is nothing to serve")
    for names in ([spec.name for spec in inputs], [spec.name for spec in outputs]):
        if len(set(names)) < len(names):
            raise BadModelFile(f"two inputs or outputs of the graph have one name: {listed(sorted(names))}")
    producer = f"{model.producer_name} {model.producer_version}".strip()
    return GraphSummary(
        tuple(inputs), tuple(outputs), opset, model.ir_version, shown(producer), class_names(model)
    )


def parsed(data: bytes) -> ModelProto:
    """Parse and check the file's structure."""
    try:
        model = onnx.load_model_from_string(outline(data) if len(data) > LARGE_BYTES else data)
    except (DecodeError, ValueError) as error:
        raise BadModelFile(f"{NO_ONNX}; export one with torch.onnx.export, skl2onnx, tf2onnx, ...") from error
    if not model.opset_import or not model.graph.node:
        raise BadModelFile(f"{NO_ONNX}: no operator set or no node")
    return model


def check_versions(opset: dict[str, int], ir_version: int) -> None:
    """Refuse operator sets and formats that ONNX Runtime here was not tried with."""
    for domain, version in opset.items():
        if domain not in OPSETS:
            continue  # only matters when a node uses it: check_operators
        low, high = OPSETS[domain]
        if not low <= version <= high:
            raise BadModelFile(
                f"the model uses operator set {domain or 'ai.onnx'} {version}, "
                f"supported are {low} to {high}; export it again with opset_version={high} or convert "
                "it with onnx.version_converter",
                domain=domain or "ai.onnx",
                opset=version,
            )
    low, high = IR_VERSIONS
    if not low <= ir_version <= high:
        raise BadModelFile(
            f"the model has ONNX format (IR) version {ir_version}, supported are {low} to {high}; "
            "export it again with an older onnx package",
            ir_version=ir_version,
        )


def nodes(found: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """Walk nodes and those of the graphs inside them (If, Loop, Scan)."""
    for node in found:
        yield node
        for graph in inner_graphs(node):
            yield from nodes(graph.node)


def inner_graphs(node: NodeProto) -> Iterator[GraphProto]:
    """Walk the graphs that are attributes of a node."""
    for attribute in node.attribute:
        yield from (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs)


def every_node(model: ModelProto) -> Iterator[NodeProto]:
    """Walk every node, those of the model's own functions included."""
    yield from nodes(model.graph.node)
    for function in model.functions:
        yield from nodes(function.node)


def class_names(model: ModelProto) -> tuple[tuple[str, ...], ...]:
    """Return the texts by which each classifier of the graph calls its classes, in the order of their columns.

    Source: ai.onnx.ml, `classlabels_strings`; skl2onnx takes those of other models out of a tensor of texts.
    """
    texts = {
        tensor.name: tensor.string_data
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.STRING
    }
    found: list[Sequence[bytes]] = []
    for node in every_node(model):
        found += [named.strings for named in node.attribute if named.name == "classlabels_strings"]
        if node.op_type == "ArrayFeatureExtractor" and node.input and node.input[0] in texts:
            found.append(texts[node.input[0]])
    return tuple(tuple(name.decode(errors="replace") for name in names) for names in found if names)


def tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Walk every tensor stored in the file."""
    yield from weights_of(model.graph)
    for node in every_node(model):
        for graph in inner_graphs(node):
            yield from weights_of(graph)
        for attribute in node.attribute:
            yield from (*((attribute.t,) if attribute.HasField("t") else ()), *attribute.tensors)
            sparse = (attribute.sparse_tensor,) if attribute.HasField("sparse_tensor") else ()
            yield from dense_parts((*sparse, *attribute.sparse_tensors))


def weights_of(graph: GraphProto) -> Iterator[TensorProto]:
    """Walk the weights of one graph."""
    yield from graph.initializer
    yield from dense_parts(graph.sparse_initializer)


def dense_parts(found: Iterable[SparseTensorProto]) -> Iterator[TensorProto]:
    """Walk the values and places of sparse tensors."""
    for sparse in found:
        yield from (sparse.values, sparse.indices)


def check_no_external_data(model: ModelProto) -> None:
    """Refuse weights that lie in another file: it would be a file of the server's."""
    for tensor in tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise BadModelFile(
                f"weight {shown(tensor.name)!r} lies in another file (external data); store it inside: "
                "onnx.save(onnx.load(path), out), or torch.onnx.export(..., external_data=False)",
                tensor=shown(tensor.name),
            )


def check_operators(model: ModelProto) -> None:
    """Refuse operators that plain ONNX Runtime does not have."""
    own = {(function.domain, function.name) for function in model.functions}
    custom = {
        f"{node.domain}:{node.op_type}"
        for node in every_node(model)
        if node.domain not in (*OPSETS, "ai.onnx") and (node.domain, node.op_type) not in own
    }
    if custom:
        raise BadModelFile(
            f"the model uses custom operators: {listed(sorted(custom))}; only those of ONNX, ai.onnx.ml and "
            "com.microsoft are run",
            operators=sorted(custom)[:8],
        )


def read_value(value: ValueInfoProto, role: str) -> TensorSpec:
    """Return one input or output; a dimension without a number keeps its name."""
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise BadModelFile(
            f"{role} {shown(value.name)!r} is a {kind or 'value without a type'}, not a tensor"
            + ("; with skl2onnx export with options={'zipmap': False}" if kind == "sequence_type" else "")
        )
    tensor = value.type.tensor_type
    if tensor.elem_type not in DTYPES:
        known = {number: name for name, number in TensorProto.DataType.items()}
        raise BadModelFile(
            f"{role} {shown(value.name)!r} has element type {known.get(tensor.elem_type, tensor.elem_type)}; "
            f"supported: {', '.join(DTYPES.values())}"
        )
    if not tensor.HasField("shape"):
        raise BadModelFile(
            f"{role} {shown(value.name)!r} has no shape; run onnx.shape_inference.infer_shapes and export it"
        )
    shape = [dimension(dim) for dim in tensor.shape.dim]
    try:
        return TensorSpec(name=value.name, dtype=DTYPES[tensor.elem_type], shape=tuple(shape))
    except ValidationError as error:
        raise BadModelFile(f"{role} {shown(value.name)!r}: {explain(error)}") from error


def dimension(dim: TensorShapeProto.Dimension) -> int | str:
    """Return the size of a dimension, or its name; some exporters write -1 for one that is free."""
    if dim.HasField("dim_value") and dim.dim_value >= 0:
        return int(dim.dim_value)
    return dim.dim_param or UNNAMED
