"""Whether a network learned too much, too little or nothing at all, with chance taken into account."""

from collections.abc import Callable, Iterator
from math import isfinite, nan

import numpy as np

from trainer.judging.evidence import Evidence
from trainer.judging.findings import Finding
from trainer.judging.questions import Array, Floats, Scores

GAP_LARGE = 0.05
NOISE_DEVIATIONS = 2.0
SIGNAL_SMALL = 0.02
NOISE_MOST = 0.05  # with more of it nobody can tell nothing from little


def signs(evidence: Evidence) -> Iterator[Finding]:
    """Say how well it fits."""
    nothing = tuple(no_signal(evidence))
    yield from nothing
    yield from overfitting(evidence)
    if not nothing:
        yield from underfitting(evidence)
    yield from behind_the_last_value(evidence)


def margin(evidence: Evidence) -> float:
    """Return the difference of two scores that is neither small nor chance."""
    return max(GAP_LARGE, NOISE_DEVIATIONS * evidence.noise)


def overfitting(evidence: Evidence) -> Iterator[Finding]:
    """Say what to do about a network that remembers its rows."""
    gap = evidence.own - evidence.new
    if gap > margin(evidence):
        yield Finding(
            "overfitting",
            f"it is {gap:.3f} better on rows it has seen{rose(evidence)}",
            "take more dropout or weight_decay, a smaller network, or more rows",
        )


def rose(evidence: Evidence) -> str:
    """Return how far the validation loss rose after its best epoch."""
    losses = evidence.course.validation
    best = evidence.course.best
    if not losses or best >= len(losses) or losses[-1] < 1.05 * losses[best - 1]:
        return ""
    return (
        f", and after epoch {best} the validation loss rose from {losses[best - 1]:.3g} to {losses[-1]:.3g} "
        "while the training loss fell"
    )


def underfitting(evidence: Evidence) -> Iterator[Finding]:
    """Say what to do about a network that knows neither its own rows nor new ones as a simple model knows new ones."""
    name, best = best_rival(evidence, lambda scores: scores.values.get(evidence.metric, nan))
    if max(evidence.own, evidence.new) < best - margin(evidence):
        yield Finding(
            "underfitting",
            f"it knows its own rows less well ({evidence.own:.3f}) than {name} knows new ones ({best:.3f})",
            "take more epochs, a larger lr or network, or begin with standardize",
        )
    else:
        yield from out_of_order(evidence)


def out_of_order(evidence: Evidence) -> Iterator[Finding]:
    """Say when it puts rows of a label before others no oftener than by chance, and a simple model does."""
    if evidence.question.kind != "classification":
        return
    chance = NOISE_DEVIATIONS * deviation_of_area(evidence.held_out.given.truth)
    own, (name, best) = area_of(evidence.on_held_out), best_rival(evidence, area_of)
    if own - 0.5 <= chance < min(best - 0.5, best - own):
        yield Finding(
            "underfitting",
            f"it orders new rows hardly better than chance (area under the ROC curve {own:.3f}), {name} does "
            f"({best:.3f})",
            "take more epochs, a larger lr or network, or begin with standardize",
        )


def best_rival(evidence: Evidence, value: Callable[[Scores], float]) -> tuple[str, float]:
    """Return the simple model that has the most of a score on new rows, in words, and how much."""
    rivals = [("the linear baseline", value(evidence.baseline))]
    if evidence.forest is not None:
        rivals.append(("a forest", value(evidence.forest)))
    return max(rivals, key=lambda rival: rival[1])


def area_of(scores: Scores) -> float:
    """Return the area under the ROC curve, that of chance where it is not known."""
    area = scores.values.get("roc_auc", nan)
    return area if isfinite(area) else 0.5


def behind_the_last_value(evidence: Evidence) -> Iterator[Finding]:
    """Say when a forecast errs more on new rows than saying the last known value again, beyond chance."""
    own, new = (scores.values.get("mase", nan) for scores in (evidence.on_train, evidence.on_held_out))
    given = evidence.held_out.given
    if not new > 1 + GAP_LARGE or given.naive is None:
        return
    naive = np.broadcast_to(given.naive, given.truth.shape)
    more = errors_of(given.answers, given.truth) - errors_of(naive, given.truth)
    if more.mean() <= NOISE_DEVIATIONS * more.std() / np.sqrt(len(more)):
        return
    told = f"on new rows it errs {new:.3g} times as much as saying the last known value again (mase)"
    if own <= 1:
        yield Finding(
            "overfitting",
            f"{told}, on rows it has seen {own:.3g} times",
            "take more steps of the series (`last`, `windows`), a smaller network, or more dropout or weight_decay",
        )
    else:
        yield Finding(
            "underfitting",
            told,
            "take more epochs, a larger lr or network, or more steps of the series (`last`)",
        )


def errors_of(said: Array, truth: Array) -> Floats:
    """Return the mean absolute error of each row of a forecast."""
    rows = len(truth)
    apart: Floats = np.abs(said.reshape(rows, -1).astype(np.float64) - truth.reshape(rows, -1)).mean(1)
    return apart


def no_signal(evidence: Evidence) -> Iterator[Finding]:
    """Say when nothing that was tried is better than saying always the same, or when nobody can tell."""
    best = max(scores.values.get(evidence.metric, nan) for scores in evidence.tried)
    chance = evidence.constant
    if not best - chance < max(SIGNAL_SMALL, evidence.noise) or ranked(evidence):
        return
    names = "the network, the linear baseline" + (" and a forest" if evidence.forest is not None else "")
    told = f"{names} reach {best:.3f} at best on new rows, saying always the same reaches {chance:.3f}"
    if evidence.noise <= NOISE_MOST:
        yield Finding(
            "no signal",
            told,
            "the features seem to tell nothing about the target; check that keys and targets belong "
            "together, and add features",
        )
    else:
        yield Finding(
            "too little data",
            f"{told}, and chance alone moves a score by {evidence.noise:.3f}, so nobody can tell whether the features "
            "say anything about the target",
            "collect more rows, or hold a larger share out (training.test)",
        )


def ranked(evidence: Evidence) -> bool:
    """Whether rows of a label are put before others more often than by chance.

    Where one label is frequent, that may be all there is to be known: the likeliest label is always the same.
    """
    if evidence.question.kind != "classification":
        return False
    best = max(map(area_of, evidence.tried))
    return best - 0.5 > NOISE_DEVIATIONS * deviation_of_area(evidence.held_out.given.truth)


def deviation_of_area(truth: Array) -> float:
    """Return how far chance moves the area under the ROC curve of answers that know nothing; classes (N,).

    Source: Mann and Whitney 1947, the variance of U where both samples are of one distribution.
    """
    counts = np.unique(truth, return_counts=True)[1].astype(np.float64)
    return float(np.sqrt((len(truth) + 1) / (12 * counts * np.maximum(len(truth) - counts, 1))).mean())
