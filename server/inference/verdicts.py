"""Verdict: what running a bundle once shows, and why it is refused when it is.

It judges in the process it is called in; `trials` calls it where nothing can break.
"""

import json
import re
from dataclasses import asdict, dataclass

import numpy as np

from models.bundle import Bundle
from models.manifest import Manifest
from models.tensors import Tensor
from server.inference.errors import ModelNotLoadable, RunFailed
from server.inference.memory import heap_bytes
from server.inference.samples import Rows, try_padding, try_rows, zeros
from server.inference.sessions import Session

CHOSEN_KINDS = "iuOU"  # numpy: integers and text, the class itself
NUMBER_KINDS = "fiu"
SUM_TOLERANCE = 0.01
MEMORY = re.compile(r"alloc", re.IGNORECASE)  # in what ONNX Runtime and C++ say when memory is short
TOO_MUCH = "takes more memory than a model may have here"
# Weights once as they are and at the most once more, packed for the processor; measured 1.05 to 1.7.
ESTIMATED_TIMES = 2
# What a loaded version costs beside its weights: graph, plan, queue and series; measured on a small MLP.
SERVING_BYTES = 1 << 17


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a trial found.

    `reason` says why the bundle cannot be loaded, `wording` why it cannot be published as it is
    worded, or fed by its view: its rows would be answered with errors. Both are None when nothing is wrong.

    `pads` says whether sequences are answered the same when they are padded to the length of others.

    Units: memory_bytes of a loaded version.
    """

    reason: str | None = None
    wording: str | None = None
    rows: Rows = "whole"
    memory_bytes: int = 0
    pads: bool = True

    def to_json(self) -> bytes:
        """Return the verdict as it is sent between processes."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Verdict":
        """Read what `to_json` gave."""
        return cls(**json.loads(data))


def judged(bundle: Bundle) -> Verdict:
    """Load a bundle and run it once."""
    before = heap_bytes()
    try:
        session = Session(bundle)
    except ModelNotLoadable as error:
        return Verdict(str(error.details["reason"]))
    after = heap_bytes()
    measured = after - before if before is not None and after is not None else None
    memory_bytes = SERVING_BYTES + (ESTIMATED_TIMES * len(bundle.onnx) if measured is None else measured)
    rows = try_rows(session)
    try:
        outputs = session.run(zeros(bundle.manifest.inputs, max(1, bundle.manifest.fixed_rows)))
    except RunFailed as error:
        return Verdict(memory_refusal(str(error.details["reason"])), None, rows, memory_bytes)
    wording = view_refusal(bundle.manifest, rows) or wording_refusal(bundle.manifest, rows, outputs)
    return Verdict(None, wording, rows, memory_bytes, try_padding(session))


def memory_refusal(reason: str) -> str | None:
    """Return why a failed run means a refusal: only when memory was short.

    Made-up rows may be no input of this graph at all; real ones are judged one by one.
    """
    return f"one row of zeros {TOO_MUCH}: {reason}" if MEMORY.search(reason) else None


def view_refusal(manifest: Manifest, rows: Rows) -> str | None:
    """Return why a graph runs on no row of its feature view, None when it may: a view gives one row at a time."""
    if manifest.features is None or rows != "whole":
        return None
    for spec in manifest.inputs:
        first = spec.shape[0] if spec.shape else 0
        if isinstance(first, int) and first != 1:
            takes = f"a first axis of {first}" if spec.shape else "no first axis"
            return (
                f"input {spec.name!r} has {takes} in the graph, whose outputs have no row for each row of the inputs, "
                "but a feature view gives one row at a time: export the graph with a free first axis in every input "
                "and output, or publish it without a view and send tensors"
            )
    return None


def wording_refusal(manifest: Manifest, rows: Rows, outputs: dict[str, Tensor]) -> str | None:
    """Return why the outputs cannot be worded as the task says, None when they can."""
    if manifest.task == "tensor" or manifest.output is None:
        return None
    if rows == "whole":
        return (
            f"task {manifest.task} takes a graph whose first axis is the batch, in every input and output; "
            "export it so, or publish it as task tensor"
        )
    output = outputs[manifest.output]
    if manifest.task == "classification" and output.dtype.kind in CHOSEN_KINDS:
        return None
    if output.dtype.kind not in NUMBER_KINDS:
        return f"output {manifest.output!r} holds no numbers; name another one with `output`"
    if not manifest.labels:
        return None
    return probability_refusal(manifest, output.reshape(len(output), -1))


def probability_refusal(manifest: Manifest, rows: Tensor) -> str | None:
    """Return why rows (B, width) are no probabilities of the labels."""
    labels, width = len(manifest.labels), rows.shape[1]
    sigmoid = width == 1 and labels == 2 and manifest.task == "classification"
    if width != labels and not sigmoid:
        return f"output {manifest.output!r} has {width} values a row for {labels} labels; name as many"
    inside = bool(((rows >= -SUM_TOLERANCE) & (rows <= 1 + SUM_TOLERANCE)).all())
    sums = manifest.task == "multilabel" or sigmoid or np.allclose(rows.sum(axis=1), 1, atol=SUM_TOLERANCE)
    if inside and sums:
        return None
    return (
        f"output {manifest.output!r} gives no probabilities (a row of zeros gave "
        f"{np.round(rows[0], 3).tolist()[:8]}); end the graph in Softmax or Sigmoid, or publish without labels"
    )
