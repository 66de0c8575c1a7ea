"""Opening: everything that one process does a job with, made before its first row."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from redis.asyncio.cluster import RedisCluster

from models.assembly import Plan
from models.jobs import JobSpec
from models.ledger import DONE, Ledger, Standing
from models.privacy import Privacy
from models.redis_failures import connected
from server.batch.answering import Answering
from server.batch.pacing import Pace, Rest, Sips, giving_way, nobody
from server.batch.places import Places
from server.batch.selecting import Selection
from server.batch.sources.opening import open_source
from server.batch.targets.error_list import ErrorList
from server.batch.targets.target import JobRun, Target
from server.batch.walking import Terms, Walk, rows_at
from server.inference.engine import Engine
from server.inference.errors import no_view
from server.inference.loading import Serving
from server.inference.memory import keep_memory
from server.inference.reading.portions import Line

KEPT_BYTES = 256 << 20  # of what a block has freed: the next takes as much again


@dataclass(frozen=True, slots=True)
class Tools:
    """What one job is done with."""

    answering: Answering
    selection: Selection
    targets: tuple[Target, ...]
    errors: ErrorList | None
    privacy: Privacy
    walk: Walk
    pace: Pace
    rest: Rest


@dataclass(frozen=True, slots=True)
class Manner:
    """How this process works on a job: one it began is its `own`; `gentle` lets others ask Redis in between.

    While `others` are served, a gentle one rests again and again.
    """

    own: bool = True
    gentle: bool = False
    others: Callable[[], bool] = nobody


async def opened(engine: Engine, ledger: Ledger, standing: Standing, manner: Manner) -> Tools:
    """Load the version, and open everything a job needs.

    Raises: BadRequest, the job does not fit the model, or has nowhere to go; what `Catalogue.get` raises.
    """
    spec = standing.spec
    spec.check_places(engine.store.keys)
    serving = await engine.catalogue.get(spec.model, spec.version)
    settle_in(serving)
    plan = serving.plan
    if plan is None:
        raise no_view(spec.model)
    ask = engine.ask
    if manner.gentle:
        line = Line(ahead=1, rest=partial(giving_way, manner.others))
        engine.blocks.be_gentle(line)
        ask = Sips(line.around(ask))
    job = JobRun(standing.name, standing.begun, standing.state == DONE, engine.store.keys)
    places = Places.open(spec, serving.manifest, plan, ask, job)
    return Tools(
        Answering(engine, serving, plan, spec, places.ranking),
        places.selection,
        places.targets,
        places.errors,
        places.privacy,
        walk_of(engine, ledger, plan, spec, manner),
        Pace(spec.max_rate),
        rest_of(engine, spec),
    )


def settle_in(serving: Serving) -> None:
    """Make the most of a process that does nothing but run one version block by block."""
    serving.batcher.alone()
    keep_memory(KEPT_BYTES)


def walk_of(engine: Engine, ledger: Ledger, plan: Plan, spec: JobSpec, manner: Manner) -> Walk:
    """Return the walk of a job, whose source is opened by whoever walks."""
    redis = engine.store.redis
    return Walk(
        ledger,
        lambda: open_source(spec.rows, redis, plan, spec.missing, manner.gentle),
        plan,
        Terms(manner.own, rows_at(spec.max_rate)),
    )


def rest_of(engine: Engine, spec: JobSpec) -> Rest:
    """Return what rests while Redis is slow."""
    redis = engine.store.redis

    async def ping() -> None:
        everywhere = {"target_nodes": RedisCluster.PRIMARIES} if isinstance(redis, RedisCluster) else {}
        async with connected(redis):
            await redis.ping(**everywhere)

    return Rest(ping, spec.pause_above_ms)
