"""One trial as the process sees it that makes it: a bundle comes in, a verdict goes out.

server -> HEADER, manifest as JSON, ONNX bytes
server <- whatever libraries write, VERDICT, the verdict as JSON
"""

import struct
from collections.abc import Callable
from typing import BinaryIO

from models.bundle import Bundle
from models.manifest import Manifest
from server.inference.confining import confine
from server.inference.verdicts import TOO_MUCH, Verdict, judged

HEADER = struct.Struct("<QQ")  # bytes of the manifest, bytes of the ONNX file
VERDICT = b"\nverdict "  # nothing before it is taken for one


def packed(bundle: Bundle) -> tuple[bytes, bytes]:
    """Return what is sent of a bundle: the ONNX bytes by themselves, they may be many."""
    manifest = bundle.manifest.to_json()
    return HEADER.pack(len(manifest), len(bundle.onnx)) + manifest, bundle.onnx


def read_bundle(stream: BinaryIO) -> Bundle:
    """Read what `packed` returned."""
    manifest_bytes, onnx_bytes = HEADER.unpack(stream.read(HEADER.size))
    manifest = Manifest.model_validate_json(stream.read(manifest_bytes))
    return Bundle(manifest, stream.read(onnx_bytes))


def attempt(stream: BinaryIO, write: Callable[[bytes], object], memory_bytes: int, seconds: float) -> None:
    """Try the bundle that comes in, within limits."""
    confine(memory_bytes, seconds)
    try:
        verdict = judged(read_bundle(stream))
    except MemoryError:
        verdict = Verdict(f"the file {TOO_MUCH}")
    write(VERDICT + verdict.to_json())
