"""The best epoch's weights, kept while others are tried."""

from math import inf
from typing import Any

import torch
from torch import nn


class Best:
    """A copy of a network as it was at its best."""

    def __init__(self, network: nn.Module) -> None:
        self._live = [*network.parameters(), *network.buffers()]
        self._kept = [one.detach().clone() for one in self._live]
        self.rank: tuple[float, ...] = (inf,)

    @torch.no_grad()
    def see(self, *rank: float) -> bool:
        """Keep the network as it is if its rank is the lowest so far; say whether it was."""
        if not rank < self.rank:
            return False
        self.rank = rank
        for kept, live in zip(self._kept, self._live, strict=True):
            kept.copy_(live)
        return True

    @torch.no_grad()
    def restore(self) -> None:
        """Give the network the best weights back."""
        for kept, live in zip(self._kept, self._live, strict=True):
            live.copy_(kept)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint needs."""
        return {"rank": self.rank, "weights": self._kept}

    @torch.no_grad()
    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.rank = tuple(state["rank"])
        for kept, saved in zip(self._kept, state["weights"], strict=True):
            kept.copy_(saved)
