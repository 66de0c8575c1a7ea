"""The scores that get a confidence interval, as functions of resampled rows."""

import numpy as np

from trainer.judging.intervals import Area, Interval, Mean, Statistic, Sums, intervals
from trainer.judging.labels import SMALLEST_PROBABILITY, brier_scores, log_losses
from trainer.judging.questions import EVEN, Answered, Array, Floats, Question, said_labels
from trainer.judging.reliability import BINS, bin_numbers, calibration_error, error_by_chance
from trainer.judging.values import columns

LABELS_DRAWN = 50  # with more, what follows from each label's own rows gets no interval


def confidence(question: Question, given: Answered, seed: int = 0) -> dict[str, Interval]:
    """Return the intervals of a model's scores; rows of each label are drawn among themselves."""
    found = STATISTICS[question.kind](question, given)
    alone = np.zeros(len(given), np.int64)
    strata = given.truth.astype(np.int64) if question.kind == "classification" else alone
    drawn = intervals(found, strata, seed, given.weights) if found else {}
    if "ece" in drawn:
        drawn["ece"] = of_gaps(drawn["ece"], *sure_and_right(question, given), given.weights, seed)
    return drawn


def of_gaps(drawn: Interval, sure: Floats, right: Array, weights: Floats | None, seed: int) -> Interval:
    """Return the interval of a calibration error: chance makes gaps larger, of resamples once more than of the rows.

    So it reaches as far below the error as above, and to 0 where an honest model's would be as large by chance.
    """
    each = None if weights is None else np.repeat(weights, sure.size // len(weights))
    error = calibration_error(sure.reshape(-1), right.reshape(-1), each)
    honest = error <= error_by_chance(sure.reshape(-1), each, seed)
    high = max(error, drawn.high)
    return Interval(0.0 if honest else max(0.0, 2 * error - high), high, drawn.deviation)


def sure_and_right(question: Question, given: Answered) -> tuple[Floats, Array]:
    """Return how sure the likelier answers are, and which are right: (N,), or (N, L) of several labels at once."""
    probabilities = given.answers.astype(np.float64)
    if question.kind == "multilabel":
        return np.maximum(probabilities, 1 - probabilities), (probabilities >= EVEN) == given.truth
    return probabilities.max(-1), probabilities.argmax(-1) == given.truth


def classification(question: Question, given: Answered) -> dict[str, Statistic]:
    """Return the scores of one label of several."""
    truth, probabilities = given.truth.astype(np.int64), given.answers.astype(np.float64)
    said = said_labels(question, probabilities)
    found: dict[str, Statistic] = {
        "accuracy": mean_of(said == truth),
        "log_loss": mean_of(log_losses(probabilities, truth)),
        "brier": mean_of(brier_scores(probabilities, truth)),
        "ece": calibration(*sure_and_right(question, given)),
    }
    count = len(question.labels)
    if count > LABELS_DRAWN:
        return found
    marks = np.eye(count)
    each = np.concatenate([marks[truth], marks[said], marks[truth] * (said == truth)[:, None]], axis=1)
    found |= {"balanced_accuracy": Sums(each, mean_recall), "f1": Sums(each, mean_f1)}
    if len(np.unique(truth)) == count:
        wanted = (question.positive,) if question.binary else range(count)
        for name, precision in (("roc_auc", False), ("pr_auc", True)):
            found[name] = Mean(
                tuple(Area(probabilities[:, label], truth == label, precision) for label in wanted)
            )
    return found


def multilabel(question: Question, given: Answered) -> dict[str, Statistic]:
    """Return the scores of several labels at once."""
    truth, probabilities = given.truth.astype(np.int64), given.answers.astype(np.float64)
    said = probabilities >= (EVEN if question.threshold is None else question.threshold)
    right = np.where(truth == 1, probabilities, 1 - probabilities)
    losses = -np.log(np.maximum(right, SMALLEST_PROBABILITY)).mean(1)
    every = np.stack([truth, said, truth * said]).astype(np.float64)  # (3, N, L)
    found: dict[str, Statistic] = {
        "accuracy": mean_of((said == truth).all(1)),
        "hamming": mean_of((said != truth).mean(1)),
        "log_loss": mean_of(losses),
        "brier": mean_of(np.square(1 - right).mean(1)),
        "ece": calibration(*sure_and_right(question, given)),
        "f1_micro": Sums(every.sum(2).T, mean_f1),
    }
    if truth.shape[1] > LABELS_DRAWN:
        return found
    found["f1"] = Sums(np.concatenate(list(every), axis=1), mean_f1)
    there = [label for label in range(truth.shape[1]) if 0 < truth[:, label].sum() < len(truth)]
    for name, precision in (("roc_auc", False), ("pr_auc", True)):
        areas = (Area(probabilities[:, label], truth[:, label] == 1, precision) for label in there)
        found |= {name: Mean(tuple(areas))} if there else {}
    return found


def regression(_question: Question, given: Answered) -> dict[str, Statistic]:
    """Return the scores of values; those of a row are taken together."""
    truth, said = columns(given.truth), columns(given.answers)
    error = said - truth
    found: dict[str, Statistic] = {
        "rmse": Sums(with_count(np.square(error).mean(1)), root_mean),
        "mae": mean_of(np.abs(error).mean(1)),
    }
    varied = np.flatnonzero(np.ptp(truth, axis=0))
    if 0 < len(varied) <= LABELS_DRAWN:
        # Shifted, so that the squares of large values do not drown their differences.
        true, errors = truth[:, varied] - truth[:, varied].mean(0), error[:, varied]
        sums = np.concatenate([np.ones_like(true), true, np.square(true), np.square(errors)], axis=1)
        found["r2"] = Sums(sums, share_explained)
    return found


def quantiles(question: Question, given: Answered) -> dict[str, Statistic]:
    """Return the scores of quantiles: the mean pinball loss and the coverage of the outer two."""
    truth = columns(given.truth)
    said = given.answers.astype(np.float64).reshape(*truth.shape, len(question.quantiles))
    shares = np.array(question.quantiles)
    over = truth[..., None] - said
    inside = (truth >= said.min(-1)) & (truth <= said.max(-1))
    middle = said[..., int(np.argmin(np.abs(shares - EVEN)))]
    losses = np.maximum(shares * over, (shares - 1) * over).mean(1)  # (N, Q)
    return regression(question, Answered(middle, truth)) | {
        "pinball": mean_of(losses.mean(1)),
        **{f"pinball_{share:g}": mean_of(losses[:, at]) for at, share in enumerate(question.quantiles)},
        "coverage": mean_of(inside.mean(1)),
    }


def forecast(question: Question, given: Answered) -> dict[str, Statistic]:
    """Return the scores of steps to come."""
    found = regression(question, given)
    if given.naive is not None:
        truth, said = columns(given.truth), columns(given.answers)
        naive = columns(np.broadcast_to(given.naive, given.truth.shape))
        errors = np.stack([np.abs(one - truth).mean(1) for one in (said, naive)], axis=1)
        found |= {"mase": Sums(errors, ratio)} if errors[:, 1].any() else {}
    return found


def anomaly(question: Question, given: Answered) -> dict[str, Statistic]:
    """Return the scores of anomaly scores."""
    scores = given.answers.reshape(-1).astype(np.float64)
    found: dict[str, Statistic] = {"mean_score": mean_of(scores)}
    if question.spread:
        spread = question.spread
        found["r2"] = Sums(with_count(scores), lambda total: 1 - ratio(total) / spread)
    if question.threshold is not None:
        found["flagged"] = mean_of(scores > question.threshold)
    if given.targets is not None and len(np.unique(given.targets)) == 2:
        found["roc_auc"] = Area(scores, given.targets == 1)
        found["pr_auc"] = Area(scores, given.targets == 1, precision=True)
    return found


STATISTICS = {
    "classification": classification,
    "multilabel": multilabel,
    "regression": regression,
    "quantiles": quantiles,
    "forecast": forecast,
    "anomaly": anomaly,
}


def with_count(values: Array) -> Floats:
    """Return (N,) as (N, 2): the value, and one."""
    return np.stack([values.astype(np.float64), np.ones(len(values))], axis=1)


def mean_of(values: Array) -> Sums:
    """Return the mean of a number a row."""
    return Sums(with_count(values), ratio)


def calibration(certainty: Floats, right: Array) -> Sums:
    """Return the expected calibration error: certainty and right (N,), or (N, L) of several labels a row."""
    gaps, numbers = columns(certainty) - columns(right), bin_numbers(columns(certainty))
    by_bin = [np.where(numbers == number, gaps, 0.0).sum(1) for number in range(BINS)]
    sums = np.stack([*by_bin, np.full(len(gaps), float(gaps.shape[1]))], axis=1)
    return Sums(sums, lambda total: np.abs(total[:, :-1]).sum(1) / total[:, -1])


def ratio(total: Floats) -> Floats:
    """Return the first sum over the last."""
    return total[:, 0] / total[:, -1]


def root_mean(total: Floats) -> Floats:
    """Return the root of a mean."""
    root: Floats = np.sqrt(ratio(total))
    return root


def share_explained(total: Floats) -> Floats:
    """Return the mean R2 of the values of (R, 4 * D): rows, truth, truth squared and error squared of each."""
    rows, true, squared, error = np.split(total, 4, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = (1 - error / (squared - np.square(true) / rows)).mean(1)
    return result


def by_label(total: Floats) -> tuple[Floats, Floats, Floats]:
    """Return (R, 3 * C) as rows, answers and right answers of each label, (R, C) each."""
    true, said, right = np.split(total, 3, axis=1)
    return true, said, right


def mean_recall(total: Floats) -> Floats:
    """Return the mean share found of each label that has rows."""
    true, _, right = by_label(total)
    there = true > 0
    shares = np.divide(right, true, out=np.zeros_like(right), where=there)
    result: Floats = shares.sum(1) / there.sum(1)
    return result


def mean_f1(total: Floats) -> Floats:
    """Return the mean F1 of the labels, 0 for one that is neither there nor said."""
    true, said, right = by_label(total)
    both = true + said
    result: Floats = np.divide(2 * right, both, out=np.zeros_like(right), where=both > 0).mean(1)
    return result
