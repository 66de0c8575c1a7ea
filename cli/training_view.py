"""A training as it is seen: a bar a stage and a line for what came of it, or the events as JSON lines."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from cli.course import Course
from cli.progress import Work
from cli.terminal import Terminal, duration_text, plain, size_text
from models.scores import four_digits
from trainer.events import (
    EpochEnded,
    Event,
    Noticed,
    StageAdvanced,
    StageBegan,
    StageEnded,
    TrialEnded,
    as_json,
)
from trainer.outcome import TrainResult
from trainer.trying.folds import Folds

if TYPE_CHECKING:
    from trainer.exporting.quantization import Quantized
    from trainer.fitting.checkpoints import Checkpoint
    from trainer.fitting.spent import Spent
    from trainer.trying.trials import Trials

# The rest is on the card.
SCORES_SHOWN = (
    *("accuracy", "f1", "f1_micro", "roc_auc", "pr_auc", "log_loss", "rmse", "mae", "r2"),
    *("pinball", "coverage", "mase", "flagged"),
)


FIT = "fit"  # the stage that has epochs


class TrainingView:
    """Listens to the events of one training."""

    def __init__(self, terminal: Terminal, name: str) -> None:
        self._terminal = terminal
        self._name = name
        self._work: Work | None = None
        self._course = Course()
        self._stage = FIT

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        self._see(event)
        if self._terminal.as_json:
            self._terminal.emit({"model": self._name, **as_json(event)})
            return
        if isinstance(event, StageBegan):
            self._begin(event)
        elif isinstance(event, StageEnded):
            self._end()
            line = f"  {event.stage:<9} {duration_text(event.seconds):>7}  {event.result}"
            self._terminal.note(line, "quiet")
        elif isinstance(event, Noticed):
            self._terminal.note(f"  note: {event.text}", "warn")
        elif isinstance(event, TrialEnded):
            self._tried(event)
        elif self._work is not None:
            self._advance(self._work, event)

    def _see(self, event: Event) -> None:
        """Know where the training is."""
        if isinstance(event, EpochEnded):
            self._course.see(event)
        elif isinstance(event, StageBegan):
            self._stage = event.stage

    def note(self, text: str) -> None:
        """Say something beside the training."""
        self._terminal.note(f"  {text}", "warn")

    def stopped(self, checkpoint: "Checkpoint | None") -> None:
        """Tell that the training was ended from outside, and how to go on with it."""
        self._end()
        kept = checkpoint is not None and checkpoint.path.exists()
        cure = "; the same command with --resume goes on" if kept else ""
        if self._terminal.as_json:
            facts = {"event": "stopped", "stage": self._stage, "epoch": self._course.epoch, "resumable": kept}
            self._terminal.emit({"model": self._name, **facts})
        place = self._course.place if self._stage == FIT else f"in the stage {self._stage}"
        self._terminal.note(f"{self._name}: stopped {place}; nothing was published{cure}", "warn")

    def kept(self, folder: Path, alias: str) -> None:
        """Tell where a model that could not be stored lies, and how to store it later."""
        self._end()
        command = f"insitu publish {quote(str(folder))} --alias {alias}"
        if self._terminal.as_json:
            facts = {"event": "kept", "path": str(folder), "command": command}
            self._terminal.emit({"model": self._name, **facts})
        self._terminal.note(
            f"{self._name}: trained, but not stored; it is kept in {folder}: `{command}` stores it", "warn"
        )

    def lost(self, reason: str) -> None:
        """Tell that a model could be neither stored nor kept."""
        self._end()
        if self._terminal.as_json:
            self._terminal.emit({"model": self._name, "event": "lost", "reason": reason})
        self._terminal.note(
            f"{self._name}: trained, but neither stored nor kept in files: {reason}; make room, or name a "
            "folder with --out",
            "error",
        )

    def _tried(self, event: TrialEnded) -> None:
        value = "" if event.value is None else f" {event.value:.4g}"
        self._terminal.note(
            f"  trial {event.trial:>3} {event.state:<8}{value:>10}  {worded(event.values)}", "quiet"
        )
        if self._work is not None:
            best = "" if event.best is None else f"best: trial {event.best}"
            self._work.update(event.trial, event.trials, best)

    def _advance(self, work: Work, event: StageAdvanced | EpochEnded) -> None:
        if isinstance(event, StageAdvanced):
            work.update(event.done, event.total)
        else:
            done = (event.network - 1) * event.epochs + event.epoch
            work.update(done, event.networks * event.epochs, self._course.short, self._course.lines)

    def _begin(self, event: StageBegan) -> None:
        self._end()
        self._work = Work(self._terminal, f"{self._name}: {event.stage}", event.total)
        self._work.__enter__()

    def _end(self) -> None:
        if self._work is not None:
            self._work.__exit__(None, None, None)
            self._work = None


def summary(result: TrainResult) -> list[str]:
    """Return what a training came to, in lines."""
    outcome = result.outcome
    rows = outcome.rows
    beside = outcome.baseline.scores.values
    scores = [
        f"{name} {plain(value)}" + (f" (baseline {plain(beside[name])})" if name in beside else "")
        for name, value in outcome.scores.values.items()
        if name in SCORES_SHOWN
    ]
    return [
        f"{result.bundle.manifest.name}: {outcome.diagnosis.verdict}",
        *(f"  {finding}" for finding in outcome.diagnosis.findings),
        f"  held out  {rows.held_out} rows: {', '.join(scores)}",
        *folds(outcome.folds),
        f"  baseline  {outcome.baseline.name}",
        *answers_told(result),
        f"  parity    ONNX Runtime within {outcome.exported.difference:.1e} of PyTorch",
        *quantization(outcome.exported.quantized),
        *spent(outcome.history.privacy),
    ]


def worded(values: Mapping[str, Any]) -> str:
    """Return values by their place, as a person reads them."""
    return ", ".join(f"{path} {plain(value)}" for path, value in values.items())


def show_trials(terminal: Terminal, trials: "Trials | None") -> None:
    """Show every trial of a search as a table, and which one was chosen."""
    if trials is None:
        return
    paths = list(trials.trials[0].values)
    rows = [
        [
            number,
            one.state,
            "" if one.value is None else plain(one.value),
            one.epochs,
            *(plain(one.values[path]) for path in paths),
        ]
        for number, one in enumerate(trials.trials, 1)
    ]
    terminal.table((">trial", "state", f">{trials.by}", ">epochs", *(f">{path}" for path in paths)), rows)
    terminal.say(f"trial {trials.best} is the best and was trained again", "strong")


def spent(privacy: "Spent | None") -> list[str]:
    """Return what was spent in privacy, in a line."""
    if privacy is None:
        return []
    return [
        f"  privacy   epsilon {privacy.epsilon:.3g} at delta {privacy.delta:g}, noise {privacy.noise:.3g}"
    ]


def quantization(made: "Quantized | None") -> list[str]:
    """Return what became of smaller numbers, in lines."""
    if made is None:
        return []
    facts = [
        f"{one.to} {size_text(one.size_bytes)}, {plain(one.batch_us[1])} us alone, "
        f"{plain(one.batch_us[64])} us for 64, {made.metric} {four_digits(one.score)}"
        + (f": not served, {one.refused}" if one.refused else "")
        for one in (made.plain, *made.candidates)
    ]
    return [f"  quantize  {made.served} is served", *(f"            {fact}" for fact in facts)]


def answers_told(result: TrainResult) -> list[str]:
    """Return what was chosen about answers: the threshold, and the temperature of probabilities."""
    manifest, judgement = result.bundle.manifest, result.outcome.judgement
    lines = []
    if judgement.decided:
        facts = judgement.decided.as_data(manifest.labels)
        lines.append(f"  decision  {facts['positive']} from {facts['threshold']:.3g} on: {facts['rule']}")
    calibrated = judgement.calibration
    if calibrated and calibrated.tempering.kept:
        before, after = calibrated.before["ece"], calibrated.after["ece"]
        lines.append(
            f"  tempered  by {calibrated.tempering.temperature:g}: calibration error {before:.3f} to {after:.3f}"
        )
    return lines


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
        "decision": manifest.card["decision"],
        "temperature": (manifest.card["calibration"] or {}).get("temperature", 1.0),
        "parity": outcome.exported.difference,
        "privacy": asdict(outcome.history.privacy) if outcome.history.privacy else None,
        "search": outcome.trials.as_data() if outcome.trials else None,
        "quantization": outcome.exported.quantized.as_data() if outcome.exported.quantized else None,
        "size_bytes": len(result.bundle.onnx),
        "seconds": dict(outcome.seconds),
    }
