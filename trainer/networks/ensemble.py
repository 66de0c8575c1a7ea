"""Ensemble: networks that learned the same rows from different beginnings, answering as one.

Source: Lakshminarayanan, Pritzel and Blundell 2017, "Simple and Scalable Predictive Uncertainty
Estimation using Deep Ensembles"; here the heads' raw numbers are averaged, so that a task, a
temperature and an export treat it as they do one network.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainer.networks.network import Inputs, Network


class Ensemble(nn.Module):
    """The mean of its members.

    Shape: as Network, inputs by name -> (B, outputs).
    """

    def __init__(self, members: Sequence[Network]) -> None:
        super().__init__()
        self.entries = members[0].entries
        self.members = nn.ModuleList(members)

    def forward(self, inputs: Inputs) -> Tensor:
        """Return the mean of what the members' heads give."""
        return torch.stack([member(inputs) for member in self.members]).mean(0)


Fitted = Network | Ensemble
"""What a training ends with."""
