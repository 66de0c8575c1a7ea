"""Reference rows as tensors of the shape of the row that is explained; numpy only."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.errors import BadRequest, listed, shown
from models.manifest import Manifest
from models.reference import from_card, in_words
from models.tensors import Tensor, TensorSpec, numpy_dtype
from server.inference.errors import BadInput
from server.inference.explaining.asking import REFERENCES_MOST
from server.inference.tensors import tensor_of

log = logging.getLogger(__name__)

OF_REQUEST = "the request"
ZEROS = "zeros"
Feeds = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Reference:
    """Rows to compare with by input, (rows, ...) or fewer elements that stand for more; `of` says what they are.

    An input that has none is compared with zeros, or with empty texts.
    """

    of: str
    inputs: Feeds

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return max((len(tensor) for tensor in self.inputs.values()), default=1)

    def like(self, row: Feeds) -> Feeds:
        """Return the rows in the shapes of a row that is explained, (rows, ...).

        Raises: BadInput, a shape that does not become the row's.
        """
        return {name: self._like(name, tensor) for name, tensor in row.items()}

    def _like(self, name: str, tensor: Tensor) -> Tensor:
        shape = (self.rows, *tensor.shape[1:])
        own = self.inputs.get(name)
        if own is None:
            return np.full(shape, "" if tensor.dtype == object else 0, tensor.dtype)
        try:
            return np.broadcast_to(own, shape)
        except ValueError as error:
            whose = "" if self.of == OF_REQUEST else f" of the model card ({self.of})"
            raise BadInput(
                f"reference {name!r}{whose} has rows of shape {list(own.shape[1:])}, the row that is explained has "
                f"{list(shape[1:])}; give as many elements as `reference`, or an axis of one that stands for all"
            ) from error


def reference_of(manifest: Manifest, given: Mapping[str, Any] | None) -> Reference:
    """Return what rows of a version are compared with: what the request gives, the version's own rows, or zeros.

    Raises: BadRequest, BadInput, for what the request gives.
    """
    if given is not None:
        return read(manifest, given, OF_REQUEST)
    stored = from_card(manifest.card)
    if stored is not None:
        try:
            return read(manifest, stored, in_words(manifest.card))
        except (BadInput, BadRequest) as error:
            log.warning(
                "%s v%d: its card's reference is left out: %s", manifest.name, manifest.version, error
            )
    return Reference(ZEROS, {})


def read(manifest: Manifest, given: Mapping[str, Any], of: str) -> Reference:
    """Return nested lists as rows.

    Raises: BadRequest, an input that is not there, too many rows; BadInput, no tensor of the input.
    """
    specs = {spec.name: spec for spec in manifest.inputs}
    for name in given:
        if name not in specs:
            raise BadRequest(
                f"reference names {shown(name)!r}, which is no input; there are {listed(specs)}",
                field="reference",
            )
    inputs = {name: tensor(specs[name], value) for name, value in given.items()}
    counts = {len(one) for one in inputs.values()} - {1}
    if len(counts) > 1 or 0 in counts or max(counts, default=1) > REFERENCES_MOST:
        told = listed(f"{name} {len(one)}" for name, one in inputs.items())
        raise BadRequest(
            f"the inputs of reference have rows: {told}; give as many for each, at most {REFERENCES_MOST}",
            field="reference",
        )
    return Reference(of, inputs)


def tensor(spec: TensorSpec, value: object) -> Tensor:
    """Return one input's rows; any size of each axis will do so far.

    Raises: BadInput.
    """
    free = spec.model_copy(update={"shape": ("?",) * max(1, len(spec.shape))})
    try:
        found = tensor_of(free, value)
    except BadInput as error:
        raise BadInput(f"reference: {error}") from error
    return found if found.dtype == object else found.astype(numpy_dtype(spec.dtype))
