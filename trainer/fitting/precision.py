"""Mixed precision: float16 where it is safe, on CUDA devices; anywhere else float32 as always."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.nn.utils import clip_grad_norm_

NOTE = "precision: mixed is for CUDA devices; this training ran in float32 on the CPU"


class Precision:
    """How a loss is computed, and how a step is taken from it."""

    def __init__(self, wanted: str, device: torch.device) -> None:
        self.mixed = wanted == "mixed" and device.type == "cuda"
        self.note = NOTE if wanted == "mixed" and not self.mixed else None
        self._scaler = torch.amp.GradScaler(device.type, enabled=self.mixed)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Compute the network and its loss in it."""
        if not self.mixed:
            yield
            return
        with torch.autocast("cuda", torch.float16):
            yield

    def learn(self, loss: Tensor) -> None:
        """Add the gradient of a loss to what there is."""
        torch.autograd.backward(self._scaler.scale(loss))

    def step(self, descent: optim.Optimizer, network: nn.Module, clip: float | None) -> None:
        """Take one step, its gradient no longer than `clip`."""
        if clip is not None:
            self._scaler.unscale_(descent)
            clip_grad_norm_(network.parameters(), clip)
        self._scaler.step(descent)
        self._scaler.update()

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint needs."""
        return self._scaler.state_dict()

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._scaler.load_state_dict(state)
