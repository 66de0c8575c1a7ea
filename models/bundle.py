"""Bundle = Manifest + ONNX bytes: what is published, stored and loaded as one."""

from dataclasses import dataclass
from hashlib import sha256

from models.manifest import Manifest

CHUNK_BYTES = 64 << 20  # Redis refuses a string over proto-max-bulk-len, 512 MiB by default


@dataclass(frozen=True, slots=True)
class Bundle:
    """One version of a model, whole."""

    manifest: Manifest
    onnx: bytes

    def sealed(self, version: int, chunk_bytes: int = CHUNK_BYTES) -> "Bundle":
        """Return the bundle as it is stored: numbered, with the size and digest of its bytes."""
        facts = {
            "version": version,
            "digest": sha256(self.onnx).hexdigest(),
            "size_bytes": len(self.onnx),
            "chunks": max(1, -(-len(self.onnx) // chunk_bytes)),
        }
        return Bundle(self.manifest.model_copy(update=facts), self.onnx)

    def pieces(self, chunk_bytes: int = CHUNK_BYTES) -> list[memoryview]:
        """Return the bytes cut into the chunks that Redis stores, without copying them."""
        view = memoryview(self.onnx)
        return [view[at : at + chunk_bytes] for at in range(0, max(1, len(view)), chunk_bytes)]
