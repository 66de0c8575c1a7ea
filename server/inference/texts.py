"""Texts: columns as JSON, a row each; the same bytes as a dictionary a row would give, faster.

All numbers of an answer are written by one call of the JSON library, and set between what does not
change from row to row.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import orjson

from server.inference.answers import said
from server.inference.columns import Columns

FORMS = 256  # sets of labels whose form is kept
FORMATTED_ROWS = 256  # at once: more gain nothing
FORMATTED_BYTES = 1 << 20


def texts_of(columns: Columns) -> list[bytes]:
    """Return the members of each row's JSON object, without its braces."""
    return filled(*places_of(columns))


def places_of(columns: Columns) -> tuple[bytes, list[Sequence[bytes]]]:
    """Return a row's members with `%b` in each place that changes, and what goes there in each row."""
    numbers = columns.numbers
    written = orjson.dumps(numbers.reshape(-1).tolist())[1:-1].split(b",")
    if columns.manifest.task == "regression":
        return b'"value":%b', [written]
    names, form = form_of(columns.manifest.labels)
    labels = [names[at] for at in said(columns.manifest, numbers)]
    shares = [written[at :: len(names)] for at in range(len(names))]
    return b'"label":%%b,"probabilities":{%b}' % form, [labels, *shares]


def filled(form: bytes, places: Sequence[Sequence[bytes]]) -> list[bytes]:
    """Return a form filled in for each row: `places[i][row]` where its i-th `%b` is; no line breaks in any."""
    if len(places[0]) == 1:
        return [form % tuple([place[0] for place in places])]
    result: list[bytes] = []
    for lines in formatted(form + b"\n", places):
        result += lines[:-1].split(b"\n")
    return result


def joined(form: bytes, places: Sequence[Sequence[bytes]]) -> bytes:
    """Return the same with a comma between the rows."""
    return b"".join(formatted(form + b",", places))[:-1]


def formatted(form: bytes, places: Sequence[Sequence[bytes]]) -> Iterator[bytes]:
    """Yield a form filled in for some rows after the other."""
    rows, width = len(places[0]), len(places)
    texts: list[bytes] = [b""] * (rows * width)
    for at, place in enumerate(places):
        texts[at::width] = place
    step = max(1, min(FORMATTED_ROWS, FORMATTED_BYTES // len(form)))
    for at in range(0, rows, step):
        yield form * min(step, rows - at) % tuple(texts[at * width : (at + step) * width])


@lru_cache(FORMS)
def form_of(labels: tuple[str, ...]) -> tuple[list[bytes], bytes]:
    """Return each label as JSON, and all of them with `%b` where the probabilities go."""
    names = [orjson.dumps(label) for label in labels]
    return names, b",".join([name.replace(b"%", b"%%") + b":%b" for name in names])
