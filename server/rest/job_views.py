"""How a job stands -> the answer of the job routes."""

from datetime import UTC, datetime
from typing import Any

from models.ledger import RUNNING, Standing

Facts = dict[str, Any]


def view(standing: Standing, rate: float | None = None) -> Facts:
    """Return a job; `rate` is rows a second, since it began when not given."""
    tally, spec = standing.tally, standing.spec
    if rate is None:
        rate = tally.rows / standing.seconds if standing.seconds > 0 else 0.0
    return {
        "job": standing.name,
        "model": spec.model,
        "version": spec.version,
        "state": standing.state,
        "working": standing.alive,
        "reason": standing.reason or None,
        "share": round(standing.done_share, 4),
        "waiting": standing.waiting if standing.state == RUNNING else 0,
        "scored": tally.scored,
        "passed": tally.passed,
        "skipped": dict(tally.skipped),
        "examples": tally.examples,
        "other_keys": standing.passed_over,
        "labels": dict(tally.labels),
        **spread(standing),
        "rate": round(rate, 1),
        "seconds": round(standing.seconds, 3),
        "eta_seconds": eta_seconds(standing, rate),
        "began": moment(standing.begun),
        "ended": moment(standing.ended) if standing.ended else None,
        "spec": spec.model_dump(mode="json", exclude={"model", "version"}, exclude_none=True),
    }


def spread(standing: Standing) -> Facts:
    """Return how the numbers of its rows are spread."""
    tally = standing.tally
    return {
        "numbers": tally.numbers,
        "lowest": tally.lowest,
        "highest": tally.highest,
        "mean": tally.total / tally.numbers if tally.numbers else None,
        "histogram": tally.histogram.bins,
    }


def eta_seconds(standing: Standing, rate: float) -> float | None:
    """Return how long a job goes on: as many rows are behind each share to come as behind what is done."""
    done = standing.done_share
    if not standing.alive or rate <= 0 or not 0 < done < 1:
        return None
    return round(standing.tally.rows * (1 - done) / done / rate, 1)


def moment(seconds: float) -> datetime:
    """Return a moment of Unix seconds."""
    return datetime.fromtimestamp(round(seconds), UTC)
