"""AI.DAGEXECUTE, AI.DAGRUN and their read-only forms: several commands at once, in a name space of their own.

One round trip reads every tensor that is loaded and every model, unless they are very many; what is
kept is written by one script in the end, all of it or nothing, and only when no step failed.
"""

import asyncio
from collections.abc import Sequence

from models.errors import InsituError, RedisUnavailable
from models.tensor_strings import StoredTensor
from server.inference.errors import DeadlineExceeded
from server.resp import errors
from server.resp.caller import Caller
from server.resp.commands.command import Answer, Command, Words
from server.resp.commands.dag_forms import Forms
from server.resp.commands.dag_parsing import Dag, Execute, GetTensor, SetTensor, parted
from server.resp.commands.dag_running import Course, ran
from server.resp.commands.dag_sections import THEN
from server.resp.commands.executing import TIMED_OUT, keep
from server.resp.commands.lookups import Limit, refuse, tensors_and_models, timed_out
from server.resp.commands.many_words import read_by
from server.resp.commands.run_parsing import Misworded, whole
from server.resp.commands.tensor_values import STRING_LIMIT_BYTES
from server.resp.commands.tensors import replied
from server.resp.refusals import Refused, refused
from server.resp.wire.replies import OK, Encoder, array

PART_STEPS = 1024  # that are answered before others have their turn
NOT_RUN = b"+NA\r\n"
COUNTING = (b"LOAD", b"PERSIST")
MODELS = (b"AI.MODELEXECUTE", b"AI.MODELRUN", b"AI.SCRIPTEXECUTE", b"AI.SCRIPTRUN")


async def executed(caller: Caller, args: Words, forms: Forms) -> bytes:
    """Answer a DAG: a reply for each step, or one error where nothing was run.

    Raises: InsituError, of which `Refused` has RedisAI's words.
    """
    try:
        dag = await read_by(forms.dag, args)
    except Misworded as error:
        await refuse(caller, error)
    limit = Limit.of(dag.timeout_ms)
    claims = [step.claim for step in dag.steps if type(step) is Execute]
    try:
        loaded, models = await tensors_and_models(caller, dag.loads, claims, limit)
    except DeadlineExceeded as error:
        if timed_out(error, limit):
            return TIMED_OUT
        raise
    course = await ran(caller, dag, loaded, models, None if limit is None else limit.at)
    if isinstance(course.error, DeadlineExceeded) and timed_out(course.error, limit):
        return TIMED_OUT
    replies = await replies_of(caller.wire, dag, course)
    if dag.persists and course.failed is None:
        replies += await kept(caller, dag, course)
    return array(replies)


async def replies_of(wire: Encoder, dag: Dag, course: Course) -> list[bytes]:
    """Return a reply for each step: what came after the run that failed was not run.

    Raises: Refused, they have too many bytes.
    """
    replies, going, size = list[bytes](), True, 0
    for at, step in enumerate(dag.steps):
        size += len(replies[-1]) if replies else 0
        if size > STRING_LIMIT_BYTES:
            raise refused(f"the replies of a DAG take more than {STRING_LIMIT_BYTES} bytes together")
        if at % PART_STEPS == PART_STEPS - 1:
            await asyncio.sleep(0)
        if isinstance(step, SetTensor):
            replies.append(OK)
        elif isinstance(step, GetTensor):
            tensor = course.tensors[step.place]
            replies.append(NOT_RUN if tensor is None else await replied(wire, tensor, step.wanted))
        elif step is course.failed and course.error is not None:
            going = False
            replies.append(errors.answer(course.error))
        else:
            replies.append(OK if going else NOT_RUN)
    return replies


async def kept(caller: Caller, dag: Dag, course: Course) -> list[bytes]:
    """Store what a DAG keeps; where that is refused, the error is one reply more.

    Raises: RedisUnavailable.
    """

    def pairs(persists: Sequence[tuple[bytes, int]]) -> list[tuple[bytes, StoredTensor]]:
        return [(name, tensor) for name, place in persists if (tensor := course.tensors[place]) is not None]

    try:
        await keep(caller, await read_by(pairs, dag.persists))
    except RedisUnavailable:
        raise
    except InsituError as error:
        return [errors.answer(error)]
    return []


def names_of(args: Words) -> list[bytes]:
    """Return the keys of a DAG: what it loads, keeps and is steered by, then its models; none where it is malformed."""
    names: list[bytes] = []
    at = 0
    while at < len(args) and args[at] != THEN:
        found, size = section_names(args, at)
        names += found
        at += size
    try:
        models = [step[1] for step in parted(args, at) if len(step) > 1 and step[0].upper() in MODELS]
    except Refused:
        models = []
    return names + models


def section_names(args: Words, at: int) -> tuple[Words, int]:
    """Return the keys of a section, and how many words it has."""
    section, number = args[at].upper(), whole(args[at + 1]) if at + 1 < len(args) else None
    if section == b"ROUTING":
        return args[at + 1 : at + 2], 2
    if section not in COUNTING:
        return (), 2
    if number is None or number < 0 or at + 2 + number > len(args):
        return (), len(args)
    return args[at + 2 : at + 2 + number], 2 + number


def answering(forms: Forms) -> Answer:
    """Return what answers one of the four commands."""

    async def answer(caller: Caller, args: Words) -> bytes:
        return await executed(caller, args, forms)

    return answer


def command(name: str, read_only: bool, deprecated: bool, summary: str) -> Command:
    """Return one of the four commands."""
    persist = "" if read_only else "[PERSIST count key [key ...]] "
    return Command(
        name,
        arity=-1,
        answer=answering(Forms(read_only, deprecated)),
        summary=summary,
        synopsis=f"[LOAD count key [key ...]] {persist}[ROUTING key] [TIMEOUT ms] |> command [|> command ...]",
        flags=("readonly", "movablekeys") if read_only else ("write", "denyoom", "movablekeys"),
        keys=(3, 3, 1),
        names=names_of,
        alongside=read_only,
        least=6 if deprecated else 7,
    )


COMMANDS = (
    command("AI.DAGEXECUTE", False, False, "Run several commands on tensors of their own."),
    command("AI.DAGEXECUTE_RO", True, False, "Run several commands that write nothing."),
    command("AI.DAGRUN", False, True, "Run several commands; AI.DAGEXECUTE is its successor."),
    command(
        "AI.DAGRUN_RO",
        True,
        True,
        "Run several commands that write nothing; AI.DAGEXECUTE_RO is its successor.",
    ),
)
