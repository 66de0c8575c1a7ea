"""Gathering: what was read for many jobs becomes batches, all rows at once wherever they are regular.

A row that cannot be read is out with its error; only its own job is decoded row by row for it.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from models.assembly import Group, Plan
from models.manifest import Manifest
from server.inference.grouping import by_length, row_by_row
from server.inference.jobs import Job
from server.inference.samples import Rows
from server.inference.stacking import Batch, Signature, joined, padded_inputs, signature


def unobserved(_seconds: float) -> None:
    """Observe nothing."""


class Gatherer:
    """The jobs of one version made into batches."""

    def __init__(
        self,
        manifest: Manifest,
        plan: Plan | None,
        rows: Rows,
        aged: Callable[[float], None] = unobserved,
        pads: bool = True,
    ) -> None:
        """Take a version; `aged` hears the age of the oldest features of a request, in seconds.

        Without `pads` sequences of different lengths share no run.
        """
        self._aged = aged
        self._manifest = manifest
        self._plan = plan
        self._rows = rows
        self._pad = padded_inputs(manifest) if pads else frozenset()
        self._columnar = plan if plan is not None and plan.columnar else None
        self._together = rows == "apart" and self._columnar is not None

    def batches(self, jobs: Sequence[Job]) -> list[Batch]:
        """Return what there is to run; a job without a good row is ended."""
        if self._together and (columns := self._columns(jobs)) is not None:
            return [columns]  # nearly always
        if self._rows != "apart":
            return [batch for job in jobs for batch in self._alone(job)]
        read = [job for job in jobs if job.feeds is None]
        parts = list(self._read(read)) if read else []
        parts += [part for job in jobs if job.feeds is not None for part in self._apart(given(job), job)]
        return self._joined(parts) if len(parts) > 1 else parts

    def decode(self, job: Job) -> None:
        """Make tensors of what was read for a job before its batch is made, if all of it is regular."""
        if self._together and job.prepared is not None and job.feeds is None:
            found = self._columns([job])
            job.early = None if found is None else found.feeds

    def _joined(self, parts: Sequence[Batch]) -> list[Batch]:
        alike: dict[Signature, list[Batch]] = {}
        for part in parts:
            alike.setdefault(signature(part.feeds, self._pad), []).append(part)
        return [joined(batches, self._pad) for batches in alike.values()]

    def _read(self, jobs: Sequence[Job]) -> Iterator[Batch]:
        """Decode jobs together; when a reply is irregular, their halves, in the end the odd one alone."""
        columns = self._columns(jobs)
        if columns is not None:
            yield columns
        elif len(jobs) == 1 or self._columnar is None:
            for job in jobs:
                yield from self._apart(self._assembled(job), job)
        else:
            half = len(jobs) // 2
            yield from self._read(jobs[:half])
            yield from self._read(jobs[half:])

    def _columns(self, jobs: Sequence[Job]) -> Batch | None:
        plan = self._columnar
        if plan is None:
            return None
        spans = [(job, job.prepared.live) for job in jobs if job.prepared is not None]
        if len(spans) != len(jobs):
            return None
        if len(jobs) == 1:
            replies, rows = jobs[0].replies, len(spans[0][1])
            if jobs[0].early is not None:
                return Batch(jobs[0].early, rows, spans)
        elif [job.early for job in jobs].count(None) < len(jobs):
            parts = [part for job in jobs if (part := self._columns([job])) is not None]
            return joined(parts, self._pad) if len(parts) == len(jobs) else None
        else:
            replies = [*chain.from_iterable([job.replies for job in jobs])]
            rows = sum([len(live) for _, live in spans])
        if len(replies) != rows * len(plan.templates):  # or rows would be answered with those of others
            return None
        feeds = plan.columns(replies)
        return None if feeds is None else Batch(feeds, rows, spans)

    def _assembled(self, job: Job) -> list[Group]:
        """Decode one job row by row; rows that cannot be read are refused."""
        if self._plan is None or job.prepared is None:
            raise ValueError("a job has neither tensors nor anything that was read")
        assembled = self._plan.assemble(job.prepared, job.replies, job.missing)
        for row, error in assembled.errors.items():
            if job.rows[row].error is None:
                job.refuse(row, error)
        for row, names in assembled.filled.items():
            job.rows[row].filled = names
        if assembled.ages:
            self._aged(max(assembled.ages))
        if not job.left:
            job.end()
        return assembled.groups

    def _apart(self, groups: Sequence[Group], job: Job) -> Iterator[Batch]:
        for group in by_length(self._manifest, groups, self._pad):
            yield Batch(group.feeds, len(group.rows), [(job, group.rows)])

    def _alone(self, job: Job) -> Iterator[Batch]:
        """Rows that see one another: each runs alone; tensors stay together where no wording says what a row is."""
        groups = given(job) if job.feeds is not None else self._assembled(job)
        unworded = job.tensors or self._manifest.task == "tensor"
        together = job.feeds is not None and (self._rows == "whole" or unworded)
        for group in groups if together else row_by_row(groups):
            yield Batch(group.feeds, len(group.rows), [(job, group.rows)])


def given(job: Job) -> list[Group]:
    """Return the tensors of a request as they came."""
    return [Group(range(len(job.rows)), job.feeds or {})]
