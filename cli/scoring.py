"""score: every key that matches is read, run and written, in this process, straight from Redis."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import needs
from cli.manual import PREDICTIONS, Command
from cli.options import AsJson, DataDir, Missing, ModelName, Prefix, RedisUrl, Reference
from cli.predicting import parsed
from cli.progress import Work
from cli.settings import Settings, read_settings
from cli.terminal import Terminal, count_text, duration_text, plain
from models.errors import InsituError

if TYPE_CHECKING:
    from models.templates import KeyTemplate
    from server.batch.scoring import ScoreJob, Summary
    from server.inference.engine import Engine
    from server.settings import ServerSettings

STEPS = 1000  # of the bar
LABELS_SHOWN = 12


class TooManyErrors(InsituError):
    """More rows were skipped than the user allows."""

    code = "too_many_errors"

    def __init__(self, skipped: int, limit: int, reasons: dict[str, int], example: str) -> None:
        super().__init__(
            f"{count_text(skipped, 'row')} could not be scored, --max-errors allows {limit}; the first: {example}; "
            "what was scored until then is written",
            skipped=reasons,
            max_errors=limit,
        )


class NothingScored(InsituError):
    """No row was scored at all."""

    code = "nothing_scored"


def score(
    name: ModelName,
    *,
    match: Annotated[
        str | None,
        typer.Option(
            "--match", metavar="PATTERN", help="Keys to score; every key the model can read when not given."
        ),
    ] = None,
    to: Annotated[
        str, typer.Option("--to", metavar="TEMPLATE", help="Key of each answer; {key} is the key it is for.")
    ] = "score:{key}",
    version: Reference = None,
    ttl: Annotated[
        int | None, typer.Option("--ttl", min=1, metavar="SECONDS", help="How long an answer is kept.")
    ] = None,
    missing: Missing = None,
    raw: Annotated[bool, typer.Option("--raw", help="Write the output tensors.")] = False,
    max_errors: Annotated[
        int | None,
        typer.Option(
            "--max-errors", min=0, metavar="N", help="Stop when more rows than this cannot be scored."
        ),
    ] = None,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
) -> None:
    """Score every key that matches a pattern and write the answers to keys of their own."""
    settings = read_settings(redis_url=redis_url, data_dir=data_dir, prefix=prefix)
    with needs("server"):
        from server.batch.scoring import ScoreJob
    job = ScoreJob(name, version, match, to, ttl, parsed("--missing", missing), raw)
    terminal = Terminal(as_json=as_json)
    summary = asyncio.run(scored(terminal, settings, job, max_errors))
    show(terminal, job, summary)


async def scored(
    terminal: Terminal, settings: Settings, job: "ScoreJob", max_errors: int | None
) -> "Summary":
    """Run a job with a bar and return its summary.

    Raises: TooManyErrors, NothingScored; what `server.batch.scoring.score` raises.
    """
    from cli.connection import opened, redis_url

    async with opened(settings):
        pass  # so that a Redis that is not there is told as every command tells it
    engine = engine_for(redis_url(settings), settings.prefix)
    try:
        with Work(terminal, f"scoring {job.model}", STEPS) as work:
            return await run_job(engine, job, work, max_errors)
    finally:
        await engine.stop()


def engine_for(url: str, prefix: str) -> "Engine":
    """Build the core with the server's settings of the environment.

    Raises: NotInstalled, WrongUsage, ProviderUnavailable.
    """
    from cli.serving import server_settings

    with needs("server"):
        from server.app import build_engine
    settings: ServerSettings = server_settings(url, {"prefix": prefix, "host": "127.0.0.1"})
    return build_engine(settings)


async def run_job(engine: "Engine", job: "ScoreJob", work: Work, max_errors: int | None) -> "Summary":
    """Score, and stop when more rows fail than are allowed.

    Raises: TooManyErrors, NothingScored; what `server.batch.scoring.score` raises.
    """
    from server.batch.scoring import score as score_keys

    def progress(summary: "Summary") -> None:
        work.update(int(summary.share * STEPS), STEPS, rate_text(summary))
        skipped = summary.skipped.total()
        if max_errors is not None and skipped > max_errors:
            example = next(iter(summary.examples.values()))
            raise TooManyErrors(skipped, max_errors, dict(summary.skipped), example)

    summary = await score_keys(engine, job, progress)
    if summary.scored == 0:
        serving = await engine.catalogue.get(job.model, summary.version)
        raise nothing(job, summary, serving.plan.template if serving.plan else None)
    return summary


def rate_text(summary: "Summary") -> str:
    """Return how many rows are done, and how fast."""
    rows = summary.scored + summary.skipped.total()
    rate = rows / summary.seconds if summary.seconds else 0.0
    return f"{count_text(rows, 'row')}, {rate:,.0f} rows/s"


def nothing(job: "ScoreJob", summary: "Summary", template: "KeyTemplate | None") -> NothingScored:
    """Return why nothing was scored; `template` is what the model reads."""
    facts = as_data(job, summary)
    if summary.skipped:
        rows = count_text(summary.skipped.total(), "row")
        codes = ", ".join(f"{code} {count:,}" for code, count in summary.skipped.most_common())
        return NothingScored(
            f"none of {rows} could be scored ({codes}); the first: {first(summary)}", **facts
        )
    reads, pattern = (template.text, template.glob) if template else ("", "*")
    asked = job.match or pattern
    if summary.other_keys:
        found = count_text(summary.other_keys, "key")
        match = "matches" if summary.other_keys == 1 else "match"
        return NothingScored(
            f"{found} {match} {asked!r}, none of them is a key this model reads ({reads!r})", **facts
        )
    return NothingScored(
        f"no key matches {asked!r}; this model reads {reads!r}; look with `redis-cli --scan --pattern {pattern!r}`",
        **facts,
    )


def first(summary: "Summary") -> str:
    """Return the first reason a row was skipped for."""
    return next(iter(summary.examples.values()), "")


def show(terminal: Terminal, job: "ScoreJob", summary: "Summary") -> None:
    """Show what came of a job."""
    if terminal.as_json:
        terminal.emit(as_data(job, summary))
        return
    terminal.say(
        f"{summary.model} version {summary.version}: {count_text(summary.scored, 'row')} scored into {job.to} "
        f"in {duration_text(summary.seconds)} ({rate_text(summary).rpartition(', ')[2]})"
    )
    labels = summary.labels.most_common(LABELS_SHOWN)
    if labels:
        terminal.table(
            ["label", ">rows", ">share"], [[n, f"{c:,}", f"{c / summary.scored:.1%}"] for n, c in labels]
        )
    if summary.lowest is not None and summary.highest is not None:
        mean = summary.total / summary.scored
        terminal.say(f"values {plain(summary.lowest)} to {plain(summary.highest)}, mean {plain(mean)}")
    if summary.other_keys:
        terminal.say(f"passed over {count_text(summary.other_keys, 'key')} that this model does not read")
    if summary.skipped:
        rows = [[code, f"{count:,}", summary.examples[code]] for code, count in summary.skipped.most_common()]
        terminal.table(["skipped", ">rows", "the first"], rows)


def as_data(job: "ScoreJob", summary: "Summary") -> dict[str, Any]:
    """Return a summary for a program."""
    return {
        "model": summary.model,
        "version": summary.version,
        "to": job.to,
        "scored": summary.scored,
        "skipped": dict(summary.skipped),
        "examples": summary.examples,
        "other_keys": summary.other_keys,
        "labels": dict(summary.labels),
        "lowest": summary.lowest,
        "highest": summary.highest,
        "seconds": round(summary.seconds, 3),
    }


COMMANDS = (
    Command(
        PREDICTIONS,
        score,
        (
            "insitu score breast_cancer --match 'patient:*' --to 'score:{key}'",
            "insitu score breast_cancer --ttl 86400 --max-errors 100 --json",
        ),
        "0 scored, whatever was skipped is told; 1 nothing could be scored, or --max-errors was exceeded",
    ),
)
