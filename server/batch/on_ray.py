"""On Ray: one job scored by the processes of a Ray cluster, as batches of a Ray Dataset.

    one task finds parts -> actors score them -> tallies come here and are added up

Ray does again what a dead process had: every target takes the same answer twice without harm. Of
the job itself nothing is kept, in Redis or elsewhere, so it cannot be taken up again.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
import ray.data
from ray.data import ActorPoolStrategy
from ray.exceptions import RayError

from models.errors import REASON_CHARACTERS, BadRequest, InsituError, shown
from models.jobs import STANDARD_STREAM, FromFile, JobSpec, ToOutput
from models.ledger import DONE, RUNNING, Standing
from models.tallies import Tally
from server.batch.ray_cluster import Cluster, connected, machines
from server.batch.ray_workers import Job, PartScorer, read, rows_of, unpacked
from server.batch.scored import settled
from server.batch.scoring import TooManyErrors
from server.inference.engine import Engine
from server.inference.errors import no_view

CURE = "what was scored until then is written: the same command with --only-missing passes over it"


class RayFailed(InsituError):
    """Ray has given the job up."""

    code = "ray_failed"


@dataclass(slots=True)
class Outcome:
    """What has come of a job by now, and how many rows each process has looked at.

    Ray begins anew with a task that has died, and takes from it what comes after the place that the
    first one had reached: rows that are found in another order then would be lost.
    """

    standing: Standing
    by_process: Counter[str] = field(default_factory=Counter)
    finder: str = ""
    parts: int = 0
    awaited: int | None = None

    def add(self, row: dict[str, Any]) -> None:
        """Add what came of one part.

        Raises: RayFailed, another process finds rows now; TooManyErrors; what was wrong with the part.
        """
        if row["fault"] is not None:
            raise unpacked(row["fault"])
        self.finder = self.finder or row["finder"]
        if row["finder"] != self.finder:
            raise lost_rows()
        if row["parts"] is not None:
            self.awaited = row["parts"]
            return
        self.parts += 1
        self._count(row)

    def check_whole(self) -> None:
        """See that every part that was found came here.

        Raises: RayFailed.
        """
        if self.awaited is None or self.parts < self.awaited:
            raise lost_rows()

    def _count(self, row: dict[str, Any]) -> None:
        tally = Tally.from_json(row["tally"])
        now = self.standing
        now.tally.merge(tally)
        self.by_process[row["process"]] += tally.rows
        share, passed_over = max(now.share, row["share"]), now.passed_over + row["passed_over"]
        self.standing = replace(now, share=share, passed_over=passed_over)
        most = now.spec.max_errors
        if most is not None and now.tally.skipped.total() > most:
            raise TooManyErrors(now.tally, most)


Watch = Callable[[Outcome], None]


async def begun(engine: Engine, build: Callable[[], Engine], spec: JobSpec, name: str) -> Job:
    """Return a job on the version that answers now; `build` makes an engine on whatever machine calls it.

    Raises: BadFeatureView, the model reads no keys; what `Catalogue.get` raises.
    """
    serving = await engine.catalogue.get(spec.model, spec.version)
    if serving.plan is None:
        raise no_view(spec.model)
    fixed = settled(absolute(spec), serving.manifest)
    return Job(
        build, Standing(name, fixed, RUNNING, 0.0, 0, 0, Tally(), time.time(), attended=True), serving.plan
    )


def absolute(spec: JobSpec) -> JobSpec:
    """Return a job whose paths mean the same wherever a process happens to be."""
    said = spec.model_dump(mode="json")
    for place in (said["rows"], *said["to"]):
        if place.get("path") not in (None, STANDARD_STREAM):
            place["path"] = str(Path(place["path"]).absolute())
    if spec.errors_to is not None and spec.errors_key is None:
        said["errors_to"] = str(Path(spec.errors_to).absolute())
    return JobSpec.model_validate(said)


async def score(engine: Engine, job: Job, cluster: Cluster, watch: Watch) -> Outcome:
    """Score every row of a job on a Ray cluster; `watch` is told whenever some are done.

    Raises: BadRequest, the job fits neither the model nor the cluster; TooManyErrors; RayUnreachable;
            RayFailed; what `Catalogue.get` raises; RedisRefused; RedisUnavailable, away for too long.
    """
    check_streams(job.standing.spec)
    done = Outcome(job.standing)
    tools = await job.opened(engine)
    async with connected(cluster):
        check_files(job.standing.spec)
        async with aclosing(told(job)) as rows:
            async for row in rows:
                done.add(row)
                watch(done)
    done.check_whole()
    for target in tools.targets:
        await target.finish()
    done.standing = replace(done.standing, state=DONE, share=1.0, ended=time.time(), walked=True)
    watch(done)
    return done


def check_streams(spec: JobSpec) -> None:
    """See that no row comes from or goes to this process alone.

    Raises: BadRequest.
    """
    if isinstance(spec.rows, FromFile) and spec.rows.path == STANDARD_STREAM:
        raise BadRequest("Ray reads no standard input: name a file, or a key of Redis")
    if any(isinstance(one, ToOutput) for one in spec.to):
        raise BadRequest("Ray writes no standard output: name a file, or a key of Redis")


def check_files(spec: JobSpec) -> None:
    """See that no file is on one machine of several.

    Raises: BadRequest.
    """
    several = machines()
    if spec.local and several > 1:
        raise BadRequest(
            f"files are on one machine, Ray's cluster has {several}: read rows from Redis and write "
            "answers there, or give --ray local"
        )


def lost_rows() -> RayFailed:
    """Return what is told when the process that found rows is gone."""
    return RayFailed("the process that found the rows died, and Ray keeps no position; " + CURE)


async def told(job: Job) -> AsyncGenerator[dict[str, Any]]:
    """Give what came of each part, in any order.

    Raises: RayFailed.
    """
    tables = told_tables(job)
    try:
        while (table := await asyncio.to_thread(next, tables, None)) is not None:
            for row in rows_of(table):
                yield row
    except RayError as error:
        raise RayFailed(f"Ray gave up ({shown(error, REASON_CHARACTERS)}); " + CURE) from error
    finally:
        with suppress(ValueError):  # a thread still waits for a table, until Ray is ended
            tables.close()


def told_tables(job: Job) -> Generator[pa.Table]:
    """Run the Dataset: one task finds rows, and each process of a growing pool scores them with one core."""
    most = max(1, int(ray.cluster_resources().get("CPU", 1)))
    found = ray.data.from_items([{"walk": 1}]).map_batches(
        read, fn_args=(job,), batch_size=None, batch_format="pyarrow", num_cpus=0
    )
    scored = found.map_batches(
        PartScorer,
        fn_constructor_args=(job,),
        batch_size=None,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(min_size=1, max_size=most),
        num_cpus=1,
    )
    yield from scored.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
