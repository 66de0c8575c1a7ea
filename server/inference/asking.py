"""What a door asks of the core, and what it gets; no transport, no wire."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, overload

from models.errors import InsituError
from models.tensors import Tensor
from models.values import Missing


class Ask:
    """One request: rows of one model, named by keys, by instances or by tensors.

    Nobody changes one. Made once a request: a dataclass, whose making is not compiled, would cost three times as
    much. A door may ask for several callers at once: then there is a row for each, and they are counted as so many.
    `apart` are the errors after which that door asks for each caller alone: they are counted then, and
    not before. `share` is the version that a traffic rule gives all its keys, where the door has
    looked already.
    With `tensors` the answer is the outputs of the graph, all rows by one version: any row that fails,
    fails the request.

    Units: deadline, seconds of `time.monotonic`; None takes the server's own limit. priority, as in
           `priorities`; 0 names none.
    """

    __slots__ = (
        "apart",
        "callers",
        "deadline",
        "inputs",
        "instances",
        "keys",
        "missing",
        "model",
        "priority",
        "raw",
        "reference",
        "share",
        "tensors",
    )

    def __init__(  # noqa: PLR0913  # all that can be asked
        self,
        model: str,
        reference: str | int | None = None,
        keys: Sequence[str] | None = None,
        *,
        instances: Sequence[Mapping[str, Any]] | None = None,
        inputs: Mapping[str, Any] | None = None,
        missing: Missing = None,
        raw: bool = False,
        deadline: float | None = None,
        callers: int = 1,
        apart: tuple[type[Exception], ...] = (),
        share: int | None = None,
        tensors: bool = False,
        priority: int = 0,
    ) -> None:
        self.model, self.reference = model, reference
        self.keys, self.instances, self.inputs = keys, instances, inputs
        self.missing, self.raw, self.deadline = missing, raw, deadline
        self.callers, self.apart, self.share = callers, apart, share
        self.tensors, self.priority = tensors, priority

    def asked_apart(self, error: Exception) -> bool:
        """Whether each caller is asked for alone after an error, which is then nobody's answer."""
        return isinstance(error, self.apart)


class Row:
    """The answer for one row: an error, or a body worded by the model's task.

    `filled` names the values that were stood in for. `version` is that of the row where it differs
    from the answer's, as under a traffic rule. Made once a row, so what is mostly the same stands
    on the class.
    """

    error: InsituError | None = None
    filled: Sequence[str] = ()
    body: Mapping[str, Any] = MappingProxyType({})
    version: int | None = None

    def __init__(self, key: str | None = None, error: InsituError | None = None) -> None:
        self.key = key
        if error is not None:
            self.error = error


class UnsaidRows(Sequence[Row]):
    """Rows without a key of which nothing is said yet; they are made when one is looked at."""

    __slots__ = ("_count", "_rows")

    def __init__(self, count: int) -> None:
        self._count = count
        self._rows: list[Row] | None = None

    @property
    def untouched(self) -> bool:
        """Whether nothing has been said of any row yet."""
        return self._rows is None

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> list[Row]: ...
    def __getitem__(self, at: int | slice) -> Row | list[Row]:
        if self._rows is None:
            self._rows = [Row() for _ in range(self._count)]
        return self._rows[at]


class Answer:
    """Rows in the order of the request, and the version that answered them.

    Shape: outputs[name] (rows, ...), the graph's own, where the request asked for tensors.
    """

    __slots__ = ("model", "outputs", "rows", "version")

    def __init__(
        self, model: str, version: int, rows: Sequence[Row], outputs: Mapping[str, Tensor] | None = None
    ) -> None:
        self.model, self.version, self.rows, self.outputs = model, version, rows, outputs
