"""Forms of DAGs: what is the same whenever a program asks for the same with other numbers, read once.

Two commands are of one form when they differ in nothing but the bytes after BLOB, and these have the
same lengths. Numbers given as VALUES are words like any other, so that such a DAG has no form.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

from models.tensor_strings import StoredTensor
from server.resp.commands.command import Words
from server.resp.commands.dag_parsing import Dag, SetTensor, Step, parse_dag
from server.resp.commands.dag_sections import THEN

FORMS_KEPT = 256
WORDS_LIMIT = 128  # of a form that is kept
WORDS_LIMIT_BYTES = 8192
BLOB = b"BLOB"
CHECKED = ("BOOL", "STRING")  # types whose bytes have to be looked at, not counted alone

Key = tuple[bytes | int, ...]


class Form(NamedTuple):
    """A DAG whose given tensors are without their bytes.

    `given` is which of its steps set a tensor, and at which word of a command its bytes are.
    """

    dag: Dag
    given: Sequence[tuple[int, int]]

    def filled(self, args: Words) -> Dag:
        """Return the DAG of a command of this form."""
        dag = self.dag
        steps = [*dag.steps]
        for at, word in self.given:
            steps[at] = with_bytes(steps[at], args[word])
        return Dag(steps, dag.loads, dag.persists, dag.places, dag.timeout_ms)


def with_bytes(step: Step, data: bytes) -> Step:
    """Return a step that sets a tensor with other bytes."""
    (dtype, shape, _), place = cast(SetTensor, step)
    return SetTensor(StoredTensor(dtype, shape, data), place)


class Forms:
    """The forms of one command that were read last, at most `FORMS_KEPT`."""

    def __init__(self, read_only: bool, deprecated: bool) -> None:
        self._read_only = read_only
        self._deprecated = deprecated
        self._kept: dict[Key, Form] = {}

    def known(self, args: Words) -> Form | None:
        """Return the form of a command, None where it has none or was not read lately."""
        blobs = blobs_of(args)
        return self._kept.get(key_of(args, blobs)) if is_small(args, blobs) else None

    def dag(self, args: Words) -> Dag:
        """Read a command, as `parse_dag` does.

        Raises: Misworded.
        """
        blobs = blobs_of(args)
        if not is_small(args, blobs):
            return parse_dag(args, self._read_only, self._deprecated)
        key = key_of(args, blobs)
        form = self._kept.get(key)
        if form is not None:
            return form.filled(args)
        dag = parse_dag(args, self._read_only, self._deprecated)
        form = form_of(dag, args, blobs)
        if form is not None:
            self._keep(key, form)
        return dag

    def _keep(self, key: Key, form: Form) -> None:
        if len(self._kept) >= FORMS_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = form


def blobs_of(args: Words) -> list[int]:
    """Return where the bytes after BLOB are, if they are such: the word after it that begins no other step."""
    found, at, last = [], -1, len(args) - 1
    for _ in range(args.count(BLOB)):
        at = args.index(BLOB, at + 1)
        if at < last and args[at + 1] != THEN:
            found.append(at + 1)
    return found


def is_small(args: Words, blobs: Sequence[int]) -> bool:
    """Whether a command is small enough beside its tensors to be compared with others."""
    size = sum(map(len, args)) - sum([len(args[at]) for at in blobs])
    return len(args) <= WORDS_LIMIT and size <= WORDS_LIMIT_BYTES


def key_of(args: Words, blobs: Sequence[int]) -> Key:
    """Return what commands of one form have in common."""
    words: list[bytes | int] = [*args]
    for at in blobs:
        words[at] = len(args[at])
    return tuple(words)


def form_of(dag: Dag, args: Words, blobs: Sequence[int]) -> Form | None:
    """Return the form of a command, None where it has none."""
    sets = [at for at, step in enumerate(dag.steps) if isinstance(step, SetTensor)]
    if len(sets) != len(blobs):
        return None
    given = [*zip(sets, blobs, strict=True)]
    if not all(is_given(dag.steps[at], args, word) for at, word in given):
        return None
    steps = [with_bytes(step, b"") if isinstance(step, SetTensor) else step for step in dag.steps]
    return Form(dag._replace(steps=steps), given)


def is_given(step: Step, args: Words, word: int) -> bool:
    """Whether a step sets a tensor of just the bytes of this word, which may be any others of the same length."""
    start = max((at for at in range(word) if args[at] == THEN), default=-1) + 1
    last = word + 1 == len(args) or args[word + 1] == THEN
    given = last and start > 0 and args[start].upper() == b"AI.TENSORSET"
    return given and isinstance(step, SetTensor) and step.tensor.dtype not in CHECKED
