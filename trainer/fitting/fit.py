"""Fitting: epochs over the training rows, the best weights kept, a listener told of each."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from math import isfinite

import torch
from torch import Tensor, nn

from models.recipe_training import Training
from trainer.errors import TrainingDiverged
from trainer.events import EpochEnded, Events, Noticed
from trainer.fitting.best import Best
from trainer.fitting.checkpoints import Checkpoint, State
from trainer.fitting.descent import Descent
from trainer.fitting.rows import Rows
from trainer.fitting.spent import Spent
from trainer.networks.network import Network
from trainer.tasks.task import Task

EVALUATION_ROWS = 4096
SEEDS_APART = 1_000_003  # a prime: the next seed's networks are no others' of this one
FALLING = {
    "mean_score",
    "rmse",
    "mae",
    "mse",
    "pinball",
    "log_loss",
    "brier",
}  # metrics of which less is better


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
    privacy: Spent | None = None

    def state(self) -> State:
        """Return what a checkpoint needs."""
        epochs = [astuple(epoch) for epoch in self.epochs]
        facts = {"stopped_early": self.stopped_early, "notes": list(self.notes)}
        return {"epochs": epochs, "best_epoch": self.best, **facts}

    @classmethod
    def of(cls, state: State) -> "History":
        """Return a history from a checkpoint."""
        epochs = [Epoch(*values) for values in state["epochs"]]
        return cls(epochs, state["best_epoch"], state["stopped_early"], list(state["notes"]))


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
    checkpoint: Checkpoint | None = None
    measured: bool = False
    """Whether the fitted layers have their numbers already."""
    number: int = 0
    """Which network of an ensemble it is, from 0."""

    def run(self) -> History:
        """Fit the network, leave the best weights in it and return how it went.

        Raises: TrainingDiverged, the loss is not finite; BadCheckpoint, one cannot be written.
        """
        if not self.measured:
            self.network.fit_scaling(self.train.inputs)
        descent = Descent(self.network, self.task, self.training, self.train)
        best = Best(self.network)
        self.note(descent.precision.note)
        self._resume(descent, best)
        with self._checkpointed(descent, best) as keep:
            began, first = time.monotonic(), len(self.history.epochs)
            while not self._over():
                epoch = self._epoch(descent, best, len(self.history.epochs) + 1)
                number = len(self.history.epochs)
                self._tell(epoch, number, (time.monotonic() - began) / (number - first))
                keep(number)
        best.restore()
        self.history.privacy = descent.end()
        return self.history

    def _resume(self, descent: Descent, best: Best) -> None:
        """Go on from the checkpoint, if there is one."""
        if self.checkpoint is None or self.checkpoint.found is None:
            return
        state = self.checkpoint.found
        descent.load(state["descent"])
        best.load(state["best"])
        before = History.of(state)
        self.history.epochs, self.history.best = before.epochs, before.best
        load_generators(state["generators"])
        self.events(Noticed(f"goes on after epoch {len(self.history.epochs)} of {self.training.epochs}"))

    @contextmanager
    def _checkpointed(self, descent: Descent, best: Best) -> Iterator[Callable[[int], None]]:
        """Give what keeps the state after an epoch when that is due, and keep it at the end."""
        checkpoint = self.checkpoint
        if checkpoint is None:
            yield lambda _number: None
            return

        def keep(number: int) -> None:
            if checkpoint.due(number):
                checkpoint.write(self._state(descent, best))
            checkpoint.heed()

        checkpoint.running = True
        try:
            yield keep
            checkpoint.write(self._state(descent, best))
        finally:
            checkpoint.running = False

    def _state(self, descent: Descent, best: Best) -> State:
        return {
            "descent": descent.state(),
            "best": best.state(),
            "generators": generators(),
            **self.history.state(),
        }

    def _epoch(self, descent: Descent, best: Best, number: int) -> Epoch:
        train_loss = descent.epoch(number)
        with descent.averaged():
            loss, score = self._judged(descent)
            if loss is not None and not isfinite(loss):
                raise TrainingDiverged(number, self.training.lr, new=True)
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

    def note(self, text: str | None) -> None:
        """Tell something, and keep it for the card."""
        if text is not None:
            self.history.notes.append(text)
            self.events(Noticed(text))

    def _tell(self, epoch: Epoch, number: int, seconds: float) -> None:
        networks = self.training.ensemble
        left = seconds * (self.training.epochs * (networks - self.number) - number)
        kept = self.history.best == number
        facts = (epoch.train_loss, epoch.validation_loss, self.task.metric, epoch.score, kept, left)
        self.events(EpochEnded(number, self.training.epochs, *facts, self.number + 1, networks))

    def _over(self) -> bool:
        """Whether every epoch was run, or nothing got better for too long."""
        number, patience = len(self.history.epochs), self.training.patience
        self.history.stopped_early = patience is not None and number - self.history.best >= patience
        return self.history.stopped_early or number >= self.training.epochs


@torch.no_grad()
def raw_outputs(network: nn.Module, rows: Rows) -> Tensor:
    """Return the head's numbers for every row, as served: dropout off, batch statistics fixed."""
    network.eval()
    bounds = [*range(0, len(rows), EVALUATION_ROWS), len(rows)]
    return torch.cat([network(part.inputs) for part in rows.parts(bounds)])


@contextmanager
def reproducible(training: Training, number: int = 0) -> Iterator[None]:
    """Draw every random number from the recipe's seed, on its number of threads; restore both after.

    The networks of an ensemble, by their number, have seeds of their own.
    """
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed((training.seed + number * SEEDS_APART) % (1 << 31))
        torch.set_num_threads(training.threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def generators() -> dict[str, object]:
    """Return where PyTorch's random numbers are."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}


def load_generators(state: State) -> None:
    """Let random numbers go on from somewhere."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
