"""Whether a network learned too much, too little or nothing at all, with chance taken into account."""

from collections.abc import Iterator

from trainer.judging.evidence import Evidence
from trainer.judging.findings import Finding

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
    """Say what to do about a network that knows its own rows less well than a simple model knows new ones."""
    rivals = [("the linear baseline", evidence.plain)]
    if evidence.forest is not None:
        rivals.append(("a forest", evidence.forest.values[evidence.metric]))
    name, best = max(rivals, key=lambda rival: rival[1])
    if evidence.own < best - margin(evidence):
        yield Finding(
            "underfitting",
            f"it knows its own rows less well ({evidence.own:.3f}) than {name} knows new ones ({best:.3f})",
            "take more epochs, a larger lr or network, or begin with standardize",
        )


def no_signal(evidence: Evidence) -> Iterator[Finding]:
    """Say when nothing that was tried is better than saying always the same."""
    tried = [evidence.new, evidence.plain]
    if evidence.forest is not None:
        tried.append(evidence.forest.values[evidence.metric])
    chance = evidence.constant
    if evidence.noise <= NOISE_MOST and max(tried) - chance < max(SIGNAL_SMALL, evidence.noise):
        names = "the network, the linear baseline" + (" and a forest" if len(tried) > 2 else "")
        yield Finding(
            "no signal",
            f"{names} reach {max(tried):.3f} at best on new rows, saying always the same reaches {chance:.3f}",
            "the features seem to tell nothing about the target; check that keys and targets belong "
            "together, and add features",
        )
