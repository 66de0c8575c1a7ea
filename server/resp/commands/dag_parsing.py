"""A DAG as it is written: its sections, its steps, and which tensor each step takes; nothing is looked at in Redis.

    [LOAD n k..] [PERSIST n k..] [ROUTING k] [TIMEOUT ms] |> command [|> command]..

Names are local to the DAG, and one may be set again: what is loaded, set or put out gets a place of
its own, counted from 0, loaded tensors first. Steps speak of places alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from models.tensor_strings import StoredTensor
from server.resp.commands.command import Words
from server.resp.commands.dag_sections import THEN, Head, unexpected
from server.resp.commands.run_parsing import (
    Claim,
    Misworded,
    Run,
    parse_modelexecute,
    parse_modelrun,
)
from server.resp.commands.tensor_values import STRING_LIMIT_BYTES
from server.resp.commands.tensors import TensorGet, parse_tensorget, parse_tensorset
from server.resp.refusals import Refused, refused

LEAST_EXECUTE = 5  # words after AI.DAGEXECUTE
LEAST_RUN = 3  # words after AI.DAGRUN
UNSUPPORTED = "Unsupported command within DAG"


class SetTensor(NamedTuple):
    """A tensor that is given."""

    tensor: StoredTensor
    place: int


class GetTensor(NamedTuple):
    """A tensor that is replied."""

    wanted: TensorGet
    place: int


class Execute(NamedTuple):
    """A run of a model, by the places of its tensors."""

    model: bytes
    inputs: Sequence[int]
    outputs: range

    @property
    def claim(self) -> Claim:
        """What it says of its model."""
        return Claim(self.model, len(self.inputs), len(self.outputs))


Step = SetTensor | GetTensor | Execute


class Dag(NamedTuple):
    """What one command asks for; the tensors of `loads` are at the first places.

    Units: timeout_ms, milliseconds; 0 where none is given.
    """

    steps: Sequence[Step]
    loads: Sequence[bytes]
    persists: Sequence[tuple[bytes, int]]
    places: int
    timeout_ms: int


def parse_dag(args: Words, read_only: bool, deprecated: bool) -> Dag:
    """Read a command; `deprecated` is AI.DAGRUN, which has MODELRUN for MODELEXECUTE.

    Raises: Misworded, in the words and in the order of RedisAI.
    """
    check_count(len(args), read_only, deprecated)
    head = Head(args, read_only)
    try:
        at = head.read(deprecated)
    except Refused as error:
        raise Misworded(str(error), head.loads) from None
    steps = Steps(head.loads, READERS[deprecated, read_only])
    try:
        for words in parted(args, at):
            steps.add(words)
        persists = steps.persisted(head.persists)
    except Refused as error:
        raise Misworded(str(error), head.loads, steps.claims(error)) from None
    return Dag(steps.made, head.loads, persists, steps.places, head.timeout_ms)


def check_count(count: int, read_only: bool, deprecated: bool) -> None:
    """Refuse too few words after the name.

    Raises: Misworded.
    """
    if count < (LEAST_RUN if deprecated else LEAST_EXECUTE):
        said = "wrong number of arguments" if deprecated else "missing arguments"
        name = ("AI.DAGRUN" if deprecated else "AI.DAGEXECUTE") + "_RO" * read_only
        raise Misworded(f"ERR {said} for '{name}' command")


def parted(args: Words, at: int) -> Iterator[Words]:
    """Walk the steps, the first of which is after the sign at this place.

    Raises: Refused, the last sign has nothing after it.
    """
    count = len(args)
    while at < count:
        if at == count - 1:
            raise unexpected(THEN)
        end = sign_after(args, at + 1)
        yield args[at + 1 : end]
        at = end


def sign_after(args: Words, at: int) -> int:
    """Return where the step at this place ends; two bytes that are given to a tensor are no sign, whatever they are."""
    try:
        end = args.index(THEN, at)
        if args[end - 1].upper() == b"BLOB" and args[at].upper() == b"AI.TENSORSET":
            end = args.index(THEN, end + 1)
    except ValueError:
        return len(args)
    return end


class Steps:
    """The steps so far, and the place where each name is now."""

    __slots__ = ("_at", "_bytes", "_readers", "_unfound", "made", "places")

    def __init__(self, loads: Words, readers: "Readers") -> None:
        self.made: list[Step] = []
        self.places = len(loads)
        self._at = {name: place for place, name in enumerate(loads)}
        self._readers = readers
        self._bytes = 0  # of the tensors that are given, zeros too
        self._unfound = False

    def add(self, words: Words) -> None:
        """Read one more step.

        Raises: Refused.
        """
        reader = self._readers.get(words[0].upper()) if words else None
        if reader is None:
            raise Refused(UNSUPPORTED)
        reader(self, words)

    def tensorset(self, words: Words) -> None:
        """Read AI.TENSORSET.

        Raises: Refused.
        """
        name, tensor = parse_tensorset(words[1:])
        self._bytes += len(tensor.data)
        if self._bytes > STRING_LIMIT_BYTES:
            raise refused(
                f"the tensors of a DAG take {self._bytes} bytes, together they may take {STRING_LIMIT_BYTES}"
            )
        self.made.append(SetTensor(tensor, self._put(name)))

    def tensorget(self, words: Words) -> None:
        """Read AI.TENSORGET.

        Raises: Refused.
        """
        wanted = parse_tensorget(words[1:])
        self.made.append(GetTensor(wanted, self._found(wanted.key)))

    def modelexecute(self, words: Words) -> None:
        """Read AI.MODELEXECUTE.

        Raises: Misworded.
        """
        self._run(parse_modelexecute(words[1:]))

    def modelrun(self, words: Words) -> None:
        """Read AI.MODELRUN.

        Raises: Misworded.
        """
        self._run(parse_modelrun(words[1:]))

    def _run(self, said: Run) -> None:
        if said.timeout_ms:
            claim = Claim(said.model, len(said.inputs), len(said.outputs))
            raise Misworded("ERR TIMEOUT not allowed within a DAG command", (), [claim])
        inputs = [self._found(name) for name in said.inputs]
        first = self.places
        for name in said.outputs:
            self._put(name)
        self.made.append(Execute(said.model, inputs, range(first, self.places)))

    def script(self, words: Words) -> None:
        """Refuse AI.SCRIPTEXECUTE and AI.SCRIPTRUN as RedisAI without its backend for scripts.

        Raises: Refused.
        """
        if len(words) < 3:
            raise refused(f"wrong number of arguments for '{words[0].upper().decode()}' command")
        raise refused("Could not load backend")

    def _put(self, name: bytes) -> int:
        """Give a name a new place."""
        self._at[name] = place = self.places
        self.places = place + 1
        return place

    def _found(self, name: bytes) -> int:
        """Return the place of a name; that there is none is said after all else."""
        place = self._at.get(name, -1)
        if place < 0:
            self._unfound = True
        return place

    def persisted(self, names: Words) -> list[tuple[bytes, int]]:
        """Return what is kept, each name with its last place, now that every step is read.

        Raises: Refused, a name that a step takes or that is kept is nowhere.
        """
        if self._unfound:
            raise refused("INPUT key cannot be found in DAG")
        kept = [(name, self._at.get(name, -1)) for name in names]
        if any(place < 0 for _, place in kept):
            raise refused("PERSIST key cannot be found in DAG")
        return kept

    def claims(self, error: Refused) -> list[Claim]:
        """Return what the steps say of models, up to the one that is wrong."""
        said = [step.claim for step in self.made if isinstance(step, Execute)]
        return said + list(error.claims) if isinstance(error, Misworded) else said


Reader = Callable[[Steps, Words], None]
Readers = Mapping[bytes, Reader]


def refusing(text: str) -> Reader:
    """Return what refuses a command that has no place in this DAG."""

    def refuse(_steps: Steps, _words: Words) -> None:
        raise Refused(text)

    return refuse


def instead(name: str) -> Reader:
    """Return what refuses a deprecated command in AI.DAGEXECUTE."""
    return refusing(f"Deprecated {name} cannot be used in AI.DAGEXECUTE command")


def too_new(name: str) -> Reader:
    """Return what refuses a command in the deprecated AI.DAGRUN."""
    return refusing(f"{name} cannot be used in a deprecated AI.DAGRUN command")


TENSORS: Readers = {b"AI.TENSORSET": Steps.tensorset, b"AI.TENSORGET": Steps.tensorget}
EXECUTE: Readers = {
    **TENSORS,
    b"AI.MODELEXECUTE": Steps.modelexecute,
    b"AI.SCRIPTEXECUTE": Steps.script,
    b"AI.MODELRUN": instead("AI.MODELRUN"),
    b"AI.SCRIPTRUN": instead("AI.SCRIPTRUN"),
}
EXECUTE_READ_ONLY: Readers = {
    **EXECUTE,
    b"AI.SCRIPTEXECUTE": refusing("ERR AI.SCRIPTEXECUTE command cannot be specified in a read-only DAG"),
}
RUN: Readers = {
    **TENSORS,
    b"AI.MODELRUN": Steps.modelrun,
    b"AI.SCRIPTRUN": Steps.script,
    b"AI.MODELEXECUTE": too_new("AI.MODELEXECUTE"),
    b"AI.SCRIPTEXECUTE": too_new("AI.SCRIPTEXECUTE"),
}
READERS = {  # by whether it is deprecated, and whether it is read-only
    (False, False): EXECUTE,
    (False, True): EXECUTE_READ_ONLY,
    (True, False): RUN,
    (True, True): RUN,
}
