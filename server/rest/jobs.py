"""Routes of scoring jobs: they write, read and end what lies in Redis, and know nobody who works on it."""

from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from models import errors as domain
from models.errors import shown
from models.job_errors import JobNotFound, JobUnderWay, JobUnreadable
from models.job_names import SERVER, job_names
from models.jobs import JobSpec
from models.keys import check_name
from models.ledger import CANCELLED, RUNNING, Ledger, Standing
from server.access import Access, NotAllowed
from server.inference.engine import Engine
from server.rest import job_asks, job_events, refusals
from server.rest.catalogue import ABSENT, LISTED, LISTED_LIMIT
from server.rest.documenting import body_of, failures
from server.rest.guarding import KNOWN_QUERY, needs
from server.rest.job_asks import Fits
from server.rest.job_schemas import JOB_BODIES, JobList, JobRequest, JobView
from server.rest.job_views import view
from server.rest.parameters import ModelName
from server.rest.refusals import ParameterRefused
from server.rest.wire import Json, read_json

MODEL_JOBS = "/v1/models/{name}/jobs"
JOBS = "/v1/jobs"
JOB = "/v1/jobs/{job}"
EVENTS = "/v1/jobs/{job}/events"
ENDING = (JobNotFound, domain.BadName, domain.RedisUnavailable, domain.RedisRefused)
GONE = (JobUnreadable, *ENDING)
STARTING = (
    *ABSENT,
    domain.VersionNotFound,
    domain.AliasNotFound,
    domain.BadRequest,
    domain.BadFeatureView,
    JobUnderWay,
    JobUnreadable,
    refusals.MalformedJson,
    refusals.TooManyNodes,
    refusals.TooManyNames,
    refusals.MediaTypeRefused,
    refusals.ParameterRefused,
)
ENDED = {
    "description": "It has ended, and a newer version of Insitu began it: how it stands is not understood here."
}
STREAM: dict[str, Any] = {
    "description": "An event a second, each with a job as its data; the last one says that the job has ended.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}
JobName = Annotated[str, Path(description="Name of the job.", examples=["churn-5f2a9c01d3"])]


def create_readers(engine: Engine, access: Access) -> APIRouter:
    """Return the routes that look."""
    router = APIRouter(
        tags=["jobs"],
        dependencies=[needs(access, "predict"), KNOWN_QUERY],
        responses=failures(refusals.ParameterRefused),
    )

    @router.get(
        JOBS,
        summary="List jobs",
        response_model=JobList,
        responses=failures(refusals.ParameterRefused, domain.RedisUnavailable),
    )
    async def list_jobs(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=LISTED_LIMIT, description="Jobs in one answer.")] = LISTED,
        after: Annotated[str, Query(max_length=160, description="`next` of the answer before.")] = "",
    ) -> Json:
        """List scoring jobs, the newest first; one that has ended is kept for seven days."""
        names = names_after(await job_names(engine.store.redis, engine.store.keys), after)
        found, rest = await page(engine, names, limit)
        more = found[-1].name if rest and found else None
        may_change = may(access, request)
        return Json({"jobs": [view(one) for one in found], "next": more, "may_change": may_change})

    @router.get(JOB, summary="Show a job", response_model=JobView, responses=failures(*GONE))
    async def show_job(job: JobName) -> Json:
        """Show how a job stands: what became of its rows, how fast it is, how long it will take."""
        return Json(view(await ledger(engine, job).look()))

    @router.get(
        EVENTS, summary="Follow a job", response_model=None, responses={200: STREAM, **failures(*GONE)}
    )
    async def follow_job(request: Request, job: JobName) -> StreamingResponse:
        """Follow a job as server-sent events, one a second until it ends, for an hour at most."""
        one = ledger(engine, job)
        return job_events.answer(request, one, await one.look())

    return router


def create_writers(engine: Engine, access: Access, fits: Fits) -> APIRouter:
    """Return the routes that begin and end jobs; those that `fits` refuses are not begun."""
    router = APIRouter(
        tags=["jobs"],
        dependencies=[needs(access, "admin"), KNOWN_QUERY],
        responses=failures(refusals.ParameterRefused),
    )

    @router.post(
        MODEL_JOBS,
        summary="Start a job",
        status_code=201,
        response_model=JobView,
        openapi_extra=body_of(JobRequest, JOB_BODIES),
        responses=failures(*STARTING),
    )
    async def start_job(request: Request, name: ModelName) -> Json:
        """Score many rows and write their answers into Redis, by a process beside a server, behind predictions."""
        asked, spec = job_asks.of_body(check_name(name), await read_json(request, job_asks.FIELDS))
        one = ledger(engine, asked or spec.own_name)
        await begin(one, await job_asks.scorable(engine.store, spec, fits))
        return Json(view(await one.look()), 201, {"Location": JOB.format(job=one.name)})

    @router.delete(
        JOB, summary="Cancel a job", response_model=JobView, responses={204: ENDED, **failures(*ENDING)}
    )
    async def cancel_job(job: JobName) -> Response:
        """Cancel a job, and show how it stands; what it has written stays, and one that has ended is left as it is."""
        one = ledger(engine, job)
        await one.end(CANCELLED)
        try:
            return Json(view(await one.look()))
        except JobUnreadable:
            return Response(status_code=204)

    return router


def ledger(engine: Engine, job: str) -> Ledger:
    """Return a job by its name.

    Raises: BadName.
    """
    return Ledger(engine.store.redis, engine.store.keys, job, "")


async def begin(one: Ledger, spec: JobSpec) -> None:
    """Begin a job; one of this name that has ended, or that nobody goes on with, is begun anew.

    Raises: JobUnderWay, a server works on it or is about to; RedisUnavailable, RedisRefused.
    """
    try:
        standing = await one.look()
    except JobNotFound:
        pass
    else:
        if standing.state == RUNNING and standing.host == SERVER:
            raise JobUnderWay(one.name)
    await one.begin(spec, host=SERVER)


def names_after(names: list[str], after: str) -> list[str]:
    """Return the names behind one.

    Raises: ParameterRefused, it is kept no more.
    """
    if not after:
        return names
    if after not in names:
        raise ParameterRefused(
            f"after is {shown(after)!r}, which is no job that is kept; begin again without it", field="after"
        )
    return names[names.index(after) + 1 :]


async def page(engine: Engine, names: list[str], limit: int) -> tuple[list[Standing], bool]:
    """Return so many jobs, and whether there are more; those that are gone, or not understood, are left out."""
    found: list[Standing] = []
    for at, name in enumerate(names):
        if len(found) == limit:
            return found, at < len(names)
        with suppress(JobNotFound, JobUnreadable):
            found.append(await ledger(engine, name).look())
    return found, False


def may(access: Access, request: Request) -> bool:
    """Whether a request may change jobs."""
    try:
        access.check("admin", "DELETE", request.headers)
    except NotAllowed:
        return False
    return True
