"""drift: do the rows of today still look like those that a model was trained on? Read, run and compared here."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.engines import engine_for, settings_for
from cli.errors import ExitCode, needs
from cli.job_options import RowOptions, job_of
from cli.manual import PREDICTIONS, Command
from cli.options import AsJson, DataDir, Missing, Prefix, RedisUrl, complete_version, named_version
from cli.predicting import parsed
from cli.progress import Work
from cli.row_options import Index, InstancesFile, KeysFrom, Match, Query
from cli.settings import Settings, read_settings
from cli.terminal import Terminal
from models.errors import InsituError
from models.jobs import JobSpec

if TYPE_CHECKING:
    from models.assembly import Plan
    from models.manifest import Manifest
    from models.profiles import Profile
    from server.batch.drifting import Looked
    from server.inference.engine import Engine
    from server.inference.loading import Serving

ROWS = 100_000
ROWS_MOST = 1_000_000


class NoProfile(InsituError):
    """Nothing is known of the rows that a version was trained on."""

    code = "no_profile"

    def __init__(self, manifest: "Manifest", option: str) -> None:
        private = bool(((manifest.recipe or {}).get("training") or {}).get("privacy"))
        trained = manifest.recipe is not None
        why = (
            "its training was private, so its card says nothing of its rows"
            if private
            else "it was trained before there were any; train it again"
            if trained
            else "it was not trained here"
        )
        super().__init__(
            f"model {manifest.name!r} version {manifest.version} has no profile to compare with: {why}; "
            f"compare with rows that were well: --against {option}",
            model=manifest.name,
            version=manifest.version,
        )


class NothingRead(InsituError):
    """There are no rows, or none of them can be read."""

    code = "nothing_read"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is compared: rows of a job, with rows of another or with the profile; and where the truth is."""

    spec: JobSpec
    against: JobSpec | None
    rows: int
    target: str | None
    way: str


def drift(
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME[:VERSION]",
            help="The model; production when no version or alias is given.",
            autocompletion=complete_version,
        ),
    ],
    *,
    match: Match = None,
    keys_from: KeysFrom = None,
    index: Index = None,
    query: Query = None,
    instances: InstancesFile = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="WHERE",
            show_default=False,
            help="Compare with these rows in place of the training's, named as the others are: a PATTERN, WHERE of "
            "--keys-from, a QUERY of the same index, or a FILE of instances.",
        ),
    ] = None,
    rows: Annotated[
        int,
        typer.Option(
            "--rows", min=1, max=ROWS_MOST, metavar="N", help="Of more rows than this an even part is read."
        ),
    ] = ROWS,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="FIELD",
            show_default=False,
            help="Field that holds what is true of a row by now; the one of the recipe when not given.",
        ),
    ] = None,
    fail_over: Annotated[
        float | None,
        typer.Option(
            "--fail-over",
            min=0,
            metavar="PSI",
            help="End with 1 where a feature or an answer has drifted further than this, and not by chance: for "
            "cron and CI.",
        ),
    ] = None,
    missing: Missing = None,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
) -> None:
    """Compare the rows of today with those a model was trained on.

    Feature by feature, worst first, then what the model answers and, where the truth is stored by now, how
    good it is. Nothing is written.
    """
    settings = read_settings(redis_url=redis_url, data_dir=data_dir, prefix=prefix)
    with needs("server"):
        import uvloop

        import server.batch.drifting  # noqa: F401  # says at once what is not installed
    name, version = named_version(model)
    chosen = RowOptions(match, keys_from, index, query, instances)

    def job(source: dict[str, Any]) -> JobSpec:
        facts = {"model": name, "rows": source, "missing": parsed("--missing", missing)}
        return job_of(facts | {"version": int(version) if version.isdigit() else version or None})

    spec = job(chosen.spec())
    before = None if against is None else job(chosen.instead(against).spec())
    wish = Wish(spec, before, rows, target, chosen.example)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        failed = runner.run(compared(Terminal(as_json=as_json), settings, wish, fail_over))
    if failed:
        raise typer.Exit(ExitCode.FAILED)


async def compared(terminal: Terminal, settings: Settings, wish: Wish, limit: float | None) -> bool:
    """Read both sets of rows, show how they differ, and return whether anything is over the limit.

    Raises: NoProfile, NothingRead; what `Catalogue.get` and reading raise.
    """
    from cli.connection import opened, redis_url
    from cli.drift_report import Shown, show
    from models.drift import compare
    from models.privacy import Privacy
    from server.batch.truths import skill, truth_of, untold
    from server.inference.errors import no_view

    async with opened(settings):
        pass  # so that a Redis that is not there is told as every command tells it
    engine = engine_for(settings_for(redis_url(settings), settings.prefix))
    try:
        serving = await engine.catalogue.get(wish.spec.model, wish.spec.version)
        manifest, plan = serving.manifest, serving.plan
        if plan is None:
            raise no_view(manifest.name)
        truth = truth_of(manifest, plan, wish.target)
        privacy = Privacy.of_model(manifest.recipe, manifest.features)
        reading = Reading(terminal, engine, serving, plan, wish.rows)
        profile = await before(reading, wish, privacy)
        looked = await reading.of(wish.spec, "today", truth)
        report = compare(profile, looked.features, looked.answers, privacy)
        scored = skill(manifest, looked.truths)
        failed = show(terminal, Shown(manifest, profile, report, looked, scored, limit))
        if wish.target is not None and scored is None:
            terminal.note(untold(manifest, looked.truths, wish.target), "warn")
        return failed
    finally:
        await engine.stop()


async def before(reading: "Reading", wish: Wish, privacy: Any) -> "Profile":
    """Return what is compared with: rows that are named, else those of the training.

    Raises: NoProfile; as `Reading.of`.
    """
    from models.profiles import Profile

    manifest = reading.serving.manifest
    if wish.against is None:
        profile = Profile.of_card(manifest.card)
        if profile is None:
            raise NoProfile(manifest, wish.way)
        return profile
    looked = await reading.of(wish.against, "before", None)
    return Profile.made(f"{looked.rows:,} rows of --against", looked.features, looked.answers, privacy)


@dataclass(frozen=True, slots=True)
class Reading:
    """How rows of one version are read, with a bar."""

    terminal: Terminal
    engine: "Engine"
    serving: "Serving"
    plan: "Plan"
    rows: int

    async def of(self, spec: JobSpec, when: str, truth: Any) -> "Looked":
        """Find rows, read and run them.

        Raises: NothingRead; BadRequest, RedisUnavailable, RedisRefused; what is wrong with the model.
        """
        from server.batch.drifting import Looking, found, sample_rows
        from server.batch.sources.opening import open_source

        source = open_source(spec.rows, self.engine.store.redis, self.plan, spec.missing)
        most = sample_rows(self.serving, self.rows)
        with Work(self.terminal, f"rows of {when}", 1) as work:

            def walked(done: int, total: int) -> None:
                work.update(done, 2 * total, "finding")

            def read(done: int, total: int) -> None:
                work.update(total + done, 2 * total, f"{done:,} of {total:,} read")

            looked, rows = await found(source, self.plan, most, walked)
            if rows:
                looking = Looking(self.engine, self.serving, self.plan, spec.missing, truth)
                await looking.of(rows, looked, read)
        if not any(column.present for column in looked.features):
            raise nothing_read(spec, looked, self.plan)
        return looked


def nothing_read(spec: JobSpec, looked: "Looked", plan: "Plan") -> NothingRead:
    """Return why there is nothing to compare."""
    from cli.job_report import reasons, rows_text

    if looked.skipped.skipped:
        return NothingRead(f"none of {looked.rows:,} rows could be read {reasons(looked.skipped)}")
    where = rows_text(spec)
    if plan.templates and looked.others:
        return NothingRead(
            f"{looked.others:,} keys among {where}, none of them is a key this model reads ({plan.template.text!r})"
        )
    reads = f"; this model reads {plan.template.text!r}" if plan.templates else ""
    return NothingRead(f"there are no rows among {where}{reads}")


COMMANDS = (
    Command(
        PREDICTIONS,
        drift,
        (
            "insitu drift breast_cancer",
            "insitu drift breast_cancer:2 --match 'patient:2*' --target diagnosis",
            "insitu drift churn --match 'customer:2026*' --against 'customer:2025*'",
            "insitu drift churn --instances today.parquet --fail-over 0.25 --json",
        ),
        "0 compared; 1 there is nothing to compare, or something is over --fail-over",
    ),
)
