"""Trainings that are kept while they run: the options of `train`, and how Ctrl-C ends one in order."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import WrongUsage

if TYPE_CHECKING:
    from cli.training_view import TrainingView
    from trainer.fitting.checkpoints import Checkpoint

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


@contextmanager
def ending_in_order(checkpoint: "Checkpoint | None", view: "TrainingView") -> Iterator[None]:
    """Let Ctrl-C end a kept training after its epoch, and a second one at once; tell how to go on."""
    before = signal.getsignal(signal.SIGINT)

    def first(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if checkpoint is None or not checkpoint.running:
            signal.default_int_handler(number, frame)
        else:
            checkpoint.stop()
            view.note("ends after this epoch; Ctrl-C again ends it at once")

    signal.signal(signal.SIGINT, first)
    try:
        yield
    except KeyboardInterrupt:
        view.stopped(checkpoint)
        raise
    finally:
        signal.signal(signal.SIGINT, before)
