"""Differentially private descent: rows drawn by chance, gradients clipped a row at a time, noise added.

The epsilon is of the weights, towards the rows that were learned from. Which rows are drawn and the
noise come from the system's own entropy, never from the recipe's seed: whoever knows the seed could
take the noise away again. So a private training is not the same twice.
Source: Abadi et al. 2016, Deep Learning with Differential Privacy; computed by opacus.
"""

import secrets
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

import torch
from opacus import GradSampleModule
from opacus.accountants import RDPAccountant
from opacus.accountants.utils import get_noise_multiplier
from opacus.optimizers import DPOptimizer
from torch import nn, optim

from models.recipe_privacy import Privacy
from models.recipe_training import Training
from trainer.fitting.rows import Rows
from trainer.fitting.spent import Spent

HOOK = "Full backward hook is firing"  # where a row itself needs no gradient, as none does


class PrivateSteps:
    """How a network takes steps that hide single rows."""

    def __init__(self, network: nn.Module, training: Training, privacy: Privacy, rows: int) -> None:
        self.privacy, self.steps = privacy, 0
        self.share = min(1.0, training.batch / rows)
        self.per_epoch = ceil(1 / self.share)
        self.batch = self.share * rows
        self._generator = torch.Generator().manual_seed(secrets.randbits(63))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about orders of the accountant, and gradients of inputs
            self.noise = get_noise_multiplier(
                target_epsilon=privacy.epsilon,
                target_delta=privacy.delta,
                sample_rate=self.share,
                steps=training.epochs * self.per_epoch,
                accountant="rdp",
            )
            self._hooked = GradSampleModule(network, loss_reduction="mean")

    def optimizer(self, plain: optim.Optimizer) -> optim.Optimizer:
        """Return an optimizer that clips a row at a time and adds noise."""
        made: optim.Optimizer = DPOptimizer(
            plain,
            noise_multiplier=self.noise,
            max_grad_norm=self.privacy.clip,
            expected_batch_size=round(self.batch),
            generator=self._generator,
        )
        return made

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Keep back a warning that every private step would bring."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", HOOK, UserWarning)
            yield

    def batches(self, rows: Rows) -> Iterator[Rows]:
        """Draw each row for each step by itself; a step that drew none is left out."""
        for _ in range(self.per_epoch):
            drawn = torch.rand(len(rows), generator=self._generator) < self.share
            self.steps += 1
            found = drawn.nonzero().squeeze(1)
            if len(found):
                yield from rows.take(found.to(rows.device)).parts([0, len(found)])

    def end(self) -> Spent:
        """Take the hooks out of the network, and return what was spent in all."""
        self._hooked.to_standard_module()
        accountant = RDPAccountant()
        accountant.history = [(self.noise, self.share, self.steps)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            epsilon = float(accountant.get_epsilon(self.privacy.delta)) if self.steps else 0.0
        return Spent(epsilon, self.privacy.delta, self.privacy.clip, float(self.noise), self.steps)
