"""Jobs: the rows of one request of one version, from what was read for them to an answer each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models.assembly import Prepared
from models.errors import InsituError
from models.tensors import Tensor
from models.values import Missing
from server.inference.answers import Worded
from server.inference.asking import Row
from server.inference.columns import Columns, KeyedRows
from server.inference.errors import BadInput

Feeds = dict[str, Tensor]
UNSAID: Missing = None  # by its name: a plain None would be no value of an attribute that may be one of three


class Job:
    """One request's rows; `left` of them have no answer yet. Whoever waits for them says how in `end`.

    What a run needs is either read (`prepared` and the replies to it) or given (`feeds`, a tensor
    an input). Made once a request, so what is mostly the same stands on the class.

    Units: asked, arrived and deadline, seconds of time.monotonic: when it was read for, when it
           began to wait, when it is given up. waited, seconds until it was run, where whoever
           answers it counts them. priority, 1 is the most urgent; 0 names none.
    """

    raw: bool = False
    tensors: bool = False  # what it waits for are outputs, of all its rows
    outputs: Mapping[str, Tensor] | None = None
    callers: int = 1
    apart: tuple[type[Exception], ...] = ()  # after these its callers are asked for alone, and count then
    waited: float | None = None
    priority: int = 0
    open: bool = True
    arrived: float = 0.0
    missing: Missing = UNSAID
    prepared: Prepared | None = None
    replies: Sequence[Any] = ()
    feeds: Feeds | None = None
    early: Feeds | None = None  # what was read, as tensors, where that did not wait for the run
    rows: Sequence[Row] = ()
    left: int = 0

    def __init__(self, asked: float, deadline: float) -> None:
        self.asked = asked
        self.deadline = deadline

    def of(self, rows: Sequence[Row]) -> None:
        """Take the rows that are to be answered."""
        self.rows = rows
        self.left = len(rows)

    def refuse(self, row: int, error: InsituError) -> None:
        """Answer a row with an error."""
        if self.tensors:
            self.end(error)
        self.rows[row].error = error
        self.left -= 1

    def place(self, rows: Sequence[int], answers: Sequence[Worded]) -> None:
        """Answer rows; the last one ends the job."""
        own = self.rows
        for row, answer in zip(rows, answers, strict=True):
            if isinstance(answer, dict):
                own[row].body = answer
            else:
                own[row].error = answer
        self.left -= len(rows)
        if not self.left:
            self.end()

    def place_tensors(self, rows: Sequence[int], outputs: Mapping[str, Tensor]) -> None:
        """Take the outputs of rows; the last ones end the job."""
        self.left -= len(rows)
        if len(rows) == len(self.rows):  # nearly always
            self.outputs = outputs
        else:
            try:
                self.outputs = scattered(self.outputs, len(self.rows), rows, outputs)
            except BadInput as error:
                self.end(error)
        if not self.left:
            self.end()

    def takes_columns(self, rows: Sequence[int]) -> bool:
        """Whether these are all its rows, and columns can stand for them: nothing has been said of any yet."""
        own = self.rows
        return isinstance(own, KeyedRows) and own.untouched and len(rows) == len(own) and not self.raw

    def place_columns(self, columns: Columns) -> None:
        """Answer every row, which ends the job; for one that takes columns."""
        self.rows.columns = columns  # type: ignore[attr-defined]  # KeyedRows
        self.left = 0
        self.end()

    def end(self, error: Exception | None = None) -> None:
        """Let whoever waits hear that every row has its answer, or what is wrong with all of them; once."""
        raise NotImplementedError


def scattered(
    whole: Mapping[str, Tensor] | None, count: int, rows: Sequence[int], outputs: Mapping[str, Tensor]
) -> Mapping[str, Tensor]:
    """Put the outputs of some rows into those of all `count` rows, which are made first where there are none.

    Raises: BadInput, they differ in shape.
    """
    if whole is None:
        whole = {name: np.empty((count, *part.shape[1:]), part.dtype) for name, part in outputs.items()}
    for name, part in outputs.items():
        if part.shape[1:] != whole[name].shape[1:]:
            raise BadInput(
                f"output {name!r} has shape {list(whole[name].shape[1:])} for one row and "
                f"{list(part.shape[1:])} for another, so they make no tensor; ask for them one by one"
            )
        whole[name][rows] = part
    return whole
