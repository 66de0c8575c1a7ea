"""Opening: what a job says of a place, made into the place; refused where no row could go there."""

import sys
from collections.abc import Callable
from typing import Any

from models.assembly import Plan
from models.jobs import Target as Spec
from models.jobs import ToCsv, ToField, ToHash, ToOutput, ToParquet, ToSortedSet, ToStream, ToStrings
from models.manifest import Manifest
from server.batch.scored import Ranking
from server.batch.targets.csv_files import CsvFile
from server.batch.targets.fields import Fields
from server.batch.targets.in_files import InFile
from server.batch.targets.output import Output
from server.batch.targets.parquet_files import ParquetFile
from server.batch.targets.shared_keys import InHash, InSortedSet, InStream
from server.batch.targets.strings import Strings
from server.batch.targets.target import JobRun, Target
from server.inference.reading.reads import Ask

IN_REDIS: dict[type, Callable[[Any, Ask, Plan, Manifest], Target]] = {
    ToStrings: Strings,
    ToField: Fields,
    ToHash: InHash,
}


def open_target(  # noqa: PLR0913  # all that a job is made of
    spec: Spec,
    ask: Ask,
    plan: Plan,
    manifest: Manifest,
    ranking: Ranking,
    *,
    job: JobRun,
) -> Target:
    """Return the place that a spec means, for answers of one version.

    Raises: BadRequest, no row could go there, or it would go where the model reads; with the cure.
    """
    if isinstance(spec, ToParquet | ToCsv):
        form = ParquetFile(ranking) if isinstance(spec, ToParquet) else CsvFile(ranking)
        return InFile(spec.path, form, manifest, ranking, job)
    if isinstance(spec, ToOutput):
        return Output(sys.stdout.buffer)
    if isinstance(spec, ToSortedSet):
        return InSortedSet(spec, ask, plan, ranking)
    if isinstance(spec, ToStream):
        return InStream(spec, ask, plan, job)
    return IN_REDIS[type(spec)](spec, ask, plan, manifest)
