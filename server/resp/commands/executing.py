"""AI.MODELEXECUTE and AI.MODELRUN: a model run on stored tensors, its outputs stored as tensors.

Rows of many callers share a run; a bad one fails alone.
"""

from collections.abc import Callable, Sequence

from models.errors import ModelNotFound, VersionNotFound
from models.tensor_strings import StoredTensor, of_array
from models.tensors import Tensor
from server.inference.asking import Ask
from server.inference.errors import BadInput, DeadlineExceeded, RunFailed
from server.resp.caller import Caller
from server.resp.commands.command import Command, Words
from server.resp.commands.feeding import feeds_of
from server.resp.commands.lookups import (
    PART_KEYS,
    Limit,
    check_counts,
    models_of,
    refuse,
    replies_of,
    tensors_at,
    timed_out,
)
from server.resp.commands.many_words import read_by
from server.resp.commands.run_parsing import Claim, Misworded, Run, parse_modelexecute, parse_modelrun
from server.resp.commands.stored_models import Stored, model_at
from server.resp.commands.tensor_values import bounded
from server.resp.commands.tensors import store_tensors, tensor_of
from server.resp.refusals import Refused, refused
from server.resp.wire.replies import OK

TIMED_OUT = b"+TIMEDOUT\r\n"


async def modelexecute(caller: Caller, args: Words) -> bytes:
    """Answer AI.MODELEXECUTE.

    Raises: InsituError, of which `Refused` has RedisAI's words.
    """
    return await executed(caller, args, parse_modelexecute)


async def modelrun(caller: Caller, args: Words) -> bytes:
    """Answer AI.MODELRUN.

    Raises: as `modelexecute`.
    """
    return await executed(caller, args, parse_modelrun)


async def executed(caller: Caller, args: Words, parse: Callable[[Words], Run]) -> bytes:
    """Run a model on tensors and store its outputs, all of them or none.

    Raises: InsituError.
    """
    try:
        said = await read_by(parse, args)
    except Misworded as error:
        await refuse(caller, error)
    limit = Limit.of(said.timeout_ms)
    try:
        outputs = await outputs_of(caller, said, limit)
    except DeadlineExceeded as error:
        if timed_out(error, limit):
            return TIMED_OUT
        raise
    await keep(caller, [*zip(said.outputs, outputs, strict=True)])
    return OK


async def outputs_of(caller: Caller, said: Run, limit: Limit | None) -> list[StoredTensor]:
    """Return the outputs of a model for the tensors at keys; one round trip reads all, unless they are very many.

    Raises: InsituError.
    """
    claim = Claim(said.model, len(said.inputs), len(said.outputs))
    names = dict.fromkeys(said.inputs) if len(said.inputs) < PART_KEYS else ()
    first, *others = await replies_of(caller, [said.model, *names])
    stored = (await models_of(caller, [claim], [first], limit))[said.model]
    if names:
        found = dict(zip(names, map(tensor_of, others), strict=True))
        inputs = [found[name] for name in said.inputs]
    else:
        inputs = await tensors_at(caller, said.inputs)
    return await run(caller, stored, inputs, None if limit is None else limit.at)


async def keep(caller: Caller, pairs: Sequence[tuple[bytes, StoredTensor]]) -> None:
    """Store outputs, all of them or none.

    Raises: Refused, a key holds something else, or an output is larger than any string of Redis; RedisUnavailable.
    """
    await read_by(check_sizes, pairs)
    await store_tensors(caller, pairs)


def check_sizes(pairs: Sequence[tuple[bytes, StoredTensor]]) -> None:
    """Refuse tensors that no string of Redis holds.

    Raises: Refused.
    """
    for _, tensor in pairs:
        bounded(tensor.shape, tensor.data)


async def run(
    caller: Caller, stored: Stored, inputs: Sequence[StoredTensor], deadline: float | None = None
) -> list[StoredTensor]:
    """Run a model and return its outputs, both in the order of the graph.

    Where that version is deleted before it runs, because others were stored in its place, the newest one runs.

    Units:  deadline, seconds of time.monotonic; None takes the server's own limit.
    Raises: Refused, what does not fit, or what ONNX Runtime said; DeadlineExceeded, Overloaded, TooManyRows,
            BadInput, inputs that differ in their rows; as `model_at`, the key is empty by now.
    """
    feeds = fed(caller, stored, inputs)
    ask = Ask(stored.name, stored.version, inputs=feeds, deadline=deadline, tensors=True)
    try:
        answer = await caller.engine.predictor.predict(ask)
    except RunFailed as error:
        raise Refused(str(error.details["reason"])) from error
    except (ModelNotFound, VersionNotFound):
        newest = await model_at(caller, stored.key)
        if (newest.name, newest.version) == (stored.name, stored.version):
            raise
        check_counts(newest, Claim(stored.key, len(inputs), len(stored.manifest.outputs)))
        return await run(caller, newest, inputs, deadline)
    outputs = answer.outputs or {}
    try:
        return [of_array(outputs[spec.name]) for spec in stored.manifest.outputs]
    except ValueError as error:
        raise refused(f"an output of the model cannot be a tensor here: {error}") from error


def fed(caller: Caller, stored: Stored, inputs: Sequence[StoredTensor]) -> dict[str, Tensor]:
    """Return tensors by the names of a graph's inputs; those that do not fit are counted as a failed request.

    Raises: Refused.
    """
    try:
        return feeds_of(stored.manifest, stored.serving.rows, inputs)
    except Refused:
        caller.engine.metrics.failed(stored.name, BadInput.code, version=stored.version)
        stored.serving.metrics.failed(0.0)
        raise


def names_of(parse: Callable[[Words], Run]) -> Callable[[Words], list[bytes]]:
    """Return what finds the keys of a command, none where it is written wrongly."""

    def names(args: Words) -> list[bytes]:
        try:
            said = parse(args)
        except Misworded:
            return []
        return [said.model, *said.inputs, *said.outputs]

    return names


COMMANDS = (
    Command(
        "AI.MODELEXECUTE",
        arity=-1,
        answer=modelexecute,
        summary="Run a model on tensors and store its outputs.",
        synopsis="key INPUTS count input [input ...] OUTPUTS count output [output ...] [TIMEOUT ms]",
        flags=("write", "denyoom", "movablekeys"),
        keys=(4, 4, 1),
        names=names_of(parse_modelexecute),
        least=8,
    ),
    Command(
        "AI.MODELRUN",
        arity=-1,
        answer=modelrun,
        summary="Run a model on tensors and store its outputs; AI.MODELEXECUTE is its successor.",
        synopsis="key [TIMEOUT ms] INPUTS input [input ...] OUTPUTS output [output ...]",
        flags=("write", "denyoom", "movablekeys"),
        keys=(3, 3, 1),
        names=names_of(parse_modelrun),
        least=6,
    ),
)
