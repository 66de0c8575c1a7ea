"""Descent: one pass over the training rows after the other, each step by the recipe; judges nothing."""

from collections.abc import Iterator
from contextlib import nullcontext
from math import isfinite
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.recipe_training import Training
from trainer.augmentation.alterations import Alteration, Batch
from trainer.errors import TrainingDiverged
from trainer.fitting.averaging import RunningMean
from trainer.fitting.losses import Loss, loss_of
from trainer.fitting.optimizers import optimizer
from trainer.fitting.precision import Precision
from trainer.fitting.rows import Rows, shuffled
from trainer.fitting.schedules import Flatness, learning_rate
from trainer.fitting.spent import Spent
from trainer.fitting.starting import frozen
from trainer.networks.network import Network
from trainer.tasks.task import Task

if TYPE_CHECKING:
    from trainer.fitting.privacy import PrivateSteps


def private_steps(network: Network, training: Training, rows: int) -> "PrivateSteps | None":
    """Return how private steps are taken, if a recipe asks for them."""
    if training.privacy is None:
        return None
    from trainer.fitting.privacy import PrivateSteps  # noqa: PLC0415  # opacus is an extra of its own, and slow to load

    return PrivateSteps(network, training, training.privacy, rows)


class Descent:
    """A network on its way down."""

    def __init__(self, network: Network, task: Task, training: Training, rows: Rows) -> None:
        self.network, self.training, self.rows = network, training, rows
        self.loss: Loss = loss_of(task, training, rows.targets)
        self.precision = Precision(training.precision, rows.device)
        self.flatness = Flatness(training.plateau if training.schedule == "plateau" else None)
        self.mean = RunningMean(network, training.ema) if training.ema else None
        self.rate = 0.0
        self._private = private_steps(network, training, len(rows))
        plain = optimizer(network, training)
        self._optimizer = plain if self._private is None else self._private.optimizer(plain)
        self._alter = Alteration(network, training, rows)
        self._frozen = frozen(network)

    def epoch(self, number: int) -> float:
        """Learn from every row once and return the mean loss.

        Raises: TrainingDiverged, it is not finite.
        """
        self.network.train()
        for part in self._frozen:
            part.eval()
        with nullcontext() if self._private is None else self._private.quiet():
            return self._learned(number)

    def _learned(self, number: int) -> float:
        losses: list[Tensor] = []
        sizes: list[int] = []
        count, passed = len(self.rows), 0.0
        for parts in self._steps():
            # Private steps draw more rows or fewer by chance, which the rate shall not follow.
            rows = self._private.batch if self._private else sum(map(len, parts))
            self._set_rate((number - 1) + passed / count, rows / count)
            passed += rows
            losses += self._step(parts)
            sizes += map(len, parts)
        # Read once an epoch: every look at a number waits for the device.
        shares = torch.tensor(sizes, dtype=torch.float64, device=self.rows.device) / sum(sizes)
        mean = float(torch.stack(losses).double() @ shares)
        if not isfinite(mean):
            raise TrainingDiverged(number, self.training.lr)
        return mean

    def averaged(self) -> Any:
        """Return a context in which the network has the weights that are judged and kept."""
        return nullcontext() if self.mean is None else self.mean.in_place()

    def end(self) -> Spent | None:
        """Return what a private descent has spent, its network one like others again."""
        return None if self._private is None else self._private.end()

    def state(self) -> dict[str, Any]:
        """Return everything that another descent needs to go on from here."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "precision": self.precision.state(),
            "flatness": (self.flatness.factor, self.flatness.best, self.flatness.waited),
            "private_steps": self._private.steps if self._private else 0,
            "mean": None if self.mean is None else (self.mean.steps, self.mean.means),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from where another descent was."""
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.precision.load(state["precision"])
        self.flatness.factor, self.flatness.best, self.flatness.waited = state["flatness"]
        if self._private is not None:
            self._private.steps = state["private_steps"]
        if self.mean is not None:
            self.mean.steps, means = state["mean"]
            for mine, saved in zip(self.mean.means, means, strict=True):
                mine.copy_(saved)

    def _steps(self) -> Iterator[list[Rows]]:
        """Give the rows of each step, in as many passes as the recipe accumulates."""
        parts: list[Rows] = []
        private = self._private
        drawn = shuffled(self.rows, self.training.batch) if private is None else private.batches(self.rows)
        for rows in drawn:
            parts.append(rows)
            if len(parts) == self.training.accumulate:
                yield parts
                parts = []
        if parts:
            yield parts

    def _step(self, parts: list[Rows]) -> list[Tensor]:
        total = sum(map(len, parts))
        losses = []
        self._optimizer.zero_grad(set_to_none=True)
        for rows in parts:
            with self.precision.computing():
                loss = self._loss(self._alter(rows))
            self.precision.learn(loss if len(parts) == 1 else loss * (len(rows) / total))
            losses.append(loss.detach())
        self.precision.step(self._optimizer, self.network, self.training.clip)
        if self.mean is not None:
            self.mean.follow()
        return losses

    def _loss(self, batch: Batch) -> Tensor:
        raw = self.network(batch.inputs)
        loss = self.loss(raw, batch.targets)
        if batch.others is None:
            return loss
        return batch.share * loss + (1 - batch.share) * self.loss(raw, batch.others)

    def _set_rate(self, time: float, step: float) -> None:
        self.rate = learning_rate(self.training, time, step) * self.flatness.factor
        for group in self._optimizer.param_groups:
            group["lr"] = self.rate
