"""DAGs that set a tensor, run a model on it and get what it gives: those of one moment are run together.

What programs send again and again differs in the tensor's bytes alone. A client's command that went
well is remembered as its form; what it sends next is compared with that, as bytes, and not read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

from models.encoding import encoded
from models.errors import InsituError
from models.model_pointers import name_of
from models.tensor_strings import NUMPY, WORDS, StoredTensor
from models.tensors import Tensor, numpy_dtype
from server.inference.asking import Answer, Ask
from server.inference.engine import Engine
from server.inference.loading import Serving
from server.resp.commands.command import Words
from server.resp.commands.dag_forms import blobs_of
from server.resp.commands.dag_parsing import Dag, Execute, GetTensor, SetTensor, parse_dag
from server.resp.commands.stored_models import pointer_of
from server.resp.commands.tensors import TensorGet, tensor_reply
from server.resp.gathered import Gathered, Group
from server.resp.slots import Slot
from server.resp.wire.frames import cut, words_of
from server.resp.wire.replies import Encoder

FORM_BYTES = 8192  # of a command beside its tensor
FORMS_KEPT = 1024
PLAIN = frozenset(NUMPY) - {"BOOL", "STRING"}  # whose bytes are any
WENT_WELL = b"*3\r\n+OK\r\n+OK\r\n"
ENDING = np.frombuffer(b"\r\n", np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """One form: the bytes before the tensor's and after them, how many it has, and what they mean.

    There is one object a form. `size` is how many bytes a whole command has.

    Shape: of the tensor, its first axis 1.
    """

    before: bytes
    after: bytes
    given: int
    dtype: str
    shape: tuple[int, ...]
    model: bytes
    wanted: TensorGet
    size: int

    def tensors_in(self, data: bytes) -> tuple[bytes, int] | None:
        """Return the tensors' bytes of the commands that data begins with, and how many; None where one is another."""
        at, size, end = len(self.before), self.size, len(self.before) + self.given
        count = len(data) // size
        if count == 1:
            return (data[at:end], 1) if data[end:size] == self.after else None
        every = np.frombuffer(data, np.uint8, count * size).reshape(count, size)
        alike = (every[:, :at] == np.frombuffer(self.before, np.uint8)).all()
        if not alike or not (every[:, end:] == np.frombuffer(self.after, np.uint8)).all():
            return None
        return every[:, at:end].tobytes(), count


@lru_cache(FORMS_KEPT)
def form_of(before: bytes, given: int, after: bytes) -> Form | None:
    """Return the form of a command, None where it is not one that is run together with others."""
    data = before + bytes(given) + after
    one = cut(data, 0)
    if one is None or one.end != len(data):
        return None
    try:
        dag = parse_dag(words_of(data, one)[1:], read_only=True, deprecated=False)
    except InsituError:
        return None
    kinds = [type(step) for step in dag.steps]
    if kinds != [SetTensor, Execute, GetTensor] or dag.loads or dag.timeout_ms:
        return None
    return of_steps(before, after, dag)


def of_steps(before: bytes, after: bytes, dag: Dag) -> Form | None:
    """Return the form of a DAG of three steps, None where they do not follow from one another."""
    given, run, got = dag.steps
    if not (isinstance(given, SetTensor) and isinstance(run, Execute) and isinstance(got, GetTensor)):
        return None
    tensor, wanted = given.tensor, got.wanted
    chained = [*run.inputs] == [given.place] and [*run.outputs] == [got.place]
    if not chained or tensor.dtype not in PLAIN or tensor.shape[:1] != (1,) or wanted.form != "blob":
        return None
    size = len(before) + len(tensor.data) + len(after)
    return Form(before, after, len(tensor.data), tensor.dtype, tensor.shape, run.model, wanted, size)


def form_in(data: bytes, words: Words) -> Form | None:
    """Return the form of a command that went well, given its bytes and its words."""
    blobs = blobs_of(words)
    if len(blobs) != 1 or len(data) - len(words[blobs[0]]) > FORM_BYTES:
        return None
    tail = sum(len(b"$%d\r\n\r\n" % len(word)) + len(word) for word in words[blobs[0] + 1 :]) + 2
    given = len(words[blobs[0]])
    at = len(data) - tail - given
    return form_of(data[:at], given, data[at + given :])


Target = tuple[Form, Encoder]
Alone = Callable[[Slot], None]


class JoinedDags:
    """Runs groups of DAGs, each of one form, and hands their replies out.

    A group that cannot be run as one is left to `alone`, which answers each command by itself.
    """

    def __init__(self, engine: Engine, alone: Alone) -> None:
        self._engine, self._alone = engine, alone
        self._gathered: Gathered[Target] = Gathered(engine, self._ask)

    def take(self, form: Form, tensors: bytes, wire: Encoder, slot: Slot) -> None:
        """Run DAGs of one client; their slot is filled with all their replies."""
        target = form, wire
        group = self._gathered.group(target)
        group.parts.append(tensors)
        self._gathered.add(target, group, slot)

    def _ask(self, target: Target, group: Group) -> None:
        """Look at what is at the model's key, as each of them would."""
        try:
            self._engine.ask([encoded(("GET", target[0].model))], partial(self._pointed, target, group))
        except InsituError:
            self._each(group)

    def _pointed(self, target: Target, group: Group, outcome: list[Any] | InsituError) -> None:
        """Run the model at the key."""
        try:
            ask = None if isinstance(outcome, InsituError) else self._asked(target[0], group, outcome[0])
        except Exception as error:  # noqa: BLE001  # whatever it is, who asked must hear of it
            self._gathered.fail(group, error)
            return
        if ask is None:
            self._each(group)
        else:
            self._engine.predictor.submit(ask, partial(self._answered, target, group))

    def _asked(self, form: Form, group: Group, reply: Any) -> Ask | None:
        """Return what the core is asked, None where each has to be answered by itself."""
        try:
            pointer = pointer_of(reply)
        except InsituError:
            return None
        name, version = (name_of(form.model), None) if pointer is None else (pointer.name, pointer.version)
        route = self._engine.catalogue.route(name, version)
        if route is None or route.split is not None or not fits(form, route.serving):
            return None
        manifest = route.serving.manifest
        if pointer is None and manifest.execution is not None:
            return None
        data = group.parts[0] if len(group.parts) == 1 else b"".join(group.parts)
        tensor: Tensor = np.frombuffer(data, NUMPY[form.dtype]).reshape(group.count, *form.shape[1:])
        inputs = {manifest.inputs[0].name: tensor}
        return Ask(name, version, inputs=inputs, tensors=True, callers=group.count, apart=(Exception,))

    def _answered(self, target: Target, group: Group, outcome: Answer | Exception) -> None:
        """Hand out what a run gave, row by row."""
        if isinstance(outcome, Exception) or not outcome.outputs:
            self._each(group)
            return
        (output,) = outcome.outputs.values()
        self._gathered.finish(group, partial(replies_of, target[0], output))

    def _each(self, group: Group) -> None:
        """Have each command answered by itself."""
        self._gathered.done(group)
        for slot in group.slots:
            self._alone(slot)


def fits(form: Form, serving: Serving) -> bool:
    """Whether the rows of many DAGs of a form can share a run, and each is answered by one tensor."""
    manifest = serving.manifest
    if serving.rows != "apart" or len(manifest.inputs) != 1 or len(manifest.outputs) != 1:
        return False
    taken, given = manifest.inputs[0], manifest.outputs[0]
    dims = zip(form.shape[1:], taken.shape[1:], strict=False)
    return (
        numpy_dtype(taken.dtype) == NUMPY[form.dtype]
        and len(taken.shape) == len(form.shape)
        and all(isinstance(want, str) or want == dim for dim, want in dims)
        and WORDS.get(numpy_dtype(given.dtype)) in PLAIN
    )


def replies_of(form: Form, output: Tensor) -> list[bytes]:
    """Return the replies to DAGs, a row of the output each.

    Shape: output (B, ...).
    """
    rows = len(output)
    payload = np.ascontiguousarray(output).reshape(rows, -1).view(np.uint8)
    width = payload.shape[1]
    head = head_of(WORDS[output.dtype], (1, *output.shape[1:]), width, form.wanted.meta)
    replies = np.empty((rows, len(head) + width + 2), np.uint8)
    replies[:, : len(head)] = np.frombuffer(head, np.uint8)
    replies[:, len(head) : -2] = payload
    replies[:, -2:] = ENDING
    data, size = replies.tobytes(), replies.shape[1]
    return [data[at : at + size] for at in range(0, len(data), size)]


@lru_cache(FORMS_KEPT)
def head_of(dtype: str, shape: tuple[int, ...], width: int, meta: bool) -> bytes:
    """Return what comes before the tensor's bytes in the reply to a DAG."""
    reply = tensor_reply(StoredTensor(dtype, shape, bytes(width)), TensorGet(b"", meta, "blob"))
    return WENT_WELL + reply[: -width - 2]
