"""The body that starts a job -> JobSpec, and the version that it means; what a server cannot do is refused."""

from collections.abc import Callable
from typing import Any

import orjson

from models.errors import BadRequest, shown
from models.jobs import LOCAL, JobSpec
from models.manifest import Manifest
from models.store import PRODUCTION, ModelStore
from server.rest import asks
from server.rest.job_schemas import JobRequest
from server.rest.refusals import ParameterRefused

FIELDS = tuple(JobRequest.model_fields)

# The job as a version does it, if it fits; BadRequest, BadFeatureView.
Fits = Callable[[JobSpec, Manifest], JobSpec]


def of_body(model: str, data: Any) -> tuple[str | None, JobSpec]:
    """Return the name that a body gives its job, and the job.

    Raises: BadRequest, naming the place, its value and the rule; ParameterRefused, it wants a file.
    """
    if not isinstance(data, dict):
        raise BadRequest(
            f"the body is {asks.kind(data)}; send an object, {{}} scores every key the model reads"
        )
    asks.check_names(data, FIELDS, "field")
    name = data.get("job")
    if name is not None and (not isinstance(name, str) or not name):
        raise BadRequest(f"job is {shown(name)!r}; give a name, or leave it out", field="job")
    facts = {field: value for field, value in data.items() if field != "job"}
    spec = JobSpec.parse(orjson.dumps({**facts, "model": model}))
    if spec.local:
        field = local_field(spec)
        raise ParameterRefused(
            f"{field} names a file or standard output, and a server reads and writes Redis alone; "
            "use `insitu score` on the machine where it lies",
            field=field,
        )
    return name, spec


def local_field(spec: JobSpec) -> str:
    """Return the field by which a job wants a file."""
    if isinstance(spec.rows, LOCAL):
        return "rows"
    at = next((at for at, one in enumerate(spec.to) if isinstance(one, LOCAL)), None)
    return "errors_to" if at is None else f"to.{at}"


async def scorable(store: ModelStore, spec: JobSpec, fits: Fits) -> JobSpec:
    """Return a job on the version that it means, and that it fits.

    Raises: ModelNotFound, VersionNotFound, AliasNotFound, BadName, BadFeatureView, BadRequest; ManifestUnreadable;
            RedisUnavailable, RedisRefused.
    """
    spec.check_places(store.keys)
    reference = asks.reference(PRODUCTION if spec.version is None else str(spec.version))
    number = reference if isinstance(reference, int) else await store.resolve(spec.model, str(reference))
    return fits(spec, await store.manifest(spec.model, number))
