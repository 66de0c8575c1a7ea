"""Trial: a bundle is run once in a separate process, with limits, before it is published.

A file that crashes, hangs or eats memory is refused by name and never meets the serving process.
`main` is that process: a bundle on standard input, a verdict on standard output.
"""

import asyncio
import json
import re
import resource
import signal
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from models.bundle import Bundle
from models.errors import REASON_CHARACTERS, BadModelFile, shown
from models.manifest import Manifest
from models.tensors import Tensor
from server.inference.errors import ModelNotLoadable, RunFailed
from server.inference.samples import try_rows, zeros
from server.inference.sessions import Session

VERDICT = b"verdict "
CHOSEN_KINDS = "iuOU"  # numpy: integers and text, the class itself
NUMBER_KINDS = "fiu"
HEADER = struct.Struct("<QQ")  # bytes of the manifest, bytes of the ONNX file
SUM_TOLERANCE = 0.01
MEMORY = re.compile(r"alloc", re.IGNORECASE)  # in what ONNX Runtime and C++ say when memory is short
# Started so and not with -m: the folder a user happens to be in may have a `server` of its own.
ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
sys.path.append(sys.argv[1])
from server.inference.admission import main
main()
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """How a bundle is tried.

    Units: memory_bytes of address space; seconds from start to verdict.
    """

    memory_bytes: int = 8 << 30
    seconds: float = 60.0

    async def admit(self, bundle: Bundle) -> None:
        """Try a bundle.

        Raises: BadModelFile, with what was wrong: refused, crashed, out of time or memory.
        """
        limits = (str(self.memory_bytes), str(int(self.seconds) + 1))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-c", PROGRAM, str(ROOT), *limits),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        manifest = bundle.manifest.model_copy(update={"version": 1}).to_json()
        sent = HEADER.pack(len(manifest), len(bundle.onnx)) + manifest + bundle.onnx
        try:
            async with asyncio.timeout(self.seconds):
                verdict, complaint = await process.communicate(sent)
        except TimeoutError as error:
            raise BadModelFile(
                f"the model did not load and run once within {self.seconds:g} s; nothing was published"
            ) from error
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):  # it ended by itself just now
                    process.kill()
                await process.wait()
        raise_unless_good(verdict, complaint, process.returncode or 0)


def raise_unless_good(verdict: bytes, complaint: bytes, status: int) -> None:
    """Raise what the trial found.

    Raises: BadModelFile.
    """
    if status == 0 and verdict.startswith(VERDICT):
        reason = json.loads(verdict[len(VERDICT) :])
        if reason is not None:
            raise BadModelFile(reason)
        return
    lines = complaint.decode("utf-8", "replace").strip().splitlines()
    last = shown(lines[-1], REASON_CHARACTERS) if lines else "no message"
    ended = f"signal {signal_name(-status)}" if status < 0 else f"exit status {status}"
    raise BadModelFile(
        f"the model ended the process it was tried in ({ended}): {last}; nothing was published"
    )


def signal_name(number: int) -> str:
    """Return SIGSEGV for 11."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def refusal(bundle: Bundle) -> str | None:
    """Return why a bundle cannot be served, None when it can."""
    manifest = bundle.manifest
    try:
        session = Session(bundle)
    except ModelNotLoadable as error:
        return str(error.details["reason"])
    if try_rows(session) == "whole" and manifest.task != "tensor":
        return (
            f"task {manifest.task} takes a graph whose first axis is the batch, in every input and output; "
            "export it so, or publish it as task tensor"
        )
    try:
        outputs = session.run(zeros(manifest.inputs, max(1, manifest.fixed_rows)))
    except RunFailed as error:
        return memory_refusal(str(error.details["reason"]))
    return wording_refusal(manifest, outputs)


def memory_refusal(reason: str) -> str | None:
    """Return why a failed run means a refusal: only when memory was short.

    Made-up rows may be no input of this graph at all; real ones are judged one by one.
    """
    if not MEMORY.search(reason):
        return None
    return f"one row of zeros takes more memory than a model may have here: {reason}"


def wording_refusal(manifest: Manifest, outputs: dict[str, Tensor]) -> str | None:
    """Return why the outputs cannot be worded as the task says, None when they can."""
    if manifest.task == "tensor" or manifest.output is None:
        return None
    output = outputs[manifest.output]
    if manifest.task == "classification" and output.dtype.kind in CHOSEN_KINDS:
        return None
    if output.dtype.kind not in NUMBER_KINDS:
        return f"output {manifest.output!r} holds no numbers; name another one with `output`"
    if manifest.task == "regression":
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


def read_bundle(stream: BinaryIO) -> Bundle:
    """Read what `Trial.admit` sent."""
    manifest_bytes, onnx_bytes = HEADER.unpack(stream.read(HEADER.size))
    manifest = Manifest.model_validate_json(stream.read(manifest_bytes))
    return Bundle(manifest, stream.read(onnx_bytes))


def main() -> None:
    """Try the bundle on standard input within the bytes and seconds that are the last arguments.

    The seconds are of the processor: they end it where nobody is left to kill it. The verdict begins
    with a word of its own: nothing else on standard output is taken for one.
    """
    memory_bytes, seconds = map(int, sys.argv[-2:])
    for limit, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError):  # a lower one holds already, or the system knows no such limit
            resource.setrlimit(limit, (most, most))
    verdict = refusal(read_bundle(sys.stdin.buffer))
    sys.stdout.buffer.write(VERDICT + json.dumps(verdict).encode())
