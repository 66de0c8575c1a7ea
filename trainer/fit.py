"""Fitting: epochs over the training rows, the best weights kept, a listener told of each."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from models.recipe_training import Training
from trainer.best import Best
from trainer.descent import Descent
from trainer.events import EpochEnded, Events, Noticed
from trainer.networks.network import Network
from trainer.rows import Rows
from trainer.tasks import Task

EVALUATION_ROWS = 4096
FALLING = {"rmse", "mae", "mse", "pinball", "log_loss", "brier"}  # metrics of which less is better


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch came to; losses are means over rows."""

    train_loss: float
    validation_loss: float | None
    score: float | None
    learning_rate: float


@dataclass(slots=True)
class History:
    """Every epoch, and which one's weights the network has: `best`, counted from 1."""

    epochs: list[Epoch] = field(default_factory=list)
    best: int = 0
    stopped_early: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Fit:
    """One network being fitted to one table; `run` does it all."""

    network: Network
    task: Task
    training: Training
    train: Rows
    validation: Rows | None
    events: Events
    history: History = field(default_factory=History)

    def run(self) -> History:
        """Fit the network, leave the best weights in it and return how it went.

        Raises: TrainingDiverged, the loss is not finite.
        """
        self.network.fit_scaling(self.train.inputs)
        descent = Descent(self.network, self.task, self.training, self.train)
        self._note(descent.precision.note)
        best = Best(self.network)
        began, first = time.monotonic(), len(self.history.epochs) + 1
        for number in range(first, self.training.epochs + 1):
            epoch = self._epoch(descent, best, number)
            self._tell(epoch, number, (time.monotonic() - began) / (number + 1 - first))
            if self._should_stop(number):
                self.history.stopped_early = True
                break
        best.restore()
        return self.history

    def _epoch(self, descent: Descent, best: Best, number: int) -> Epoch:
        train_loss = descent.epoch(number)
        with descent.averaged():
            loss, score = self._judged(descent)
            if best.see(*self._rank(loss, score)):
                self.history.best = number
        descent.flatness.see(train_loss if loss is None else loss)
        epoch = Epoch(train_loss, loss, score, descent.rate)
        self.history.epochs.append(epoch)
        return epoch

    def _judged(self, descent: Descent) -> tuple[float | None, float | None]:
        """Return the loss and the metric on the validation rows."""
        if self.validation is None:
            return None, None
        raw, targets = raw_outputs(self.network, self.validation), self.validation.targets
        return float(descent.loss(raw, targets)), self.task.score(raw, targets)

    def _rank(self, loss: float | None, score: float | None) -> tuple[float, ...]:
        """Return what makes an epoch the best one: the lower the better, from the left."""
        if loss is None or score is None:
            return (-float(len(self.history.epochs)),)
        if self.training.keep == "loss":
            return (loss,)
        return (score if self.task.metric in FALLING else -score, loss)

    def _note(self, text: str | None) -> None:
        if text is not None:
            self.history.notes.append(text)
            self.events(Noticed(text))

    def _tell(self, epoch: Epoch, number: int, seconds: float) -> None:
        left = seconds * (self.training.epochs - number)
        kept = self.history.best == number
        facts = (epoch.train_loss, epoch.validation_loss, self.task.metric, epoch.score, kept, left)
        self.events(EpochEnded(number, self.training.epochs, *facts))

    def _should_stop(self, number: int) -> bool:
        patience = self.training.patience
        return patience is not None and number - self.history.best >= patience


@torch.no_grad()
def raw_outputs(network: nn.Module, rows: Rows) -> Tensor:
    """Return the head's numbers for every row, as served: dropout off, batch statistics fixed."""
    network.eval()
    bounds = [*range(0, len(rows), EVALUATION_ROWS), len(rows)]
    return torch.cat([network(part.inputs) for part in rows.parts(bounds)])


@contextmanager
def reproducible(training: Training) -> Iterator[None]:
    """Draw every random number from the recipe's seed, on its number of threads; restore both after."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(training.seed)
        torch.set_num_threads(training.threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
