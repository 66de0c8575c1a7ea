"""Scoring jobs as OpenAPI describes them; answers are held to these by the tests, not at run time."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from models.jobs import (
    TARGETS_LIMIT,
    Found,
    JobSpec,
    Matching,
    Named,
    ToField,
    ToHash,
    ToSortedSet,
    ToStream,
    ToStrings,
)
from server.rest.schemas import Strict

Rows = Annotated[Matching | Named | Found, Field(discriminator="kind")]
To = Annotated[ToStrings | ToField | ToHash | ToSortedSet | ToStream, Field(discriminator="kind")]


class JobNamed(Strict):
    """A scoring job: which rows, and where their answers go."""

    job: Annotated[str, Field(max_length=160)] | None = None
    """Name of the job; one that is the same for the same job when not given."""

    rows: Rows = Matching()
    """Which rows; every key the model can read when not given."""

    to: Annotated[tuple[To, ...], Field(min_length=1, max_length=TARGETS_LIMIT)] = (ToStrings(),)
    """Where the answers go; each row goes to all of them."""

    errors_to: Annotated[str, Field(pattern="^redis:")] | None = None
    """`redis:KEY`, a stream where rows that cannot be scored are listed."""


SHARED: dict[str, Any] = {
    name: (field.annotation, field)
    for name, field in JobSpec.model_fields.items()
    if name != "model" and name not in JobNamed.model_fields
}
JobRequest = create_model("JobRequest", __base__=JobNamed, __doc__=JobNamed.__doc__, **SHARED)


class JobView(Strict):
    """How a job stands."""

    job: str
    model: str
    version: int
    """The version it began with, and keeps."""

    state: Literal["running", "done", "failed", "cancelled"]
    working: bool
    """Whether some process works on it right now; a job that runs and has none waits for a server."""

    reason: str | None
    """Why it has failed; null otherwise."""

    share: Annotated[float, Field(ge=0, le=1)]
    """How much of the rows was found."""

    waiting: int
    """Parts of what was found that are not scored yet."""

    scored: int
    """Rows that have an answer."""

    passed: int
    """Rows that were passed over: they had an answer, or no new features."""

    skipped: dict[str, int]
    """Rows that cannot be scored, by the code of their error."""

    examples: dict[str, str]
    """The message of one of them, by the same code."""

    other_keys: int
    """Keys that were found and that the model does not read."""

    labels: dict[str, int]
    """Rows by what they were told."""

    numbers: int
    """Rows with a number: a value, an anomaly score, or the probability of a label."""

    lowest: float | None
    highest: float | None
    mean: float | None
    histogram: list[tuple[float, float, int]]
    """How the numbers are spread: where a bin begins and ends, and how many it has."""

    rate: float
    """Rows a second, since it began; in events, over the last ten seconds."""

    seconds: float
    """How long it has gone on, or did."""

    eta_seconds: float | None
    """How long it will go on at this rate; null while that cannot be told."""

    began: datetime
    ended: datetime | None
    spec: dict[str, Any]
    """The job as it was asked for."""


class JobList(Strict):
    """Jobs, the newest first."""

    jobs: list[JobView]
    next: str | None
    """Give this as `after` to go on; null at the end."""

    may_change: bool
    """Whether who asks may start and cancel jobs."""


JOB_BODIES = {
    "every key the model reads, as score:KEY": {},
    "the riskiest, ranked": {"to": [{"kind": "zset", "key": "riskiest"}], "label": "leaves"},
    "keys that match, into a field of their hash": {
        "rows": {"kind": "match", "pattern": "customer:1*"},
        "to": [{"kind": "field", "field": "churn"}],
        "only_missing": True,
    },
}
