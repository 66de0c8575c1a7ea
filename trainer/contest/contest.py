"""Champion and challenger: both answer the same rows, and the better one is what an alias points to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle
from models.manifest import Manifest
from models.recipe import Recipe
from models.store import ModelStore
from trainer.contest.champion import Answers, ask_champion, champion_of, check_numbers, in_order_of, of_shape
from trainer.contest.rereading import ask_rows, lies_at_keys
from trainer.contest.unseen import unseen_by, unseen_by_all
from trainer.errors import Incomparable
from trainer.fitting.lineage import lineage_of, words_of
from trainer.judging.comparison import Comparison, Contender, compare
from trainer.judging.questions import Answered, Question
from trainer.outcome import TrainResult


@dataclass(frozen=True, slots=True)
class Contest:
    """Whether a challenger shall take the champion's place, and why; `champion` is its version, if any."""

    promoted: bool
    why: str
    champion: int | None = None
    comparison: Comparison | None = None

    def as_data(self) -> dict[str, Any]:
        """Return it for a program."""
        facts: dict[str, Any] = {"promoted": self.promoted, "why": self.why, "champion": self.champion}
        one = self.comparison
        if one is None:
            return facts
        return facts | {
            "rows": one.rows,
            "measure": one.measure,
            "scores": {"champion": one.champion, "challenger": one.challenger},
            "saved": [one.saved.low, one.saved.high],
            "right_alone": {"champion": one.only_champion, "challenger": one.only_challenger},
            "mcnemar": one.mcnemar,
        }


async def challenge(
    store: ModelStore, recipe: Recipe, result: TrainResult, alias: str, folder: Path | None = None
) -> Contest:
    """Compare a new model with the one that an alias points to, on rows that neither has learned from.

    `folder` is the recipe's own, from where the path of its rows is seen.

    Raises: BundleCorrupt, ManifestUnreadable, RedisUnavailable, RedisRefused.
    """
    champion = await champion_of(store, recipe.name, alias)
    if champion is None:
        return Contest(True, f"there is no champion yet: {alias} points to no version of {recipe.name}")
    version = champion.manifest.version
    try:
        comparison, how = await compared(store, recipe, result, champion, folder)
    except Incomparable as misfit:
        return Contest(False, f"{misfit}; --promote-if always promotes it unasked", version)
    return Contest(comparison.better, f"{comparison.words} ({how})", version, comparison)


async def compared(
    store: ModelStore, recipe: Recipe, result: TrainResult, champion: Bundle, folder: Path | None = None
) -> tuple[Comparison, str]:
    """Let both answer the held-out rows that the champion has not learned from.

    Raises: Incomparable, and as `challenge`.
    """
    outcome, manifest = result.outcome, champion.manifest
    if manifest.task != result.bundle.manifest.task:
        raise Incomparable(f"the champion answers another question: {manifest.task}")
    check_numbers(manifest, result.bundle.manifest)
    given = outcome.answered
    new, how = await new_to_both(store, result, manifest)
    if not new.any():
        raise Incomparable(f"no row is new to both: {how}{parted(recipe, champion)}")
    wanted = given.take(np.flatnonzero(new))
    if lies_at_keys(recipe):
        rival = await ask_champion(store, champion, wanted.keys)
    else:
        rival = await ask_rows(store, recipe, folder, champion, wanted)
    contenders = (
        Contender(answers_of(outcome.question, champion, rival, wanted), manifest.threshold),
        Contender(wanted.answers[rival.rows], result.bundle.manifest.threshold),
    )
    cost = recipe.decision.cost if recipe.decision else None
    costs = (cost.false_positive, cost.false_negative) if cost else None
    comparison = compare(outcome.question, wanted.truth[rival.rows], contenders, costs)
    if comparison is None:
        raise Incomparable(f"a model that answers {outcome.question.kind} has no score for each row")
    return comparison, how + parted(recipe, champion)


async def new_to_both(
    store: ModelStore, result: TrainResult, champion: Manifest
) -> tuple[NDArray[np.bool_], str]:
    """Return which held-out rows neither has learned from, nor a version that either began with, and how that is known.

    Raises: RedisUnavailable, RedisRefused.
    """
    keys, windows = result.outcome.answered.keys, result.outcome.held_out.windows
    theirs = await lineage_of(store, champion)
    ours = (await lineage_of(store, result.bundle.manifest)).before
    known = unseen_by(champion, keys, windows)
    before = unseen_by_all(theirs.before, keys, windows) & unseen_by_all(ours, keys, windows)
    new = known.mask & before
    told = [known.how, *words_of(theirs.before, "it"), *words_of(ours, "the challenger")]
    return (
        new,
        f"of the {len(keys)} rows held out {int(new.sum())} are new to version {champion.version}: {'; '.join(told)}",
    )


def answers_of(question: Question, champion: Bundle, rival: Answers, given: Answered) -> Any:
    """Return a champion's answers in the form of the challenger's.

    Raises: Incomparable, labels or shapes that do not fit.
    """
    if question.kind == "classification":
        return in_order_of(question.labels, champion, rival.output)
    if question.kind == "multilabel" and champion.manifest.labels != question.labels:
        raise Incomparable(f"the champion knows other labels: {', '.join(champion.manifest.labels)}")
    return of_shape(rival.output, given.answers)


def parted(recipe: Recipe, champion: Bundle) -> str:
    """Return how the two recipes part their rows otherwise, nothing where they do alike."""
    theirs = (champion.manifest.recipe or {}).get("training") or {}
    ours = recipe.training
    usual = type(ours).model_fields
    differing = [
        f"{name} {theirs.get(name, usual[name].default)} and {getattr(ours, name)}"
        for name in ("seed", "test", "stratified")
        if theirs.get(name, usual[name].default) != getattr(ours, name)
    ]
    if champion.manifest.recipe is None or not differing:
        return ""
    return f"; the two recipes part their rows otherwise ({', '.join(differing)})"
