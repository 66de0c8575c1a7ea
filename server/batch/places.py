"""Places: where the answers and errors of a job go, and which rows it passes over; made with no look at Redis.

What is made says that the job fits the version: a door asks so before a job is begun, a process before its first row.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from models.assembly import Plan
from models.errors import BadRequest, FeatureError, shown
from models.fields import FieldReader
from models.jobs import JobSpec, ToCsv, ToParquet
from models.manifest import Manifest
from models.privacy import Privacy
from models.sources import FeatureField, ListSource, StreamSource, VectorSource
from server.batch.scored import Ranking, settled
from server.batch.selecting import Selection
from server.batch.targets.error_list import ErrorList, open_error_list
from server.batch.targets.opening import open_target
from server.batch.targets.parts_folder import check_free
from server.batch.targets.target import JobRun, Target
from server.inference.errors import no_view
from server.inference.reading.reads import Ask, Done


@dataclass(frozen=True, slots=True)
class Places:
    """The places of one job, on one version."""

    ranking: Ranking
    selection: Selection
    targets: tuple[Target, ...]
    errors: ErrorList | None
    privacy: Privacy

    @classmethod
    def open(cls, spec: JobSpec, manifest: Manifest, plan: Plan, ask: Ask, job: JobRun) -> Self:
        """Open what the answers of a version go to; files that are named are begun.

        Raises: BadRequest, the job does not fit the model, or has nowhere to go.
        """
        privacy = Privacy.of_model(manifest.recipe, manifest.features)
        if spec.missing is not None:
            check_missing(plan, spec.missing, privacy)
        ranking = Ranking(manifest, spec.label, spec.outputs)
        targets = tuple(open_target(one, ask, plan, manifest, ranking, job=job) for one in spec.to)
        selection = Selection(spec, plan, targets[0], ask)
        errors = open_error_list(spec.errors_to, ask, plan, job, privacy) if spec.errors_to else None
        return cls(ranking, selection, targets, errors, privacy)


def check_fits(spec: JobSpec, manifest: Manifest) -> JobSpec:
    """Return a job that has no files as a version does it, if it fits; nothing is loaded, read or written.

    Raises: BadRequest, it does not; BadFeatureView, the model reads no keys.
    """
    if manifest.features is None:
        raise no_view(spec.model)
    Places.open(spec, manifest, Plan(manifest.features), not_asking, JobRun(spec.model, 0.0))
    return settled(spec, manifest)


def check_new(spec: JobSpec, manifest: Manifest) -> None:
    """See that a job may begin, before one of its name is forgotten; nothing is loaded, read or written.

    Raises: BadRequest, it does not fit, or its files are there already; BadFeatureView, the model reads no keys.
    """
    files = [one for one in spec.to if isinstance(one, ToParquet | ToCsv)]
    for one in files:
        check_free(Path(one.path).absolute())
    others = tuple(one for one in spec.to if one not in files)
    if others:
        errors_to = None if spec.errors_key is None else spec.errors_to
        check_fits(spec.model_copy(update={"to": others, "errors_to": errors_to}), manifest)


def not_asking(_commands: Sequence[bytes], _done: Done) -> None:
    """Leave Redis alone: a job that is only looked at asks nothing."""
    raise RuntimeError("a job asked Redis before it was begun")


def check_missing(plan: Plan, missing: Any, privacy: Privacy) -> None:
    """Refuse stand-ins that no row of the model can use; why is kept with the job, and has no private names.

    Raises: BadRequest.
    """
    try:
        plan.check_missing(missing)
        for name, value in missing.items() if isinstance(missing, Mapping) else ():
            for reader in readers_of(plan, name):
                reader.stand_in(value, f"missing: the stand-in for {shown(name)!r}")
    except (BadRequest, FeatureError) as error:
        raise BadRequest(privacy.text(str(error)), field="missing") from None


def readers_of(plan: Plan, name: str) -> Iterator[FieldReader]:
    """Yield what reads the fields of a name, and keys of that template that hold numbers without names."""
    for one in plan.view.inputs:
        dtype = one.dtype or "float32"
        for source in one.sources:
            if not isinstance(source, VectorSource | ListSource):
                whole = isinstance(source, StreamSource) and source.key == name
                yield from (
                    FieldReader(field, dtype) for field in source.fields if whole or field.name == name
                )
            elif source.key == name:
                yield FieldReader(FeatureField(name="numbers"), dtype)
