"""Checkpoint: one training's state in one file, replaced whole, so that a kill at any moment leaves one to go on from.

It is written between two epochs and holds weights, optimizer, schedule, random numbers and history,
and what it is a checkpoint of; after each trial of a search, and each fold, those that are done. Knows no
network and no recipe: both come as plain data. Reading one runs no code that a file could bring (`weights_only`).
"""

import os
import pickle
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from models.errors import shown
from trainer.errors import BadCheckpoint, CheckpointMismatch

FORMAT = 1
DIFFERENCES_SHOWN = 3
State = dict[str, Any]


@dataclass(slots=True)
class Checkpoint:
    """Where a training is kept, how often, and whether it goes on from there.

    Units: `every_seconds` of wall time and, where given, `every_epochs`; whichever comes first.
    """

    path: Path
    every_seconds: float = 30.0
    every_epochs: int | None = None
    resume: bool = False
    found: State | None = None
    finished: list[State] = field(default_factory=list)
    """The networks of an ensemble that are done; `found` is of the one after them."""
    searched: State | None = None
    """A search: the `facts` that it is of, the `trials` that are done, and whether it has `ended`."""
    folded: State | None = None
    """A cross-validation: the `facts` that it is of, and the `folds` that are done."""
    running: bool = False
    """Whether epochs are being run, so that `stop` is heard."""
    _facts: Mapping[str, Any] = field(default_factory=dict)
    _stopping: bool = False
    _written: float = 0.0
    _open: bool = False
    _saved: State | None = None

    def begin_search(self, facts: Mapping[str, Any]) -> State:
        """Read what there is of the search of the same recipe and rows, and return it as `searched`.

        Raises: as `begin`.
        """
        self.searched = self._begun("searched", {"trials": [], "ended": False}, facts)
        return self.searched

    def begin_folds(self, facts: Mapping[str, Any]) -> State:
        """Read what there is of the cross-validation of the same recipe and rows, and return it as `folded`.

        Raises: as `begin`.
        """
        self.folded = self._begun("folded", {"folds": []}, facts)
        return self.folded

    def scored(self, fold: State) -> None:
        """Keep a fold that is done.

        Raises: BadCheckpoint, the file cannot be written.
        """
        if self.folded is None:
            raise RuntimeError("no cross-validation has begun")
        self.folded["folds"].append(fold)
        self.write(None)

    def tried(self, trial: State | None) -> None:
        """Keep a trial that is done; None, the search is.

        Raises: BadCheckpoint, the file cannot be written.
        """
        if self.searched is None:
            raise RuntimeError("no search has begun")
        if trial is None:
            self.searched["ended"] = True
        else:
            self.searched["trials"].append(trial)
        self.write(None)

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Read what there is, of the same recipe and rows, into `found`.

        Raises: BadCheckpoint, unreadable, or there without being asked to go on, or no place to write;
            CheckpointMismatch, of another recipe or other rows.
        """
        saved = self._opened()
        self._facts = facts
        self._written = time.monotonic()
        if saved is not None and not self._of_search(saved):
            check_same(saved["facts"], facts, self.path)
            self.found, self.finished = saved["state"], saved["finished"]

    def _begun(self, what: str, fresh: State, facts: Mapping[str, Any]) -> State:
        """Return what there is of one part of a training, of the same recipe and rows; else it as it begins."""
        saved = self._opened()
        self._facts = facts
        known = None if saved is None else saved[what]
        if saved is not None and (known is not None or not self._of_search(saved)):
            check_same((known or saved)["facts"], facts, self.path)
        return {**(known or fresh), "facts": dict(facts)}

    def _of_search(self, saved: State) -> bool:
        """Whether a file was written during this search, before anything that follows from its best values."""
        return self.searched is not None and saved["folded"] is None and saved["state"] is None

    def _opened(self) -> State | None:
        """Return what the file holds, read once; without one, that it can be written is seen."""
        if not self._open:
            if self.path.exists() and not self.resume:
                raise BadCheckpoint(
                    f"{self.path} holds an unfinished training; add --resume to go on with it, or delete it",
                    path=str(self.path),
                )
            if self.path.exists():
                self._saved = read(self.path)
            else:
                check_place(self.path)
            self._open = True
        return self._saved

    def due(self, epoch: int) -> bool:
        """Whether it is time to write, after this epoch."""
        by_epochs = self.every_epochs is not None and epoch % self.every_epochs == 0
        return self._stopping or by_epochs or time.monotonic() - self._written >= self.every_seconds

    def write(self, state: State | None) -> None:
        """Put the state of a fit, None before there is one, in the place of what was there, in one move.

        Raises: BadCheckpoint, the file cannot be written.
        """
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with beside.open("wb") as file:
                held = {"facts": dict(self._facts), "state": state, "finished": self.finished}
                done = {"searched": self.searched, "folded": self.folded}
                torch.save({"format": FORMAT, **done, **held}, file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise unwritable(self.path, error) from error
        self._written = time.monotonic()

    def finish(self, network: State) -> None:
        """Keep a network of an ensemble, which is done; what is written from now on is of the next one."""
        self.finished.append(network)
        self.found = None

    def stop(self) -> None:
        """Ask the training to write after this epoch and to end."""
        self._stopping = True

    def heed(self) -> None:
        """End the training if that was asked for.

        Raises: KeyboardInterrupt.
        """
        if self._stopping:
            raise KeyboardInterrupt

    def remove(self) -> None:
        """Delete the file: the training is over and its result is kept elsewhere."""
        self.path.unlink(missing_ok=True)


UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError)


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Raises: BadCheckpoint, it is none, or of another format.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        known = {"facts": saved["facts"], "state": saved["state"], "finished": saved.get("finished", [])}
        known |= {"searched": saved.get("searched"), "folded": saved.get("folded")}
        read_as = saved["format"]
    except UNREADABLE as error:
        raise unreadable(path, str(error)) from error
    if read_as != FORMAT:
        raise unreadable(path, f"it has format {read_as}, this program reads {FORMAT}")
    return known


def unreadable(path: Path, reason: str) -> BadCheckpoint:
    """Return the error for a file that is no checkpoint."""
    first = (reason.splitlines() or ["it is empty"])[0]
    return BadCheckpoint(
        f"{path} cannot be read as a checkpoint ({shown(first)}); delete it and begin anew", path=str(path)
    )


def check_place(path: Path) -> None:
    """Refuse a place that cannot be written to, before any work.

    Raises: BadCheckpoint.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = path.with_name(f".{path.name}.{os.getpid()}")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> BadCheckpoint:
    """Return the error for a place that cannot be written to."""
    return BadCheckpoint(
        f"checkpoint {path} cannot be written: {error.strerror}; name another directory",
        path=str(path),
    )


def check_same(there: Mapping[str, Any], here: Mapping[str, Any], path: Path) -> None:
    """Refuse a checkpoint of something else.

    Raises: CheckpointMismatch, naming what differs.
    """
    saved, wanted = dict(flat(there)), dict(flat(here))
    named = [name for name in {**saved, **wanted} if saved.get(name) != wanted.get(name)]
    if named:
        told = [f"{name} is {text(saved, name)} there, {text(wanted, name)} here" for name in named]
        more = f", and {len(named) - DIFFERENCES_SHOWN} more" if len(named) > DIFFERENCES_SHOWN else ""
        raise CheckpointMismatch(str(path), "; ".join(told[:DIFFERENCES_SHOWN]) + more, named)


def text(values: Mapping[str, Any], name: str) -> str:
    """Return a value as a person reads it."""
    return shown(values[name]) if name in values else "not set"


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Give every single value in nested data with its dotted name; entries of lists are counted from 1."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value, 1):
            yield from flat(inner, f"{name}.{number}")
    else:
        yield name, value
