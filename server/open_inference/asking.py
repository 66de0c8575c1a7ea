"""A request of the protocol -> what the core is asked: tensors of the graph, or the keys that its features lie at.

A model with a feature view also takes, in place of its tensors, one input for each placeholder of
its keys (BYTES or whole numbers, one a row) and one for each inline field: the rows are read from Redis.
"""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from models.assembly import Plan
from models.errors import BadRequest, InsituError, listed, shown
from models.manifest import Manifest
from server.inference.answers import WHOLE_NUMBERS
from server.inference.asking import Answer, Ask
from server.inference.engine import Engine
from server.inference.errors import BadInput, DeadlineExceeded
from server.inference.loading import Serving
from server.inference.requests import Request
from server.open_inference.answering import told, told_in_turn
from server.open_inference.datatypes import BYTES, DATATYPES
from server.open_inference.infer import Infer, Inferred, OutputWanted, Reference, TensorGiven

Told = Callable[[Inferred | Exception], None]
MICROSECONDS = 1e-6


async def infer(engine: Engine, request: Infer) -> Inferred:
    """Answer a request, within its own time or the server's.

    Raises: InsituError, whatever is wrong with it, the model or a row of it.
    """
    started = time.monotonic()
    most = engine.limits.timeout_seconds
    seconds = min(request.timeout_us * MICROSECONDS or most, most)
    try:
        serving = await loaded(engine, request, seconds)
    except InsituError as error:
        engine.refused(request.model, error)
        raise
    answer = await engine.predictor.predict(asked(engine, request, serving, started))
    return await told_in_turn(request, answer, meant(engine, serving, answer.version))


def begun(engine: Engine, request: Infer, done: Told) -> Request | None:
    """Begin to answer a request whose version is loaded; `done` hears what `infer` would return or raise.

    None when the version has to be looked up or loaded first, or classes are wanted, which may take long to sort:
    `infer` does.
    Raises: InsituError, what is wrong with the request.
    """
    started = time.monotonic()
    route = engine.catalogue.route(request.model, request.reference)
    if route is None or any(one.classes for one in request.outputs):
        return None
    serving = route.serving

    def answered(outcome: Answer | Exception) -> None:
        if isinstance(outcome, Exception):
            done(outcome)
            return
        try:
            inferred = told(request, outcome, meant(engine, serving, outcome.version))
        except Exception as error:  # noqa: BLE001  # whatever it is, who asked must hear of it
            done(error)
        else:
            done(inferred)

    return engine.predictor.submit(asked(engine, request, serving, started), answered)


def asked(engine: Engine, request: Infer, serving: Serving, started: float) -> Ask:
    """Return what the core is asked; a request that never gets there is counted here.

    Units:  started, seconds of time.monotonic, when the request came.
    Raises: as ask_of.
    """
    try:
        ask = ask_of(request, serving)
    except InsituError as error:
        manifest = serving.manifest
        engine.metrics.failed(manifest.name, error.code, version=manifest.version)
        serving.metrics.failed(time.monotonic() - started)
        raise
    ask.deadline = started + (request.timeout_us * MICROSECONDS or engine.limits.timeout_seconds)
    return ask


async def loaded(engine: Engine, request: Infer, seconds: float) -> Serving:
    """Return the version whose signature a request is read by; a load that takes longer goes on by itself.

    Raises: DeadlineExceeded; as serving_of.
    """
    try:
        async with asyncio.timeout(seconds):
            return await serving_of(engine, request)
    except TimeoutError:
        raise DeadlineExceeded(seconds) from None


async def serving_of(engine: Engine, request: Infer) -> Serving:
    """Return the version whose signature a request is read by, loaded if need be.

    Raises: as Catalogue.routed.
    """
    catalogue = engine.catalogue
    route = catalogue.route(request.model, request.reference)
    if route is None:
        route = await catalogue.routed(request.model, request.reference)
    return route.serving


def joining(engine: Engine, model: str, reference: Reference) -> Serving | None:
    """Return the version that requests of several callers may be joined for, None where each is asked for alone.

    It is loaded, no row of it sees another, and no traffic rule shares requests out.
    """
    route = engine.catalogue.route(model, reference)
    if route is None or route.split is not None or route.serving.rows != "apart":
        return None
    return route.serving


def meant(engine: Engine, serving: Serving, version: int) -> Manifest:
    """Return the manifest of the version that answered: under a traffic rule it may be another one."""
    if serving.manifest.version == version:
        return serving.manifest
    other = engine.catalogue.find(serving.manifest.name, version)
    return serving.manifest if other is None else other.manifest


def ask_of(request: Infer, serving: Serving) -> Ask:
    """Return what the core is asked.

    Raises: BadRequest, BadInput, BadFeatureView.
    """
    manifest = serving.manifest
    check_outputs(request.outputs, manifest)
    given = {one.name: one for one in request.inputs}
    if len(given) < len(request.inputs):
        twice = next(one.name for one in request.inputs if given[one.name] is not one)
        raise BadRequest(f"input {shown(twice)!r} is given twice; give it once", tensor=shown(twice))
    ask = Ask(request.model, request.reference, tensors=True, priority=request.priority)
    if request.timeout_us:
        ask.deadline = time.monotonic() + request.timeout_us * MICROSECONDS
    if serving.plan is not None and names_rows(given, manifest, serving.plan):
        ask.instances = instances_of(given, serving.plan)
        ask.missing = missing_of(request.parameters)
    else:
        ask.inputs = inputs_of(given, manifest, serving.plan)
    return ask


def check_outputs(outputs: Sequence[OutputWanted], manifest: Manifest) -> None:
    """Refuse an output that the model has not, or that is named twice.

    Raises: BadRequest.
    """
    known, seen = {spec.name: spec for spec in manifest.outputs}, set[str]()
    for one in outputs:
        if one.name not in known:
            raise BadRequest(
                f"the model has no output {shown(one.name)!r}{nearest(one.name, sorted(known))}",
                tensor=shown(one.name),
            )
        if one.classes and known[one.name].dtype in ("string", "bool"):
            raise BadRequest(
                f"output {shown(one.name)!r} is {DATATYPES[known[one.name].dtype]}; classification is for numbers",
                tensor=shown(one.name),
            )
        if one.name in seen:
            raise BadRequest(
                f"output {shown(one.name)!r} is asked for twice; ask once", tensor=shown(one.name)
            )
        seen.add(one.name)


def nearest(name: str, known: Sequence[str]) -> str:
    """Return what may have been meant."""
    close = get_close_matches(name[:128], known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f", it has {listed(known)}"


def key_inputs(plan: Plan) -> tuple[str, ...]:
    """Return the inputs that name rows in place of tensors: placeholders, then inline fields."""
    return tuple(dict.fromkeys((*plan.placeholders, *(one.name for one in plan.inline))))


def names_rows(given: Mapping[str, TensorGiven], manifest: Manifest, plan: Plan) -> bool:
    """Whether the inputs name rows; a name that is the graph's and a placeholder too is a placeholder as BYTES."""
    graph = {spec.name: spec.dtype for spec in manifest.inputs}
    rows = key_inputs(plan)
    return bool(given) and all(
        name in rows and (name not in graph or (one.datatype == BYTES and graph[name] != "string"))
        for name, one in given.items()
    )


def instances_of(given: Mapping[str, TensorGiven], plan: Plan) -> list[dict[str, Any]]:
    """Return one instance a row.

    Raises: BadInput, placeholders that are missing or differ in their number of rows.
    """
    absent = [name for name in plan.placeholders if name not in given]
    if absent:
        raise BadInput(f"input {listed(absent)} is missing; a row is named by {listed(plan.placeholders)}")
    columns = {name: column_of(one, name in plan.placeholders) for name, one in given.items()}
    counts = {name: len(column) for name, column in columns.items()}
    if len(set(counts.values())) > 1:
        rows = listed(f"{name} {count}" for name, count in counts.items())
        raise BadInput(f"the inputs differ in their number of rows: {rows}")
    names = [*columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def column_of(one: TensorGiven, placeholder: bool) -> list[Any]:
    """Return a value a row of an input that names rows: texts for placeholders.

    Raises: BadInput, another shape or type.
    """
    tensor = one.tensor
    if tensor.ndim == 0 or tensor.size != len(tensor):
        raise BadInput(
            f"input {one.name!r} has shape {list(tensor.shape)}; it names rows, one value each: [rows] or [rows, 1]"
        )
    if placeholder and one.datatype != BYTES and tensor.dtype.kind not in WHOLE_NUMBERS:
        raise BadInput(f"input {one.name!r} is {one.datatype}; what fills a key is BYTES or a whole number")
    values: list[Any] = tensor.reshape(-1).tolist()
    return [str(value) for value in values] if placeholder else values


def missing_of(parameters: Mapping[str, Any]) -> float | None:
    """Return what stands in for absent values, where the request's parameter `missing` says so.

    Raises: BadRequest.
    """
    value = parameters.get("missing")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or (number and math.isfinite(value)):
        return value
    raise BadRequest(f"parameter 'missing' is {shown(value)!r}; send a finite number", field="missing")


def inputs_of(given: Mapping[str, TensorGiven], manifest: Manifest, plan: Plan | None) -> dict[str, Any]:
    """Return tensors of the graph, of the datatypes it takes.

    Raises: BadInput; what else is wrong with them the core says.
    """
    specs = {spec.name: spec for spec in manifest.inputs}
    for name, one in given.items():
        spec = specs.get(name)
        if spec is None:
            rows = f"; or name rows by {listed(key_inputs(plan))}" if plan is not None else ""
            raise BadInput(f"the model has no input {shown(name)!r}{nearest(name, [*specs])}{rows}")
        if one.dtype != spec.dtype:
            raise BadInput(f"input {name!r} is {one.datatype}, the model takes {DATATYPES[spec.dtype]}")
    return {name: one.tensor for name, one in given.items()}
