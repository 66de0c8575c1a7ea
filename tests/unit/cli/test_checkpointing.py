"""Signals that end a training: after its epoch where it is kept, at once where it is not; told either way."""

import os
import signal
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from cli.checkpointing import ending_in_order
from cli.terminal import Terminal
from cli.training_view import TrainingView
from trainer.fitting.checkpoints import Checkpoint

ENDS: list[tuple[signal.Signals, type[BaseException], str]] = [
    (signal.SIGINT, KeyboardInterrupt, "Ctrl-C again"),
    (signal.SIGTERM, SystemExit, "a second signal"),
    (signal.SIGHUP, SystemExit, "a second signal"),
]


@pytest.fixture
def terminal() -> Terminal:
    made = Terminal()
    made.err = Console(file=StringIO(), width=200)
    return made


def told(terminal: Terminal) -> str:
    written: StringIO = terminal.err.file  # type: ignore[assignment]  # the fixture's
    return written.getvalue()


def train(checkpoint: Checkpoint | None, terminal: Terminal, signals: list[signal.Signals]) -> None:
    """Train an epoch in which signals come."""
    with ending_in_order(checkpoint, TrainingView(terminal, "churn")):
        for number in signals:
            os.kill(os.getpid(), number)
        assert checkpoint is not None
        assert len(signals) == 1, "it went on after the second one"
        assert checkpoint.due(1)
        checkpoint.heed()


@pytest.mark.parametrize(("number", "ended", "again"), ENDS)
def test_a_kept_training_ends_after_its_epoch_whatever_signal_says_so(
    terminal: Terminal, tmp_path: Path, number: signal.Signals, ended: type[BaseException], again: str
) -> None:
    checkpoint, before = Checkpoint(tmp_path / "churn.checkpoint", running=True), signal.getsignal(number)

    with pytest.raises(ended) as caught:
        train(checkpoint, terminal, [number])

    assert getattr(caught.value, "code", 143) == 143
    assert f"ends after this epoch; {again} ends it at once" in told(terminal)
    assert "churn: stopped" in told(terminal)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("kept", [True, False])
def test_a_second_signal_or_one_where_nothing_is_kept_ends_at_once(
    terminal: Terminal, tmp_path: Path, kept: bool
) -> None:
    checkpoint = Checkpoint(tmp_path / "churn.checkpoint", running=True) if kept else None

    with pytest.raises(SystemExit):
        train(checkpoint, terminal, [signal.SIGTERM] * (1 + kept))

    assert "nothing was published" in told(terminal)
