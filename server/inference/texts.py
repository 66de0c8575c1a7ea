"""Texts: columns as JSON, a row each; the same bytes as a dictionary a row would give, faster.

All numbers of an answer are written by one call of the JSON library, and set between what does not
change from row to row.
"""

from collections.abc import Sequence

import orjson

from server.inference.answers import Columns, said

FORMS = 4096  # models with a form of their own; past them all are made anew

Form = Sequence[bytes]  # of a label, with a place for each probability


class Texts:
    """Writes rows; what a label's rows have in common is made once a version."""

    def __init__(self) -> None:
        self._forms: dict[int, tuple[object, Form]] = {}

    def of(self, columns: Columns) -> list[bytes]:
        """Return the members of each row's JSON object, without its braces."""
        numbers = columns.numbers
        written = orjson.dumps(numbers.reshape(-1).tolist())[1:-1].split(b",")
        if columns.manifest.task == "regression":
            return [b'"value":' + one for one in written]
        form, width = self._form(columns), numbers.shape[1]
        values = zip(*[iter(written)] * width, strict=True)
        return [form[label] % row for label, row in zip(said(columns.manifest, numbers), values, strict=True)]

    def _form(self, columns: Columns) -> Form:
        manifest = columns.manifest
        known = self._forms.get(id(manifest))
        if known is None or known[0] is not manifest:
            if len(self._forms) >= FORMS:
                self._forms.clear()
            known = self._forms[id(manifest)] = manifest, form_of(manifest.labels)
        return known[1]


def form_of(labels: Sequence[str]) -> Form:
    """Return what is written for each label said, `%b` where the probabilities go."""
    names = [orjson.dumps(label).replace(b"%", b"%%") for label in labels]
    probabilities = b",".join([name + b":%b" for name in names])
    return [b'"label":%b,"probabilities":{%b}' % (name, probabilities) for name in names]
