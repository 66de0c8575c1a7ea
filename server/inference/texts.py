"""Texts: columns as JSON, a row each; the same bytes as a dictionary a row would give, faster.

All numbers of an answer are written by one call of the JSON library, and set between what does not
change from row to row.
"""

from functools import lru_cache

import orjson

from server.inference.answers import said
from server.inference.columns import Columns

FORMS = 256  # sets of labels whose form is kept


def texts_of(columns: Columns) -> list[bytes]:
    """Return the members of each row's JSON object, without its braces."""
    numbers = columns.numbers
    written = orjson.dumps(numbers.reshape(-1).tolist())[1:-1].split(b",")
    if columns.manifest.task == "regression":
        return [b'"value":' + one for one in written]
    names, form = form_of(columns.manifest.labels)
    rows = zip(*[iter(written)] * len(names), strict=True)
    return [
        b'"label":%b,"probabilities":{%b}' % (names[label], form % row)
        for label, row in zip(said(columns.manifest, numbers), rows, strict=True)
    ]


@lru_cache(FORMS)
def form_of(labels: tuple[str, ...]) -> tuple[list[bytes], bytes]:
    """Return each label as JSON, and all of them with `%b` where the probabilities go."""
    names = [orjson.dumps(label) for label in labels]
    return names, b",".join([name.replace(b"%", b"%%") + b":%b" for name in names])
