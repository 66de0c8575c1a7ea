"""Trainings that are kept while they run: the options of `train`, and how Ctrl-C or SIGTERM ends one in order."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import ExitCode, WrongUsage

if TYPE_CHECKING:
    from cli.training_view import TrainingView
    from trainer.fitting.checkpoints import Checkpoint

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

CheckpointDir = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint", metavar="DIR", help="Keep the training there while it runs; gone when it is done."
    ),
]
CheckpointSeconds = Annotated[
    float, typer.Option(metavar="S", min=0, help="Seconds after which it is kept again, between two epochs.")
]
CheckpointEpochs = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Also keep it after every N epochs.")
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with the training in DIR; begin it if there is none.")
]


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where trainings are kept and how often."""

    directory: Path | None
    every_seconds: float
    every_epochs: int | None
    resume: bool

    def check(self, recipes: int) -> None:
        """Stop before any work on what cannot be done.

        Raises: WrongUsage.
        """
        if self.directory is None and (self.resume or self.every_epochs):
            raise WrongUsage("name the directory that keeps the training: --checkpoint DIR")
        if self.directory is not None and recipes > 1:
            raise WrongUsage(f"--checkpoint takes one recipe, {recipes} are given")

    def of(self, name: str) -> "Checkpoint | None":
        """Return the checkpoint of a model, if trainings are kept."""
        if self.directory is None:
            return None
        from trainer.fitting.checkpoints import Checkpoint

        path = self.directory / f"{name}.checkpoint"
        return Checkpoint(path, self.every_seconds, self.every_epochs, self.resume)


@dataclass(slots=True)
class Ending:
    """The signals that end a training, while it runs: the first in order where it is kept, the next at once."""

    checkpoint: "Checkpoint | None"
    view: "TrainingView"
    by: int = signal.SIGINT
    """The signal that came last."""

    def first(self, number: int, frame: FrameType | None) -> None:
        """Take the first signal.

        Raises: KeyboardInterrupt, there is no epoch to wait for.
        """
        self.by = number
        if self.checkpoint is None or not self.checkpoint.running:
            signal.default_int_handler(number, frame)
        for one in heard():
            signal.signal(one, self.at_once)
        self.checkpoint.stop()
        again = "Ctrl-C again" if number == signal.SIGINT else "a second signal"
        self.view.note(f"ends after this epoch; {again} ends it at once")

    def at_once(self, number: int, frame: FrameType | None) -> None:
        """Take another one.

        Raises: KeyboardInterrupt.
        """
        self.by = number
        signal.default_int_handler(number, frame)


def heard() -> list[signal.Signals]:
    """Return the signals that end a training: not those that are to be ignored, a closed terminal under nohup."""
    return [one for one in ENDING if one == signal.SIGINT or signal.getsignal(one) != signal.SIG_IGN]


@contextmanager
def ending_in_order(checkpoint: "Checkpoint | None", view: "TrainingView") -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end a kept training after its epoch, and a second one at once; tell how to go on.

    A closed terminal (SIGHUP) counts as SIGTERM.

    Raises: KeyboardInterrupt; SystemExit, it was not Ctrl-C.
    """
    ending = Ending(checkpoint, view)
    before = {number: signal.signal(number, ending.first) for number in heard()}
    try:
        yield
    except KeyboardInterrupt:
        view.stopped(checkpoint)
        if ending.by != signal.SIGINT:
            raise SystemExit(ExitCode.TERMINATED) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
