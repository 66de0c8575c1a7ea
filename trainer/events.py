"""What happens while a model is made, told to whoever shows it: a progress bar, JSON lines, nobody.

The trainer itself prints nothing. A listener that raises stops the work.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class StageBegan:
    """A part of the work begins; `total` is how much there is to do, None when not known yet."""

    stage: str
    total: int | None = None


@dataclass(frozen=True, slots=True)
class StageAdvanced:
    """So much of a stage is done."""

    stage: str
    done: int
    total: int | None = None


@dataclass(frozen=True, slots=True)
class StageEnded:
    """A stage is over; `result` says in one line what came of it."""

    stage: str
    seconds: float
    result: str


@dataclass(frozen=True, slots=True)
class EpochEnded:
    """Every training row was seen once more.

    `score` is the metric on the validation rows, None without any; `best` whether this epoch's
    weights are the ones kept so far; `network` which of an ensemble it is, from 1.
    """

    epoch: int
    epochs: int
    train_loss: float
    validation_loss: float | None
    metric: str
    score: float | None
    best: bool
    seconds_left: float
    network: int = 1
    networks: int = 1


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something that was asked for is done otherwise here, or not at all."""

    text: str


@dataclass(frozen=True, slots=True)
class TrialEnded:
    """One set of values was tried.

    `state` is one of complete, pruned, failed; `value` what it came to, of which `best` trial, from
    1, has the best so far.
    """

    trial: int
    trials: int
    values: Mapping[str, Any]
    state: str
    value: float | None
    best: int | None
    seconds: float


Event = StageBegan | StageAdvanced | StageEnded | EpochEnded | Noticed | TrialEnded
Events = Callable[[Event], None]


def silent(_event: Event) -> None:
    """Listen to nothing."""


def as_json(event: Event) -> dict[str, object]:
    """Return an event as one JSON object: `{"event": "epoch_ended", ...}`."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(event).__name__).lower()
    return {"event": name, **asdict(event)}


@dataclass(slots=True)
class Stage:
    """A stage while it lasts: `advance` as it goes, `result` before it ends."""

    name: str
    events: Events
    total: int | None = None
    result: str = ""

    def advance(self, done: int) -> None:
        """Tell how much is done."""
        self.events(StageAdvanced(self.name, done, self.total))


@dataclass(slots=True)
class Journal:
    """Tells the events of one run and keeps how long each stage took, in seconds."""

    events: Events = silent
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Stage]:
        """Tell that a stage begins and, unless it fails, that it ended."""
        stage = Stage(name, self.events, total)
        self.events(StageBegan(name, total))
        began = time.monotonic()
        yield stage
        self.seconds[name] = round(time.monotonic() - began, 3)
        self.events(StageEnded(name, self.seconds[name], stage.result))
