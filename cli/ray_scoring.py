"""score --ray: the same job on a Ray cluster, or on a Ray that is started for it."""

from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from io import StringIO
from typing import TYPE_CHECKING

from cli.engines import engine_for
from cli.errors import WrongUsage, needs
from cli.settings import quiet_ray
from cli.signals import unwind_on_signals
from models.jobs import JobSpec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from models.ledger import Standing
    from server.batch.ray_workers import Job
    from server.batch.scoring import Watch
    from server.inference.engine import Engine
    from server.settings import ServerSettings


def check_ray(resume: bool) -> None:
    """See that a job may be done on Ray.

    Raises: WrongUsage; NotInstalled.
    """
    if resume:
        raise WrongUsage(
            "--resume does not go with --ray, which keeps no position; --only-missing passes over the rows "
            "that are scored"
        )
    quiet_ray()
    unwind_on_signals()  # a Ray that is started for a job ends with it
    with needs("ray"):
        import server.batch.on_ray  # noqa: F401  # says at once what is not installed


async def job_for(
    engine: "Engine", settings: "ServerSettings", spec: JobSpec, name: str, *, gentle: bool
) -> "Job":
    """Return a job as processes of Ray get it, where each has one core.

    Raises: BadFeatureView, the model reads no keys; what `Catalogue.get` raises.
    """
    from server.batch.on_ray import begun

    one_core = settings.model_copy(update={"threads": settings.threads or 1})
    job = await begun(engine, partial(engine_for, one_core), spec, name)
    return replace(job, gentle=gentle)


def on_ray(engine: "Engine", job: "Job", address: str) -> "Callable[[Watch], Awaitable[Standing]]":
    """Return how a job is done on Ray."""
    from server.batch.on_ray import Outcome, score
    from server.batch.ray_cluster import Cluster
    from server.batch.scoring import Progress

    async def run(watch: "Watch") -> "Standing":
        def told(now: Outcome) -> None:
            watch(Progress(now.standing, now.standing.tally.rows))

        with redirect_stdout(StringIO()):  # where Ray tells of workers that died
            return (await score(engine, job, Cluster(address), told)).standing

    return run
