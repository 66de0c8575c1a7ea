"""Trial: a bundle is run once in a separate process, with limits, before it is published.

A file that crashes, hangs or eats memory is refused by name and never meets the serving process.
Run as a program it is that process: a bundle on standard input, a verdict on standard output.
"""

import asyncio
import json
import resource
import struct
import sys
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from models.bundle import Bundle
from models.errors import BadModelFile, InsituError
from models.manifest import Manifest
from models.tensors import Tensor
from server.inference.sessions import Session, zeros

HEADER = struct.Struct("<QQ")  # bytes of the manifest, bytes of the ONNX file
SUM_TOLERANCE = 0.01


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
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "server.inference.admission", str(self.memory_bytes)),
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
                process.kill()
                await process.wait()
        raise_unless_good(verdict, complaint, process.returncode or 0)


def raise_unless_good(verdict: bytes, complaint: bytes, status: int) -> None:
    """Raise what the trial found."""
    if status == 0 and verdict:
        reason = json.loads(verdict)["refused"]
        if reason:
            raise BadModelFile(reason)
        return
    lines = complaint.decode("utf-8", "replace").strip().splitlines()
    ended = f"signal {-status}" if status < 0 else f"exit status {status}"
    raise BadModelFile(
        f"the model ended the process it was tried in ({ended}): {lines[-1] if lines else 'no message'}; "
        "nothing was published"
    )


def refusal(bundle: Bundle) -> str | None:
    """Return why a bundle cannot be served, None when it can."""
    try:
        session = Session(bundle)
    except InsituError as error:
        return str(error.details["reason"])
    try:
        outputs = session.run(zeros(bundle.manifest.inputs, max(1, bundle.manifest.fixed_rows)))
    except InsituError:
        return None  # zeros may be no input of this graph; real rows are judged one by one
    return wording_refusal(bundle.manifest, outputs)


def wording_refusal(manifest: Manifest, outputs: dict[str, Tensor]) -> str | None:
    """Return why the outputs cannot be worded as the task says, None when they can."""
    if manifest.output is None or manifest.task not in ("classification", "multilabel"):
        return None
    output = outputs[manifest.output]
    if output.dtype.kind in "iu":
        return None
    flat, labels = output.reshape(len(output), -1), len(manifest.labels)
    sigmoid = flat.shape[1] == 1 and labels == 2 and manifest.task == "classification"
    if flat.shape[1] != labels and not sigmoid:
        return (
            f"output {manifest.output!r} has {flat.shape[1]} values a row for {labels} labels; name as many"
        )
    inside = bool(((flat >= -SUM_TOLERANCE) & (flat <= 1 + SUM_TOLERANCE)).all())
    sums = manifest.task == "multilabel" or sigmoid or np.allclose(flat.sum(axis=1), 1, atol=SUM_TOLERANCE)
    if inside and sums:
        return None
    return (
        f"output {manifest.output!r} gives no probabilities (a row of zeros gave "
        f"{np.round(flat[0], 3).tolist()[:8]}); end the graph in Softmax or Sigmoid, or publish without labels"
    )


def read_bundle(stream: BinaryIO) -> Bundle:
    """Read what `Trial.admit` sent."""
    manifest_bytes, onnx_bytes = HEADER.unpack(stream.read(HEADER.size))
    manifest = Manifest.model_validate_json(stream.read(manifest_bytes))
    return Bundle(manifest, stream.read(onnx_bytes))


def main() -> None:
    """Try the bundle on standard input within the memory that is the first argument."""
    memory_bytes = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    verdict = refusal(read_bundle(sys.stdin.buffer))
    sys.stdout.write(json.dumps({"refused": verdict}))


if __name__ == "__main__":
    main()
