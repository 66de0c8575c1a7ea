"""A bundle composed from any ONNX file: its signature read, its view fitted, its answer worded."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from models.answers import AnswerSpec
from models.binding import bind
from models.bundle import Bundle
from models.errors import BadModelFile, listed, shown
from models.execution import Execution
from models.faults import explain
from models.features import FeatureView
from models.graph import MODEL_LIMIT_BYTES, GraphSummary, inspect_graph
from models.keys import check_name
from models.manifest import Manifest, Task
from models.tensors import FLOATS, TensorSpec


@dataclass(frozen=True, slots=True)
class Wording:
    """What the publisher says of a model beside its file.

    `labels` in the order of the output's columns; `task` and `output` are found where only one
    choice fits. `threshold`, `answer` and `execution` as the manifest has them.
    """

    features: FeatureView | None = None
    labels: Sequence[str] = ()
    task: Task | None = None
    output: str | None = None
    description: str = ""
    threshold: float | None = None
    answer: AnswerSpec | None = None
    execution: Execution | None = None


def compose_bundle(
    onnx: bytes, name: str, wording: Wording | None = None, limit_bytes: int = MODEL_LIMIT_BYTES
) -> Bundle:
    """Return the bundle of an ONNX file, ready to be published.

    Raises: BadName, ModelTooLarge, BadModelFile, BadFeatureView.
    """
    check_name(name)
    said = wording or Wording()
    graph = inspect_graph(onnx, limit_bytes)
    task = said.task or ("classification" if said.labels else "tensor")
    if task in ("classification", "multilabel") and not said.labels:
        raise BadModelFile(f"task {task} needs labels, in the order of the output's columns")
    if len(set(said.labels)) != len(said.labels):
        raise BadModelFile(f"a label is listed twice: {listed(said.labels)}")
    if said.output is not None:
        check_output(graph, said.output)
    output = None if task == "tensor" else said.output or choose_output(graph, said)
    if task == "classification":
        check_order(graph, said.labels, output)
    features = bind(said.features, graph.inputs) if said.features else None
    try:
        manifest = Manifest(
            name=name,
            description=said.description,
            task=task,
            labels=tuple(said.labels),
            output=output,
            threshold=said.threshold,
            answer=said.answer,
            inputs=graph.inputs,
            outputs=graph.outputs,
            features=features,
            opset=graph.opset,
            ir_version=graph.ir_version,
            producer=graph.producer,
            execution=said.execution,
        )
    except ValidationError as error:  # labels and the output named for them do not fit
        raise BadModelFile(explain(error)) from error
    return Bundle(manifest, onnx)


def check_output(graph: GraphSummary, name: str) -> None:
    """Stop on an output that is named and not there, whether or not the task words an answer from it.

    Raises: BadModelFile.
    """
    names = [spec.name for spec in graph.outputs]
    if name not in names:
        raise BadModelFile(f"the graph has no output {shown(name)!r}, it has {listed(names)}")


def check_order(graph: GraphSummary, labels: Sequence[str], output: str | None) -> None:
    """Stop on labels that a classifier of the graph has in another order: each column would be called another's.

    An output that is the class itself, as its text, has no columns to be called.

    Raises: BadModelFile.
    """
    said = tuple(labels)
    columns = any(spec.name == output and spec.dtype in FLOATS for spec in graph.outputs)
    other = next((names for names in graph.classes if sorted(names) == sorted(said)), said)
    if columns and other != said and said not in graph.classes:
        raise BadModelFile(
            f"labels {listed(said)} are not in the order of the output's columns: the graph itself calls them "
            f"{listed(other)}; give them in that order"
        )


def choose_output(graph: GraphSummary, said: Wording) -> str:
    """Return the output that the answer is worded from, where none was named.

    Raises: BadModelFile, when none or several would do.
    """
    fitting = [spec.name for spec in graph.outputs if fits(spec, len(said.labels))]
    if not fitting:
        shapes = "; ".join(f"{spec.name} is {spec.dtype} {list(spec.shape)}" for spec in graph.outputs)
        wanted = (
            f"{len(said.labels)} labels ({', '.join(said.labels[:8])})" if said.labels else "a value a row"
        )
        raise BadModelFile(
            f"no output of the graph fits {wanted}: {shapes}; name as many labels as it has columns"
        )
    if len(fitting) > 1:
        raise BadModelFile(
            f"say which output holds the answer with `output`; several fit: {', '.join(fitting)}"
        )
    return fitting[0]


def fits(spec: TensorSpec, labels: int) -> bool:
    """Whether an output can hold a value, or a probability a label."""
    if spec.dtype not in FLOATS or len(spec.shape) > 2:
        return False
    width = spec.shape[1] if len(spec.shape) == 2 else 1
    return isinstance(width, str) or width in (labels, 1)
