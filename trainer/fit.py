"""Fitting: epochs over the training rows, the best weights kept, a listener told of each."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from math import inf, isfinite

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from models.recipe_training import Training
from trainer.errors import TrainingDiverged
from trainer.events import EpochEnded, Events
from trainer.networks.network import Inputs, Network
from trainer.networks.steps import Flow
from trainer.optimizers import learning_rate, optimizer
from trainer.table import Table
from trainer.tasks import Task

EVALUATION_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Rows:
    """A table as tensors on the device that trains."""

    inputs: Inputs
    targets: Tensor

    @classmethod
    def of(cls, table: Table, device: torch.device) -> "Rows":
        """Move a table to a device, as the float32 that a network begins with."""
        inputs: Inputs = {}
        for name, values in table.inputs.items():
            x = torch.from_numpy(values.x.astype(np.float32, copy=False)).to(device)
            lengths = None if values.lengths is None else torch.from_numpy(values.lengths).to(device)
            inputs[name] = (x, lengths)
        return cls(inputs, torch.from_numpy(table.targets).to(device))

    def take(self, rows: Tensor) -> "Rows":
        """Return some of the rows, without the padding that none of them needs."""
        return Rows({name: taken(flow, rows) for name, flow in self.inputs.items()}, self.targets[rows])

    def __len__(self) -> int:
        return len(self.targets)


def taken(flow: Flow, rows: Tensor) -> Flow:
    """Return some rows of one input, without the padding that none of them needs."""
    x, lengths = flow
    if lengths is None:
        return x[rows], None
    lengths = lengths[rows]
    return x[rows, : int(lengths.max())], lengths


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
        descent = optimizer(self.network, self.training)
        best_loss, best_weights = inf, self.network.state_dict()
        began = time.monotonic()
        for number in range(1, self.training.epochs + 1):
            epoch = self._epoch(descent, number)
            self.history.epochs.append(epoch)
            loss = epoch.validation_loss
            if loss is None or loss < best_loss:
                best_loss, best_weights = -inf if loss is None else loss, self._weights()
                self.history.best = number
            self._tell(epoch, number, time.monotonic() - began)
            if self._should_stop(number):
                self.history.stopped_early = True
                break
        self.network.load_state_dict(best_weights)
        return self.history

    def _epoch(self, descent: torch.optim.Optimizer, number: int) -> Epoch:
        rate = learning_rate(self.training, number)
        for group in descent.param_groups:
            group["lr"] = rate
        train_loss = self._learn(descent, number)
        if self.validation is None:
            return Epoch(train_loss, None, None, rate)
        raw = raw_outputs(self.network, self.validation)
        loss = float(self.task.loss(raw, self.validation.targets))
        return Epoch(train_loss, loss, self.task.score(raw, self.validation.targets), rate)

    def _learn(self, descent: torch.optim.Optimizer, number: int) -> float:
        self.network.train()
        total = torch.zeros(())
        for rows in shuffled(len(self.train), self.training.batch):
            batch = self.train.take(rows.to(self.train.targets.device))
            loss = self.task.loss(self.network(batch.inputs), batch.targets)
            descent.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            if self.training.clip is not None:
                clip_grad_norm_(self.network.parameters(), self.training.clip)
            descent.step()
            total += loss.detach().cpu() * len(rows)
        mean = float(total) / len(self.train)
        if not isfinite(mean):
            raise TrainingDiverged(number, self.training.lr)
        return mean

    def _weights(self) -> dict[str, Tensor]:
        return deepcopy(self.network.state_dict())

    def _tell(self, epoch: Epoch, number: int, seconds: float) -> None:
        left = seconds / number * (self.training.epochs - number)
        kept = self.history.best == number
        facts = (epoch.train_loss, epoch.validation_loss, self.task.metric, epoch.score, kept, left)
        self.events(EpochEnded(number, self.training.epochs, *facts))

    def _should_stop(self, number: int) -> bool:
        patience = self.training.patience
        return patience is not None and number - self.history.best >= patience


def shuffled(count: int, batch: int) -> Iterator[Tensor]:
    """Give every row number once, in batches by chance; a last row alone joins the batch before it.

    Batch normalisation has nothing to measure on one row.
    """
    order = torch.randperm(count)
    cut = count - 1 if count > batch and count % batch == 1 else count
    for start in range(0, cut, batch):
        stop = start + batch if start + batch < cut else count
        yield order[start:stop]


@torch.no_grad()
def raw_outputs(network: nn.Module, rows: Rows) -> Tensor:
    """Return the head's numbers for every row, as served: dropout off, batch statistics fixed."""
    network.eval()
    numbers = torch.arange(len(rows), device=rows.targets.device)
    parts = [rows.take(part) for part in torch.split(numbers, EVALUATION_ROWS)]
    return torch.cat([network(part.inputs) for part in parts])


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
