"""Opening: everything that one process does a job with, made before its first row."""

from dataclasses import dataclass

from models.assembly import Plan
from models.jobs import JobSpec
from models.ledger import Ledger, Standing
from models.redis_failures import connected
from server.batch.answering import Answering
from server.batch.pacing import Pace, Rest
from server.batch.selecting import Selection
from server.batch.sources.opening import open_source
from server.batch.targets.error_list import ErrorList, open_error_list
from server.batch.targets.opening import open_target
from server.batch.targets.target import Target
from server.batch.walking import Terms, Walk, rows_at
from server.inference.engine import Engine
from server.inference.errors import no_view


@dataclass(frozen=True, slots=True)
class Tools:
    """What one job is done with."""

    answering: Answering
    selection: Selection
    targets: tuple[Target, ...]
    errors: ErrorList | None
    walk: Walk
    pace: Pace
    rest: Rest


async def opened(engine: Engine, ledger: Ledger, standing: Standing, own: bool) -> Tools:
    """Load the version, and open everything a job needs; `own` is a job that this process began.

    Raises: BadRequest, the job does not fit the model, or has nowhere to go; what `Catalogue.get` raises.
    """
    spec = standing.spec
    serving = await engine.catalogue.get(spec.model, spec.version)
    plan = serving.plan
    if plan is None:
        raise no_view(spec.model)
    if spec.missing is not None:
        plan.check_missing(spec.missing)
    answering = Answering(engine, serving, plan, spec)
    targets = targets_of(engine, plan, answering, standing)
    return Tools(
        answering,
        Selection(spec, plan, targets[0], engine.ask),
        targets,
        open_error_list(spec.errors_to, engine.ask, plan) if spec.errors_to else None,
        walk_of(engine, ledger, plan, spec, own),
        Pace(spec.max_rate),
        rest_of(engine, spec),
    )


def targets_of(engine: Engine, plan: Plan, answering: Answering, standing: Standing) -> tuple[Target, ...]:
    """Open every target of a job; what was begun in a file is gone on with by this job alone."""
    job = f"{standing.name} {standing.begun}"
    manifest, ranking = answering.manifest, answering.ranking
    return tuple(open_target(one, engine.ask, plan, manifest, ranking, job=job) for one in standing.spec.to)


def walk_of(engine: Engine, ledger: Ledger, plan: Plan, spec: JobSpec, own: bool) -> Walk:
    """Return the walk of a job, whose source is opened by whoever walks."""
    redis = engine.store.redis
    return Walk(
        ledger,
        lambda: open_source(spec.rows, redis, plan, spec.missing),
        plan,
        Terms(own, rows_at(spec.max_rate)),
    )


def rest_of(engine: Engine, spec: JobSpec) -> Rest:
    """Return what rests while Redis is slow."""
    redis = engine.store.redis

    async def ping() -> None:
        async with connected(redis):
            await redis.ping()

    return Rest(ping, spec.pause_above_ms)
