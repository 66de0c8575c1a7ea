"""Smaller numbers in the published file: int8 or fp16, kept only where it pays here and costs next to nothing.

int8   weights and, as they come, activations of matrix products (ONNX Runtime's dynamic quantisation)
fp16   large weights stored in half precision, computed with in float32; inputs and outputs as before

What a file is worth is measured: bytes, medians of runs in turns with the float32 file, and the
score on the validation rows: what is held out chooses nothing. Rows run as they do in a server:
those of an int8 file one by one, since activations have one scale for all rows of a run.
"""

import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from models.recipe_quantization import Quantization
from models.scores import four_digits
from models.tensors import Tensor
from trainer.evaluate import evaluate
from trainer.exporting.export import Signature, answers, feeds, session
from trainer.exporting.quantization import Measured, Quantized
from trainer.exporting.weights import halved_weights, without_weights
from trainer.fitting.fit import FALLING
from trainer.table import Table
from trainer.tasks.task import Task

FP16_ELEMENTS_LEAST = 256  # smaller ones save nothing, and scaling is better kept exact
FP16_LARGEST = float(np.finfo(np.float16).max)
BATCHES = (1, 64)
ROUNDS = 25
RUN_SECONDS = 0.002  # of one measurement: far above what a clock and a call cost
SLOWER_ALLOWED, FASTER_ENOUGH, SMALLER_ENOUGH = 1.05, 0.95, 0.9


def quantized(
    onnx_file: bytes, spec: Quantization, task: Task, signature: Signature, rows: Table
) -> Quantized:
    """Try what a recipe asks for and keep the best file that is good enough, or the one there was."""
    tried = ("int8", "fp16") if spec.to == "auto" else (spec.to,)
    files = {"float32": onnx_file, **{to: MAKERS[to](onnx_file) for to in tried}}
    seconds = medians(files, signature, rows)
    plain_answers = answers(onnx_file, signature, rows)

    def measured(to: str) -> Measured:
        given = answers(files[to], signature, rows)
        score = evaluate(task, given, rows.targets).values[task.metric]
        difference = float(np.abs(given - plain_answers).max())
        return Measured(to, len(files[to]), seconds[to], score, difference)

    plain = measured("float32")
    candidates = tuple(judged(measured(to), plain, spec, task.metric) for to in tried)
    good = [one for one in candidates if one.refused is None]
    best = min(good, key=lambda one: sum(one.batch_us.values()) * one.size_bytes, default=plain)
    return Quantized(files[best.to], best.to, spec.max_loss, task.metric, plain, candidates)


def judged(one: Measured, plain: Measured, spec: Quantization, metric: str) -> Measured:
    """Return a candidate with the reason for which it is not served, if there is one."""
    lost = one.score - plain.score if metric in FALLING else plain.score - one.score
    lost = lost / abs(plain.score) if metric in FALLING and plain.score else lost
    ratios = [one.batch_us[batch] / plain.batch_us[batch] for batch in BATCHES]
    smaller = one.size_bytes / plain.size_bytes
    refused = None
    if lost > spec.max_loss:
        refused = f"{metric} loses {four_digits(lost)}, {spec.max_loss:g} is allowed"
    elif max(ratios) > SLOWER_ALLOWED:
        batch = BATCHES[ratios.index(max(ratios))]
        refused = f"it is slower here: {max(ratios):.2f} times the time for a batch of {batch}"
    elif smaller > SMALLER_ENOUGH and max(ratios) > FASTER_ENOUGH:
        refused = (
            f"it is neither smaller ({smaller:.2f} of the bytes) nor faster ({max(ratios):.2f} of the time)"
        )
    return replace(one, refused=refused)


def medians(files: Mapping[str, bytes], signature: Signature, table: Table) -> dict[str, dict[int, float]]:
    """Return the median microseconds a run of each batch takes, the files measured in turns."""
    sessions = {to: session(file) for to, file in files.items()}
    found: dict[str, dict[int, float]] = {to: {} for to in files}
    for batch in BATCHES:
        rows = table.take(np.arange(batch) % len(table))
        runs = {
            to: runner(one, signature, [*feeds(files[to], signature, rows)]) for to, one in sessions.items()
        }
        times = {to: max(1, int(RUN_SECONDS / max(taken(run, 3), 1e-6))) for to, run in runs.items()}
        every: dict[str, list[float]] = {to: [] for to in files}
        order = list(runs)
        for _ in range(ROUNDS):
            for to in order:
                every[to].append(taken(runs[to], times[to]))
            order.append(order.pop(0))  # nobody always comes after the same one
        for to, seconds in every.items():
            found[to][batch] = round(statistics.median(seconds) * 1e6, 2)
    return found


def runner(one: Any, signature: Signature, every: Sequence[dict[str, Tensor]]) -> Callable[[], Any]:
    """Return what answers all of some rows in a session."""
    return lambda: [one.run([signature.output], rows) for rows in every]


def taken(run: Callable[[], Any], times: int) -> float:
    """Return the seconds of this thread that one of several runs takes: others on the machine do not count."""
    began = time.thread_time()
    for _ in range(times):
        run()
    return (time.thread_time() - began) / times


def int8(file: bytes) -> bytes:
    """Return a file whose matrix products run on whole numbers of eight bits."""
    model = without_weights(onnx.load_from_string(file))
    with tempfile.TemporaryDirectory() as directory, quantizer_is_quiet():
        path = Path(directory) / "int8.onnx"
        quantize_dynamic(model, path, weight_type=QuantType.QInt8)
        return path.read_bytes()


def fp16(file: bytes) -> bytes:
    """Return a file whose large weights are stored in half precision; a runtime widens them as it loads."""
    model = onnx.load_from_string(file)
    casts = []
    for weight in model.graph.initializer:
        if can_be_halved(weight):
            wide = f"{weight.name}.float32"
            casts.append(helper.make_node("Cast", [weight.name], [wide], name=wide, to=TensorProto.FLOAT))
            read_instead(model, weight.name, wide)
            weight.CopyFrom(numpy_helper.from_array(halved(weight), weight.name))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return halved_weights(model).SerializeToString()


def can_be_halved(weight: TensorProto) -> bool:
    """Whether a weight is large enough, and its numbers are such that half precision has them."""
    if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < FP16_ELEMENTS_LEAST:
        return False
    return bool(np.abs(numpy_helper.to_array(weight)).max() <= FP16_LARGEST)


def halved(weight: TensorProto) -> Tensor:
    """Return a weight in half precision."""
    return numpy_helper.to_array(weight).astype(np.float16)


def read_instead(model: ModelProto, name: str, other: str) -> None:
    """Let every node that reads one value read another."""
    for node in model.graph.node:
        for at, given in enumerate(node.input):
            if given == name:
                node.input[at] = other


@contextmanager
def quantizer_is_quiet() -> Iterator[None]:
    """Keep back the advice that ONNX Runtime's quantiser writes into the root logger."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


MAKERS: Mapping[str, Callable[[bytes], bytes]] = {"int8": int8, "fp16": fp16}
