"""A training as it is seen: a bar a stage and a line for what came of it, or the events as JSON lines."""

from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from cli.progress import Work
from cli.terminal import Terminal, duration_text, plain
from trainer.events import EpochEnded, Event, StageAdvanced, StageBegan, StageEnded, as_json
from trainer.folds import Folds
from trainer.outcome import TrainResult


class TrainingView:
    """Listens to the events of one training."""

    def __init__(self, terminal: Terminal, name: str) -> None:
        self._terminal = terminal
        self._name = name
        self._work: Work | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if self._terminal.as_json:
            self._terminal.emit({"model": self._name, **as_json(event)})
            return
        if isinstance(event, StageBegan):
            self._begin(event)
        elif isinstance(event, StageEnded):
            self._end()
            line = f"  {event.stage:<9} {duration_text(event.seconds):>7}  {event.result}"
            self._terminal.note(line, "quiet")
        elif self._work is not None:
            advance(self._work, event)

    def _begin(self, event: StageBegan) -> None:
        self._end()
        self._work = Work(self._terminal, f"{self._name}: {event.stage}", event.total)
        self._work.__enter__()

    def _end(self) -> None:
        if self._work is not None:
            self._work.__exit__(None, None, None)
            self._work = None


def advance(work: Work, event: StageAdvanced | EpochEnded) -> None:
    """Move the bar."""
    if isinstance(event, StageAdvanced):
        work.update(event.done, event.total)
        return
    score = f", {event.metric} {event.score:.3f}" if event.score is not None else ""
    work.update(event.epoch, event.epochs, f"loss {event.train_loss:.3f}{score}")


def summary(result: TrainResult) -> list[str]:
    """Return what a training came to, in lines."""
    outcome = result.outcome
    rows = outcome.rows
    scores = [
        f"{name} {plain(value)} (baseline {plain(outcome.baseline.scores.values[name])})"
        for name, value in outcome.scores.values.items()
    ]
    return [
        f"{result.bundle.manifest.name}: {outcome.diagnosis.verdict}",
        *(f"  {finding}" for finding in outcome.diagnosis.findings),
        f"  held out  {rows.held_out} rows: {', '.join(scores)}",
        *folds(outcome.folds),
        f"  baseline  {outcome.baseline.name}",
        f"  parity    ONNX Runtime within {outcome.exported.difference:.1e} of PyTorch",
    ]


def folds(found: Folds | None) -> list[str]:
    """Return what a cross-validation came to, nothing without one."""
    if found is None:
        return []
    spread = f"{found.metric} {plain(found.mean)} ± {plain(found.deviation)}"
    return [f"  folds     {spread}: {', '.join(map(plain, found.scores))}"]


def as_data(result: TrainResult, version: int | None, alias: str | None) -> dict[str, Any]:
    """Return what a training came to, for a program."""
    outcome, manifest = result.outcome, result.bundle.manifest
    return {
        "model": manifest.name,
        "version": version,
        "alias": alias,
        "verdict": outcome.diagnosis.verdict,
        "findings": list(outcome.diagnosis.findings),
        "metrics": dict(outcome.scores.values),
        "baseline": {"name": outcome.baseline.name, **outcome.baseline.scores.values},
        "folds": asdict(outcome.folds) if outcome.folds else None,
        "rows": {"train": outcome.rows.train, "held_out": outcome.rows.held_out},
        "held_out": {"keys": list(outcome.held_out.keys), "targets": list(outcome.held_out.targets)},
        "parity": outcome.exported.difference,
        "size_bytes": len(result.bundle.onnx),
        "seconds": dict(outcome.seconds),
    }
