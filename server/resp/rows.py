"""Answers of predictions as replies, one a row; what is always the same is written once."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any

import numpy as np

from models.tensors import Tensor
from server.inference.answers import said
from server.inference.asking import Answer, Row
from server.inference.columns import Columns, columns_of
from server.resp import errors
from server.resp.wire.replies import Encoder, array, bulk, integer
from server.resp.wire.values import encoded, numbers

FORMS = 256  # sets of labels whose form is kept
VERSION = bulk("version")
VALUE = bulk("value")


def replies_of(wire: Encoder, answer: Answer, before: bytes = b"") -> list[bytes]:
    """Return a reply for each row: what its task says and its version, its tensors, or its error.

    Each begins with what comes `before` it.
    """
    if answer.outputs is not None:
        return [before + one for one in of_tensors(list(answer.outputs.values()), len(answer.rows))]
    if (found := columns_of(answer.rows)) is not None:
        return of_columns(wire, found[1], answer.version, before)
    return [before + of_row(wire, row, answer.version) for row in answer.rows]


def of_columns(wire: Encoder, columns: Columns, version: int, before: bytes = b"") -> list[bytes]:
    """Return the replies of rows that are all well; no object is made for any."""
    values = columns.numbers.reshape(-1).astype(np.float64)
    tail = VERSION + integer(version)
    if columns.manifest.task == "regression":
        return numbers(wire, values, before + opening(wire, 2) + VALUE, tail)
    written = numbers(wire, values)
    labels, form = form_of(wire, columns.manifest.labels, before)
    best, width = said(columns.manifest, columns.numbers), len(labels)
    places = (
        [labels[at] for at in best],
        [written[row * width + at] for row, at in enumerate(best)],
        *(written[at::width] for at in range(width)),
        repeat(tail),
    )
    return [form % row for row in zip(*places, strict=False)]


@lru_cache(FORMS)
def form_of(wire: Encoder, labels: tuple[str, ...], before: bytes) -> tuple[list[bytes], bytes]:
    """Return each label, and a row with `%b` for its label, its probability, all of them, and its end."""
    names = [bulk(label) for label in labels]
    shares = [name.replace(b"%", b"%%") + b"%b" for name in names]
    parts = (
        escaped(before + opening(wire, 4)),
        bulk("label") + b"%b",
        bulk("probability") + b"%b",
        bulk("probabilities") + escaped(opening(wire, len(labels))),
        *shares,
        b"%b",
    )
    return names, b"".join(parts)


def escaped(text: bytes) -> bytes:
    """Return a text as it stands in a form."""
    return text.replace(b"%", b"%%")


def opening(wire: Encoder, count: int) -> bytes:
    """Return what a map of so many names begins with."""
    return wire.map([(b"", b"")] * count)


def of_row(wire: Encoder, row: Row, version: int) -> bytes:
    """Return the reply of one row: what its task says, what was stood in for, its version; or its error."""
    if row.error is not None:
        return errors.within(row.error)
    body = {**worded(row.body)}
    if row.filled:
        body["filled"] = list(row.filled)
    body["version"] = version if row.version is None else row.version
    return encoded(wire, body)


def worded(body: Any) -> dict[str, Any]:
    """Return what a task says of a row, the probability of its label beside it."""
    if "label" not in body or "probabilities" not in body:
        return dict(body)
    label, shares = body["label"], body["probabilities"]
    return {"label": label, "probability": shares[label], "probabilities": shares}


def of_tensors(outputs: Sequence[Tensor], rows: int) -> list[bytes]:
    """Return the bytes of each row: one string for a graph of one output, an array of them for several.

    Shape: outputs (rows, ...) each, of any shape where there is one row.
    """
    columns = [bytes_of(output, rows) for output in outputs]
    if len(columns) == 1:
        return [bulk(one) for one in columns[0]]
    return [array([bulk(one) for one in row]) for row in zip(*columns, strict=True)]


def bytes_of(output: Tensor, rows: int) -> list[bytes]:
    """Return the little-endian bytes of each row; texts end in a NUL each."""
    if output.dtype.kind in "OUS":
        parts = [output] if rows == 1 else list(output)
        return [b"".join([str(one).encode() + b"\0" for one in np.ravel(part)]) for part in parts]
    data = output.tobytes()
    size = len(data) // rows
    return [data[at : at + size] for at in range(0, rows * size, size)] if size else [b""] * rows
