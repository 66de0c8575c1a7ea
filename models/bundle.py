"""Bundle = Manifest + ONNX bytes, and a page of its model card: what is published, stored and loaded as one."""

from dataclasses import dataclass
from hashlib import sha256

from models.errors import InsituError
from models.manifest import Manifest

CHUNK_BYTES = 64 << 20  # Redis refuses a string over proto-max-bulk-len, 512 MiB by default
PAGE_LIMIT_BYTES = 4 << 20  # of a model card as HTML: pictures of curves, no data


class PageTooLarge(InsituError):
    """The page of a model card over its bound."""

    code = "page_too_large"

    def __init__(self, size_bytes: int) -> None:
        super().__init__(
            f"the page of the model card has {size_bytes} bytes, the limit is {PAGE_LIMIT_BYTES}; make its "
            "pictures smaller, or publish without it",
            size_bytes=size_bytes,
            limit_bytes=PAGE_LIMIT_BYTES,
        )


@dataclass(frozen=True, slots=True)
class Bundle:
    """One version of a model, whole; `page` is its model card as one HTML file, empty without one."""

    manifest: Manifest
    onnx: bytes
    page: bytes = b""

    def sealed(self, version: int, chunk_bytes: int = CHUNK_BYTES) -> "Bundle":
        """Return the bundle as it is stored: numbered, with the size and digest of its bytes.

        Raises: PageTooLarge.
        """
        if len(self.page) > PAGE_LIMIT_BYTES:
            raise PageTooLarge(len(self.page))
        facts = {
            "version": version,
            "digest": sha256(self.onnx).hexdigest(),
            "size_bytes": len(self.onnx),
            "chunks": max(1, -(-len(self.onnx) // chunk_bytes)),
        }
        return Bundle(self.manifest.model_copy(update=facts), self.onnx, self.page)

    def pieces(self, chunk_bytes: int = CHUNK_BYTES) -> list[memoryview]:
        """Return the bytes cut into the chunks that Redis stores, without copying them."""
        view = memoryview(self.onnx)
        return [view[at : at + chunk_bytes] for at in range(0, max(1, len(view)), chunk_bytes)]
