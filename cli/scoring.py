"""score: rows are read, run and written by this process, straight from Redis, beside any number of others."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from cli.engines import engine_for, settings_for
from cli.errors import needs
from cli.job_options import RowOptions, TargetOptions, check_same, job_of, milliseconds, point_in_time
from cli.job_report import nothing, rate_text, show
from cli.manual import PREDICTIONS, Command
from cli.options import AsJson, DataDir, Missing, ModelName, Prefix, RedisUrl, Reference
from cli.predicting import parsed
from cli.progress import Work
from cli.ray_scoring import check_ray, job_for, on_ray
from cli.row_options import Index, InstancesFile, KeysFrom, Match, Query
from cli.settings import Settings, read_settings
from cli.terminal import Terminal, count_text
from models.errors import InsituError, RedisRefused, RedisUnavailable
from models.job_errors import JobNotFound
from models.jobs import SLOWEST, JobSpec

if TYPE_CHECKING:
    from models.ledger import Ledger, Standing
    from server.batch.scoring import Progress, Watch
    from server.inference.engine import Engine

    Run = Callable[[Watch], Awaitable[Standing]]

STEPS = 1000  # of the bar


@dataclass(frozen=True, slots=True)
class Way:
    """How a job is worked on: its name, whether it goes on, whether others go first, and on which Ray if any."""

    name: str
    resume: bool
    gentle: bool
    ray: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """This process' part in a job; its own is one that it began."""

    ledger: "Ledger"
    own: bool
    gentle: bool


def kept(name: str) -> str:
    """Return how a job goes on that was cut off."""
    return f"job {name!r} is kept: the same command with --resume goes on"


class Interrupted(RedisUnavailable):
    """Redis was away for too long; the job waits."""

    def __init__(self, name: str, reason: str) -> None:
        InsituError.__init__(self, f"{reason}; {kept(name)}", job=name)


def score(
    name: ModelName,
    *,
    match: Match = None,
    keys_from: KeysFrom = None,
    index: Index = None,
    query: Query = None,
    instances: InstancesFile = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="TEMPLATE",
            show_default=False,
            help="Key of each answer, {key} is the key it is for; - writes lines of JSON to standard output. "
            "Without any --to...: score:{key}.",
        ),
    ] = None,
    to_field: Annotated[
        str | None,
        typer.Option(
            "--to-field", metavar="FIELD", help="Write into the hash that was read, with version and time."
        ),
    ] = None,
    to_hash: Annotated[
        str | None, typer.Option("--to-hash", metavar="KEY", help="One hash for all: key -> answer.")
    ] = None,
    to_zset: Annotated[
        str | None,
        typer.Option(
            "--to-zset", metavar="KEY", help="One sorted set for all, ranked by value or probability."
        ),
    ] = None,
    to_stream: Annotated[
        str | None, typer.Option("--to-stream", metavar="KEY", help="One stream for all, an entry a row.")
    ] = None,
    to_parquet: Annotated[
        str | None, typer.Option("--to-parquet", metavar="FILE", help="A Parquet file, a line a row.")
    ] = None,
    to_csv: Annotated[str | None, typer.Option("--to-csv", metavar="FILE", help="A CSV file.")] = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--label",
            metavar="LABEL",
            help="The label whose probability ranks a row; the second of two, or the likeliest.",
        ),
    ] = None,
    version: Reference = None,
    ttl: Annotated[
        int | None,
        typer.Option("--ttl", min=1, metavar="SECONDS", help="How long an answer of --to is kept."),
    ] = None,
    missing: Missing = None,
    raw: Annotated[bool, typer.Option("--raw", help="Write the output tensors.")] = False,
    only_missing: Annotated[
        bool,
        typer.Option("--only-missing", help="Pass over rows that have an answer of this version already."),
    ] = False,
    newer_than: Annotated[
        str | None,
        typer.Option(
            "--newer-than",
            metavar="TIME",
            help="Only rows whose features were written since: 30m, 2h, 7d, an ISO time. "
            "By `time_field`, a stream, or Feast.",
        ),
    ] = None,
    max_errors: Annotated[
        int | None,
        typer.Option(
            "--max-errors", min=0, metavar="N", help="Stop when more rows than this cannot be scored."
        ),
    ] = None,
    errors_to: Annotated[
        str | None,
        typer.Option(
            "--errors-to",
            metavar="FILE|redis:KEY",
            help="List rows that cannot be scored: lines of JSON, or a stream.",
        ),
    ] = None,
    max_rate: Annotated[
        float | None,
        typer.Option(
            "--max-rate", min=SLOWEST, metavar="N", help="Rows a second this process scores at the most."
        ),
    ] = None,
    pause_above_latency: Annotated[
        str | None,
        typer.Option(
            "--pause-above-latency", metavar="TIME", help="Rest while Redis takes longer to answer: 5ms."
        ),
    ] = None,
    gentle: Annotated[
        bool,
        typer.Option(
            "--gentle", help="Ask Redis for little at a time, so that others are answered in between."
        ),
    ] = False,
    job: Annotated[
        str | None,
        typer.Option("--job", metavar="NAME", help="Name of the job; by default made of its options."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with the unfinished job of these options, beside whoever works on it."
        ),
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="local|ADDRESS",
            help="Score on every machine of the Ray cluster there, or on a Ray started for this job alone.",
        ),
    ] = None,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
) -> None:
    """Score many rows and write the answers where they are wanted.

    A killed or interrupted job is kept in Redis: the same command with --resume goes on with it, and
    on any number of machines at once shares it.
    """
    settings = read_settings(redis_url=redis_url, data_dir=data_dir, prefix=prefix)
    with needs("server"):
        import uvloop

        import server.batch.scoring  # noqa: F401  # says at once what is not installed
    if ray is not None:
        check_ray(resume)
    rows = RowOptions(match, keys_from, index, query, instances)
    targets = TargetOptions(to, ttl, to_field, to_hash, to_zset, to_stream, to_parquet, to_csv)
    spec = job_of(
        {
            "model": name,
            "version": int(version) if version and version.isdigit() else version,
            "rows": rows.spec(),
            "to": targets.specs(),
            "label": label,
            "missing": parsed("--missing", missing),
            "outputs": raw,
            "only_missing": only_missing,
            "newer_than": point_in_time(newer_than),
            "max_errors": max_errors,
            "errors_to": errors_to,
            "max_rate": max_rate,
            "pause_above_ms": milliseconds(pause_above_latency),
        }
    )
    way = Way(job or spec.own_name, resume, gentle, ray)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scored(Terminal(as_json=as_json), settings, spec, way))


async def scored(terminal: Terminal, settings: Settings, spec: JobSpec, way: "Way") -> None:
    """Begin a job or go on with one, with a bar, and show what came of it.

    Raises: NothingScored; what `server.batch.scoring.score` raises, on Ray what `server.batch.on_ray.score` does.
    """
    from cli.connection import opened, redis_url

    async with opened(settings):
        pass  # so that a Redis that is not there is told as every command tells it
    chosen = settings_for(redis_url(settings), settings.prefix)
    engine = engine_for(chosen)
    try:
        if way.ray is None:
            run = here(engine, await begun(terminal, engine, spec, way))
        else:
            job = await job_for(engine, chosen, spec, way.name, gentle=way.gentle)
            run = on_ray(engine, job, way.ray)
        began = time.perf_counter()
        with waiting(terminal, way):
            standing, rows = await run_job(terminal, engine, way.name, run)
        show(terminal, standing, time.perf_counter() - began, rows)
    finally:
        await engine.stop()


@contextmanager
def waiting(terminal: Terminal, way: "Way") -> Iterator[None]:
    """Say how a job goes on that stops in the middle: by Ctrl-C, or where Redis or a file has no room for more."""
    try:
        yield
    except (asyncio.CancelledError, RedisRefused, OSError):
        if way.ray is None:
            waits = f"job {way.name} waits in Redis; the same command with --resume goes on with it"
            terminal.note(waits, "warn")
        raise


async def begun(terminal: Terminal, engine: "Engine", spec: JobSpec, way: "Way") -> "Part":
    """Begin a job, or find the one that is to go on; it keeps the version it began with.

    Raises: BadRequest, two of its places are one, or its label is none of the model's;
            WrongUsage, the job of its name is another; JobUnderWay; JobEnded, it was cancelled or has failed;
            what `Catalogue.get` raises.
    """
    from models.ledger import DONE, FAILED, RUNNING, Ledger
    from server.batch.places import check_new
    from server.batch.scored import settled
    from server.batch.scoring import JobEnded, process_name

    ledger = Ledger(engine.store.redis, engine.store.keys, way.name, process_name())
    spec.check_places(engine.store.keys)
    serving = await engine.catalogue.get(spec.model, spec.version)
    before = await standing_of(ledger)
    if before is None or not (way.resume or before.alive):
        check_new(spec, serving.manifest)
    made = await ledger.begin(settled(spec, serving.manifest), anew=not way.resume)
    if made and before is not None and before.state == RUNNING:
        terminal.note(
            f"began anew: the job was {before.done_share:.0%} done; --resume would have gone on with it",
            "warn",
        )
    if not made and before is not None:
        check_same(spec, before.spec, way.name)
        if before.state not in (RUNNING, DONE):
            ended = f"{'has' if before.state == FAILED else 'was'} {before.state}"
            raise JobEnded(
                f"job {way.name!r} {ended}; the same command without --resume begins it anew",
                job=way.name,
            )
        terminal.note(f"going on with job {way.name}: {before.share:.0%} of its rows are found", "quiet")
    return Part(ledger, made, way.gentle)


async def standing_of(ledger: "Ledger") -> "Standing | None":
    """Return how a job stands, None when there is none."""
    try:
        return await ledger.look()
    except JobNotFound:
        return None


def here(engine: "Engine", part: "Part") -> "Run":
    """Return how this process works on a job, beside others."""
    from server.batch.opening import Manner
    from server.batch.scoring import score as score_rows
    from server.batch.targets.parts_folder import NotWritten

    async def run(watch: "Watch") -> "Standing":
        try:
            return await score_rows(engine, part.ledger, watch, Manner(part.own, part.gentle))
        except RedisUnavailable as error:
            raise Interrupted(part.ledger.name, str(error)) from error
        except (RedisRefused, NotWritten) as error:
            error.args = (f"{error}; when that is mended, {kept(part.ledger.name)}",)
            raise

    return run


async def run_job(terminal: Terminal, engine: "Engine", name: str, run: "Run") -> "tuple[Standing, int]":
    """Score with a bar, and return how the job stands and how many rows this process looked at.

    Raises: NothingScored; what `run` raises.
    """
    began, rows = time.perf_counter(), 0

    with Work(terminal, f"scoring {name}", STEPS) as work:

        def watch(now: "Progress") -> None:
            nonlocal rows
            rows = now.rows
            work.update(
                int(now.standing.done_share * STEPS), STEPS, note_of(now, time.perf_counter() - began)
            )

        standing = await run(watch)
    if not standing.tally.scored and not standing.tally.passed:
        serving = await engine.catalogue.get(standing.spec.model, standing.spec.version)
        raise nothing(standing, serving.plan.template if serving.plan else None)
    return standing, rows


def note_of(now: "Progress", seconds: float) -> str:
    """Return how many rows are done, how fast, and how many could not be."""
    tally = now.standing.tally
    skipped = f", {count_text(tally.skipped.total(), 'error')}" if tally.skipped else ""
    resting = f", resting: Redis takes {now.latency_ms:.1f} ms" if now.resting else ""
    return f"{count_text(tally.rows, 'row')}, {rate_text(now.rows, seconds)}{skipped}{resting}"


COMMANDS = (
    Command(
        PREDICTIONS,
        score,
        (
            "insitu score breast_cancer --match 'patient:*' --to 'score:{key}'",
            "insitu score breast_cancer --to-zset riskiest --label malignant   # ZREVRANGE riskiest 0 99",
            "insitu score churn --keys-from redis:vips --to-field churn --only-missing",
            "insitu score churn --keys-from customers.parquet#key --to-parquet scores.parquet --resume",
        ),
        "0 scored, whatever was skipped is told; 1 nothing could be scored, or more failed than --max-errors",
    ),
)
