"""Forms: the JSON of binary requests that comes again and again, read once; what follows it differs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.errors import InsituError
from models.manifest import Manifest
from server.open_inference.asking import check_outputs
from server.open_inference.infer import Infer, OutputWanted
from server.open_inference.tensors import of_bytes
from server.rest.v2.bodies import EVERY_BINARY, infer_of

FORMS_KEPT = 1024
FORM_BYTES = 2048  # a longer JSON is not one that comes again
PLAIN = frozenset((EVERY_BINARY, "priority"))  # parameters that whole groups may have in common

Feeds = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One input: where its bytes lie behind the JSON, and what they are."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


class Form:
    """Requests that differ in nothing but the bytes of their tensors.

    `answered` is what the last answers had in common: the version, how many requests and which shapes, their JSON.

    Units: rows of one request; size, bytes of its tensors; priority as of an Infer.
    """

    __slots__ = ("_fitting", "answered", "outputs", "parts", "priority", "rows", "size")

    def __init__(self, parts: tuple[Part, ...], outputs: tuple[OutputWanted, ...], priority: int = 0) -> None:
        self.parts, self.outputs, self.priority = parts, outputs, priority
        self.rows, self.size = parts[0].shape[0], parts[-1].stop
        self._fitting: Manifest | None = None
        self.answered: tuple[Manifest | None, object, bytes] = None, None, b""

    def fits(self, manifest: Manifest) -> bool:
        """Whether a version takes these tensors and gives these outputs."""
        if manifest is not self._fitting:
            wanted = {spec.name: spec.dtype for spec in manifest.inputs}
            if {part.name: part.dtype for part in self.parts} != wanted:
                return False
            try:
                check_outputs(self.outputs, manifest)
            except InsituError:
                return False
            self._fitting = manifest
        return True

    def names(self, manifest: Manifest) -> list[str]:
        """Return the outputs that are wanted of a version."""
        return [one.name for one in self.outputs or manifest.outputs]

    def feeds(self, bodies: Sequence[bytes], at: int) -> Feeds:
        """Return the tensors that begin at a place of bodies as one batch; they are copied once.

        Shape: (requests * rows, ...), in the order of the requests.
        """
        count, views = len(bodies), [memoryview(body) for body in bodies]
        return {
            part.name: of_part(
                part, count, b"".join([one[at + part.start : at + part.stop] for one in views])
            )
            for part in self.parts
        }


def of_part(part: Part, count: int, data: bytes) -> Any:
    """Return one input of `count` requests."""
    return of_bytes(part.name, part.dtype, (count * part.shape[0], *part.shape[1:]), data)


class Forms:
    """The forms met so far, by their JSON; None stands for requests that are read one by one."""

    def __init__(self) -> None:
        self._known: dict[bytes, Form | None] = {}

    def of(self, body: bytes, json_bytes: int) -> Form | None:
        """Return the form of a request."""
        if json_bytes > FORM_BYTES:
            return None
        json = body[:json_bytes]
        try:
            return self._known[json]
        except KeyError:
            return self._learn(json, body)

    def _learn(self, json: bytes, body: bytes) -> Form | None:
        try:
            asked = infer_of("", None, memoryview(body), len(json))
        except InsituError:
            return None  # perhaps because of what follows the JSON
        if len(self._known) >= FORMS_KEPT:
            self._known.clear()
        found = self._known[json] = form_of(asked, len(body) - len(json))
        return found


def form_of(asked: Infer, size: int) -> Form | None:
    """Return the form of a request whose tensors have so many bytes; None where it is not plain."""
    everything = asked.parameters.get(EVERY_BINARY) is True
    plain = not asked.id and not asked.timeout_us and PLAIN.issuperset(asked.parameters)
    binary = all(
        not one.classes and (everything if one.binary is None else one.binary) for one in asked.outputs
    )
    if not plain or not binary or not (everything or asked.outputs):
        return None
    parts, at = [], 0
    for one in asked.inputs:
        tensor = one.tensor
        if one.dtype == "string" or not tensor.ndim or len(tensor) != len(asked.inputs[0].tensor):
            return None
        parts.append(Part(one.name, one.dtype, tensor.shape, at, at + tensor.nbytes))
        at += tensor.nbytes
    if at != size or not parts[0].shape[0]:
        return None  # JSON has the values of some, or there is no row
    return Form(tuple(parts), tuple(asked.outputs), asked.priority)
