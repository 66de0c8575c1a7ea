"""Which number of an answer is explained; it knows outputs by name, not how they came about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.answer_parts import median_elements, part_of, usual_element
from models.errors import BadRequest, listed, shown
from models.manifest import Manifest
from models.tensors import FLOATS, numpy_dtype
from server.inference.answers import said
from server.inference.errors import NotExplainable, RunFailed
from server.inference.explaining.asking import Wish

Numbers = NDArray[np.float64]
Outputs = Mapping[str, Any]  # of one row: nested lists by output
EVEN = 2  # labels of a network with a single sigmoid
LABELLED = ("classification", "multilabel")


@dataclass(frozen=True, slots=True)
class Target:
    """One number a row: an element of an output, or what is missing from it to 1; `part` says which in words."""

    output: str
    element: int
    label: str | None = None
    complement: bool = False
    part: str = ""

    def worths(self, rows: Sequence[Outputs]) -> Numbers:
        """Return the number of each row."""
        values = np.array([row[self.output] for row in rows], np.float64)
        column: Numbers = values.reshape(len(rows), -1)[:, self.element]
        return 1 - column if self.complement else column


def target_of(manifest: Manifest, wish: Wish, outputs: Outputs) -> Target:
    """Return what a request explains of a row, now that its own outputs are known.

    Raises: BadRequest, a label, output or element that is not there; NotExplainable; RunFailed.
    """
    if manifest.task in LABELLED and wish.output is None and wish.element is None:
        return of_label(manifest, wish.label, outputs)
    if wish.label is not None:
        raise BadRequest(
            f"model {manifest.name!r} has no labels, so no {shown(wish.label)!r}; "
            "name a number with `output` and `element`",
            field="label",
        )
    output = chosen_output(manifest, wish.output)
    numbers(manifest, output, outputs)
    shape = np.shape(outputs[output])
    if output != manifest.output:
        return Target(output, chosen_element(output, shape, wish.element))
    usual = usual_element(manifest.task, manifest.answer, shape) if wish.element is None else wish.element
    element = chosen_element(output, shape, usual, manifest)
    return Target(output, element, part=part_of(manifest.task, manifest.answer, shape, element))


def of_label(manifest: Manifest, label: str | None, outputs: Outputs) -> Target:
    """Return the probability of a label, of the one that is predicted when none is named.

    Of several labels at once that is the likeliest.
    """
    output, labels = str(manifest.output), manifest.labels
    probabilities = numbers(manifest, output, outputs)
    sigmoid = len(labels) == EVEN and probabilities.size == 1
    if sigmoid:
        probabilities = np.array([1 - probabilities[0], probabilities[0]])
    if probabilities.size != len(labels):
        found = f"{probabilities.size} values a row where {len(labels)} belong"
        raise RunFailed(manifest.name, manifest.version, f"output {output!r} gave {found}")
    at = predicted(manifest, probabilities) if label is None else place_of(label, labels)
    return Target(output, 0 if sigmoid else at, labels[at], sigmoid and at == 0)


def predicted(manifest: Manifest, probabilities: Numbers) -> int:
    """Return the number of the label that a prediction says of a row with these probabilities."""
    if manifest.task != "classification":
        return int(probabilities.argmax())
    spec = manifest.spec(str(manifest.output))
    exactly = probabilities[None] if spec is None else probabilities[None].astype(numpy_dtype(spec.dtype))
    return said(manifest, exactly)[0]  # a threshold is compared in the type of the graph


def place_of(label: str, labels: Sequence[str]) -> int:
    """Return the number of a label.

    Raises: BadRequest, with what may have been meant.
    """
    if label in labels:
        return labels.index(label)
    near = get_close_matches(label[:64], labels, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {listed(labels)}"
    raise BadRequest(f"label {shown(label)!r} is none of the model's; {hint}", field="label")


def chosen_output(manifest: Manifest, wanted: str | None) -> str:
    """Return the output that is explained: the one asked for, the answer's, or the only one.

    Raises: BadRequest.
    """
    names = [spec.name for spec in manifest.outputs]
    if wanted is not None and wanted not in names:
        raise BadRequest(f"the model has no output {shown(wanted)!r}, it has {listed(names)}", field="output")
    found = wanted or manifest.output or (names[0] if len(names) == 1 else None)
    if found is None:
        raise BadRequest(f"say which output is explained with `output`: {listed(names)}", field="output")
    return found


def chosen_element(
    output: str, shape: Sequence[int], wanted: int | None, manifest: Manifest | None = None
) -> int:
    """Return the element of an output that is explained; a manifest says what they are.

    Raises: NotExplainable, there is none; BadRequest, several and none was named, or one that is not there.
    """
    size = prod(shape)
    if not size:
        raise NotExplainable(
            f"output {output!r} has no values for this row, so there is nothing to explain; name another output "
            "with `output`",
            output=output,
        )
    if wanted is None and size == 1:
        return 0
    if wanted is None or wanted >= size:
        given = "" if wanted is None else f", not {wanted}"
        named = "" if manifest is None else values_told(manifest, shape)
        raise BadRequest(
            f"output {output!r} has {size} values a row; say which with `element`, from 0 to "
            f"{size - 1}{given}{named}",
            field="element",
        )
    return wanted


def values_told(manifest: Manifest, shape: Sequence[int]) -> str:
    """Return which elements the values of a regression are, where they have names."""
    spec = manifest.answer
    if manifest.task != "regression" or spec is None or not spec.values:
        return ""
    medians = [*median_elements(spec, prod(shape))]
    told = [f"{at} is {spec.values[number]}" for number, at in enumerate(medians)]
    return f": {listed(told)}" if told else ""


def numbers(manifest: Manifest, output: str, outputs: Outputs) -> Numbers:
    """Return an output of one row as flat numbers.

    Raises: NotExplainable, a class or text has no amount; RunFailed, no finite number.
    """
    spec = manifest.spec(output)
    if spec is None or spec.dtype not in FLOATS:
        kind = "is not there" if spec is None else f"is {spec.dtype}"
        raise NotExplainable(
            f"output {output!r} {kind}, and only an amount can be shared out among features; name an output "
            "of floats with `output`",
            output=output,
        )
    flat: Numbers = np.array(outputs[output], np.float64).reshape(-1)
    if not np.isfinite(flat).all():
        odd = float(flat[~np.isfinite(flat)][0])
        raise RunFailed(manifest.name, manifest.version, f"output {output!r} gave {odd}, which is no answer")
    return flat
