"""Signs that a model is told the answer: by one feature, by rows on both sides, by an identifier or a time.

They are suspicions: whether a feature is known before the answer is needed, only its owner can say.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_selection import f_classif, f_regression
from sklearn.metrics import r2_score
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from trainer.judging.evidence import Evidence, Part
from trainer.judging.findings import Finding
from trainer.judging.questions import Answered, Array, Floats
from trainer.judging.scoring import score
from trainer.sampling import evenly

ROWS_LEAST = 40
ROWS_MOST = 4000  # looked at for a feature that tells everything
COLUMNS_MOST = 60  # of more, those that go with the target most
ALONE = 0.99  # balanced accuracy or R2 of one feature
OFTEN = 3
LEAVES = 8
TWINS_SHARE = 0.02
TWINS_LEAST = 3
VARIED = 0.5  # share of the rows that are unlike all others; few values repeat by nature
DENSE = 10  # numbers that follow one another leave gaps this wide at most, on average
PERFECT_ROWS = 50
PERFECT_R2 = 0.9999
SECONDS = (946_684_800, 2_208_988_800)  # 2000 to 2040


def signs(evidence: Evidence) -> Iterator[Finding]:
    """Say what looks as if the answer were known beforehand."""
    yield from lone_feature(evidence)
    yield from twins(evidence)
    yield from identifiers(evidence.train)
    yield from times(evidence.train)
    yield from perfection(evidence)


def lone_feature(evidence: Evidence) -> Iterator[Finding]:
    """Say when one feature alone predicts nearly perfectly."""
    part, labelled = evidence.train, evidence.question.kind == "classification"
    if len(part) < ROWS_LEAST or part.given.truth.ndim > 1 or not np.ptp(part.given.truth):
        return  # of a truth that never varies, as where anomalies are looked for, nothing can be told
    found = sorted(telling(part, labelled), reverse=True)
    if not 0 < len(found) <= max(OFTEN, part.features.shape[1] // 10):
        return  # where many do, the problem is easy and none of them is special
    measure = "balanced accuracy" if labelled else "R2"
    names = ", ".join(f"{name} ({reached:.3f})" for reached, name in found)
    yield Finding(
        "leakage suspected",
        f"one feature alone predicts the target nearly perfectly, on rows it was not fitted on: {names} of {measure}",
        "take it out if it is written when or after the answer is known",
    )


def telling(part: Part, labelled: bool) -> Iterator[tuple[float, str]]:
    """Give the features that alone tell the target, with what they reach on the other half of the rows."""
    rows = evenly(len(part), ROWS_MOST)
    order = np.random.default_rng(0).permutation(rows)
    first, second = order[::2], order[1::2]
    truth = part.given.truth
    for column in candidates(part.features, truth, labelled):
        x = part.features[:, [column]]
        reached = alone(x[first], truth[first], x[second], truth[second], labelled)
        if reached >= ALONE:
            yield reached, part.names[column]


def alone(x: Floats, truth: Array, new: Floats, wanted: Array, labelled: bool) -> float:
    """Return what a small tree on one feature scores on other rows."""
    leaves = max(LEAVES, 2 * len(np.unique(truth)))
    if labelled:
        tree = DecisionTreeClassifier(max_leaf_nodes=leaves, random_state=0).fit(x, truth)
        recalls = [(tree.predict(new[wanted == label]) == label).mean() for label in np.unique(wanted)]
        return float(np.mean(recalls))
    tree = DecisionTreeRegressor(max_leaf_nodes=256, random_state=0).fit(x, truth)
    return float(r2_score(wanted, tree.predict(new)))


def candidates(features: Floats, truth: Array, labelled: bool) -> NDArray[np.int64]:
    """Return the columns that vary, of many those that go with the target most."""
    columns = np.flatnonzero(np.ptp(features, axis=0) > 0)
    if len(columns) <= COLUMNS_MOST:
        return columns
    with np.errstate(all="ignore"):  # a column that parts the labels exactly has no variance left
        strength = (f_classif if labelled else f_regression)(np.nan_to_num(features[:, columns]), truth)[0]
    best: NDArray[np.int64] = columns[
        np.argsort(-np.nan_to_num(strength, posinf=np.finfo(float).max))[:COLUMNS_MOST]
    ]
    return best


def row_digests(features: Floats) -> list[bytes]:
    """Return each row's features as something that can be looked up."""
    whole = np.ascontiguousarray(features)
    return [row.tobytes() for row in whole]


def twins(evidence: Evidence) -> Iterator[Finding]:
    """Say when held-out rows are among the training rows, feature by feature."""
    known = row_digests(evidence.train.features)
    seen = set(known)
    again = np.array([row in seen for row in row_digests(evidence.held_out.features)])
    share = float(again.mean())
    if again.sum() < TWINS_LEAST or share < TWINS_SHARE or len(seen) < VARIED * len(known):
        return
    yield Finding(
        "leakage suspected",
        f"{again.sum()} of {len(again)} held-out rows have the same features as a training row"
        + without(evidence, ~again),
        "take duplicates out, or split by a group so that what belongs together stays together",
    )


def without(evidence: Evidence, rest: NDArray[np.bool_]) -> str:
    """Return the score on the held-out rows that are nobody's twins."""
    given = evidence.held_out.given
    if rest.sum() < 2:
        return ""
    scores = score(evidence.question, Answered(given.answers[rest], given.truth[rest]))
    return f"; without them {evidence.metric} is {scores.values[evidence.metric]:.3f} instead of {evidence.new:.3f}"


def identifiers(part: Part) -> Iterator[Finding]:
    """Say when a feature only numbers the rows."""
    numbers = np.array([key_number(key) for key in part.given.keys])
    for name, column in zip(part.names, part.features.T, strict=True):
        counts = "a whole number that no two rows share" if numbered(column) else ""
        seen = counts or ("the number in the row's own key" if same_as_key(column, numbers) else "")
        if seen:
            yield Finding(
                "identifier",
                f"feature {name} is {seen} and looks like an identifier",
                "take it out: what is learned from it holds for no new row",
            )


def numbered(column: Floats) -> bool:
    """Whether a column counts the rows: whole, never twice, and close together."""
    if len(column) < ROWS_LEAST or (column != np.floor(column)).any():
        return False
    return len(np.unique(column)) == len(column) and bool(np.ptp(column) < DENSE * len(column))


def same_as_key(column: Floats, numbers: Floats) -> bool:
    """Whether a column is the number in the row's own key."""
    return (
        len(column) >= ROWS_LEAST and len(numbers) == len(column) and bool((column == numbers).mean() > 0.9)
    )


def key_number(key: str) -> float:
    """Return the number at the end of a key, nan without one."""
    last = key.rsplit(":", 1)[-1]
    return float(last) if last.isdecimal() and last.isascii() else np.nan


def times(part: Part) -> Iterator[Finding]:
    """Say when a feature is a point in time."""
    for name, column in zip(part.names, part.features.T, strict=True):
        if any(moments(column / unit) for unit in (1, 1000)):
            yield Finding(
                "time",
                f"feature {name} looks like a point in time",
                "new rows lie after all that were learned from: take an age, an hour or a weekday instead, "
                "and split by time",
            )


def moments(column: Floats) -> bool:
    """Whether every number of a column is a Unix time of this age, in seconds, and they differ."""
    low, high = SECONDS
    return bool(len(column) and low <= column.min() and column.max() <= high and len(np.unique(column)) > 10)


def perfection(evidence: Evidence) -> Iterator[Finding]:
    """Say when a score is too good to be believed at once."""
    given, kind = evidence.held_out.given, evidence.question.kind
    perfect = evidence.new >= (1.0 if kind in ("classification", "multilabel") else PERFECT_R2)
    if perfect and len(given) >= PERFECT_ROWS:
        yield Finding(
            "perfect score",
            f"not one of {len(given)} held-out rows is wrong",
            "make sure that no feature is written when or after the answer is known",
        )
