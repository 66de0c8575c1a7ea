"""A search over named values of a recipe: each trial is a fit, judged on the validation rows alone.

Values are drawn by optuna's TPE from the recipe's seed, so the same rows give the same trials; a
trial that does worse than most at its epoch is given up. Held-out rows are never looked at. A search
that is gone on with asks for the same values again, and tells optuna what they came to then.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from math import inf
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from models.errors import BadRecipe
from models.recipe import Recipe
from models.recipe_changes import changed
from models.recipe_search import Range, Search
from trainer.blueprints import blueprint_of
from trainer.errors import BadNetwork, CheckpointMismatch, NothingFound, TrainingDiverged
from trainer.events import EpochEnded, Event, Events, Noticed, TrialEnded
from trainer.fitting.beginning import Beginning, Learning, facts_of, fitted
from trainer.fitting.checkpoints import Checkpoint
from trainer.fitting.fit import FALLING
from trainer.fitting.starting import Start
from trainer.trying.trials import Trial, Trials

TRIALS_BEFORE_PRUNING = 5
EPOCHS_BEFORE_PRUNING = 5
STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


class GivenUp(Exception):
    """A trial that is not worth its other epochs."""


@dataclass(slots=True)
class Searching:
    """One search while it lasts."""

    recipe: Recipe
    search: Search
    learning: Learning
    events: Events
    start: Start | None = None
    checkpoint: Checkpoint | None = None
    trials: list[Trial] = field(default_factory=list)
    reason: str = "none was begun"

    def run(self) -> tuple[Recipe, Trials]:
        """Try, and return the recipe with the best values and without the search.

        Raises: NothingFound, no trial came to an end; BadCheckpoint, CheckpointMismatch.
        """
        study = self._study()
        ended = self._go_on(study)
        began = time.monotonic() - sum(one.seconds for one in self.trials)
        while not ended and len(self.trials) < self.search.trials:
            if self.search.minutes is not None and time.monotonic() - began > 60 * self.search.minutes:
                break
            self._try(study)
        if self.checkpoint is not None and not ended:
            self.checkpoint.tried(None)
        best = self._best()
        if best is None:
            raise NothingFound(len(self.trials), self.reason)
        chosen: Recipe = changed(self.recipe, {**self.trials[best - 1].values, "search": None}, "search")
        return chosen, Trials(self._named, best, tuple(self.trials))

    def _study(self) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        pruner = optuna.pruners.MedianPruner(TRIALS_BEFORE_PRUNING, EPOCHS_BEFORE_PRUNING)
        return optuna.create_study(
            sampler=optuna.samplers.TPESampler(seed=self.recipe.training.seed),
            pruner=pruner if self.search.prune else optuna.pruners.NopPruner(),
        )

    def _go_on(self, study: optuna.Study) -> bool:
        """Take over the trials that a checkpoint has, and return whether the search was over then."""
        if self.checkpoint is None:
            return False
        found = self.checkpoint.begin_search(facts_of(self.recipe, self.learning, self.start))
        for kept in found["trials"]:
            asked = self._asked(study)
            self._check_same(asked, kept["trial"]["values"])
            for epoch, value in kept["reported"]:
                asked.report(value, epoch)
            self._end(study, asked, Trial(**kept["trial"]), kept["best"])
            self.reason = kept["reason"]
        if self.trials:
            what = "the search was done" if found["ended"] else "the search goes on"
            self.events(Noticed(f"{what} after trial {len(self.trials)} of {self.search.trials}"))
        return bool(found["ended"])

    def _check_same(self, asked: optuna.Trial, values: dict[str, Any]) -> None:
        """Refuse trials that another version of optuna has drawn."""
        if asked.params != values and self.checkpoint is not None:
            number = len(self.trials) + 1
            told = f"trial {number} has {values} there, {asked.params} is drawn here"
            raise CheckpointMismatch(str(self.checkpoint.path), told, ["search"])

    def _asked(self, study: optuna.Study) -> optuna.Trial:
        return study.ask({path: distribution(one) for path, one in self.search.space.items()})

    def _try(self, study: optuna.Study) -> None:
        asked = self._asked(study)
        watch = Watch(self.search.by, self.learning.task.metric, asked)
        began = time.monotonic()
        state = self._state(asked.params, watch)
        value = None if watch.best == inf else watch.turned(watch.best)
        seconds = round(time.monotonic() - began, 3)
        trial = Trial(dict(asked.params), state, value, len(watch.reported), seconds)
        self._end(study, asked, trial, watch.best)
        if self.checkpoint is not None:
            facts = {"reported": watch.reported, "best": watch.best, "reason": self.reason}
            self.checkpoint.tried({"trial": asdict(trial), **facts})
        count = len(self.trials)
        self.events(TrialEnded(count, self.search.trials, asked.params, state, value, self._best(), seconds))

    def _end(self, study: optuna.Study, asked: optuna.Trial, trial: Trial, lowest: float) -> None:
        """Take note of a trial. optuna minimises: a metric of which more is better is turned round in `lowest`."""
        study.tell(asked, lowest if trial.state == "complete" else None, STATES[trial.state])
        self.trials.append(trial)

    def _state(self, values: dict[str, Any], watch: "Watch") -> str:
        """Fit one set of values, and return how that ended."""
        try:
            # One network tells what values are worth.
            alone = {**values, "training.ensemble": 1, "search": None}
            recipe: Recipe = changed(self.recipe, alone, "search")
            learning = replace(self.learning, blueprint=blueprint_of(recipe))
            fitted(recipe, learning, watch, Beginning(None, self.start))
        except GivenUp:
            return "pruned"
        except (TrainingDiverged, BadNetwork, BadRecipe) as error:
            self.reason = str(error)
            return "failed"
        return "complete" if watch.best < inf else "failed"

    def _best(self) -> int | None:
        """Return the number of the best complete trial."""
        done = [
            (number, one.value)
            for number, one in enumerate(self.trials, 1)
            if one.state == "complete" and one.value is not None
        ]
        turn = direction(self.search.by, self.learning.task.metric)
        return min(done, key=lambda one: turn(one[1]))[0] if done else None

    @property
    def _named(self) -> str:
        metric = self.learning.task.metric
        return "validation loss" if self.search.by == "loss" else f"validation {metric}"


@dataclass(slots=True)
class Watch:
    """Listens to the epochs of one trial, and gives it up where optuna would."""

    by: str
    metric: str
    trial: optuna.Trial
    best: float = inf
    reported: list[tuple[int, float]] = field(default_factory=list)  # epochs, and what each came to

    def __call__(self, event: Event) -> None:
        """Take an epoch into account.

        Raises: GivenUp.
        """
        if not isinstance(event, EpochEnded):
            return
        found = event.validation_loss if self.by == "loss" else event.score
        value = inf if found is None else self.turned(found)
        self.reported.append((event.epoch, value))
        self.best = min(self.best, value)
        self.trial.report(value, event.epoch)
        if self.trial.should_prune():
            raise GivenUp

    def turned(self, value: float) -> float:
        """Return a value of which less is better, and back."""
        return direction(self.by, self.metric)(value)


def direction(by: str, metric: str) -> Callable[[float], float]:
    """Return what makes less the better of a value."""
    falling = by == "loss" or metric in FALLING
    return (lambda value: value) if falling else (lambda value: -value)


def distribution(values: Range) -> BaseDistribution:
    """Return a range as optuna knows it."""
    if values.kind == "choice":
        return CategoricalDistribution(values.values)
    low, high = values.values
    if values.kind == "int":
        return IntDistribution(low, high)
    return FloatDistribution(float(low), float(high), log=values.kind == "log")
