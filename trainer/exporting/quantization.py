"""What a quantisation came to: every file that was measured, and the one that is served."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Measured:
    """One file: its bytes, the median microseconds of processor time of each batch, its score, how far its answers are.

    `refused` says why it is not served, None when it is good enough.
    """

    to: str
    size_bytes: int
    batch_us: Mapping[int, float]
    score: float
    difference: float
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Quantized:
    """The file that is served, and what every candidate came to; `served` is float32, int8 or fp16."""

    onnx: bytes
    served: str
    max_loss: float
    metric: str
    plain: Measured
    candidates: tuple[Measured, ...]

    def as_data(self) -> dict[str, Any]:
        """Return what the card tells."""
        return {
            "served": self.served,
            "max_loss": self.max_loss,
            "metric": self.metric,
            "float32": told(self.plain),
            "tried": {one.to: told(one) for one in self.candidates},
        }


def told(one: Measured) -> dict[str, Any]:
    """Return one file's measurements as plain data."""
    batches = {f"batch_{batch}_us": value for batch, value in one.batch_us.items()}
    data = {name: value for name, value in asdict(one).items() if name not in ("to", "batch_us")}
    return {**data, **batches}
