"""Small networks for the tests: layers as a recipe writes them, rows drawn by chance."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter

from models.layers.layer import Layer
from models.layers.network import NetworkLayer
from models.tensors import Tensor
from trainer.export import Exported, Served, Signature, export
from trainer.networks.forms import Form
from trainer.networks.network import Network, build
from trainer.tasks import Classification

LAYER_LIST: TypeAdapter[Any] = TypeAdapter(list[NetworkLayer])
TASK = Classification(("a", "b", "c"))


def layers(*written: Any) -> list[Layer]:
    found: list[Layer] = LAYER_LIST.validate_python(list(written))
    return found


def network(form: Sequence[int | None], *written: Any, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    return build(layers(*written), Form(tuple(form)), TASK.outputs)


def rows(form: Sequence[int | None], lengths: Sequence[int], seed: int = 0) -> dict[str, Tensor]:
    """One row a length; padding holds numbers that would be noticed."""
    random = np.random.default_rng(seed)
    longest = max(lengths)
    shape = (len(lengths), *(longest if dim is None else dim for dim in form))
    feed: dict[str, Tensor] = {"x": random.normal(size=shape).astype(np.float32) * 2}
    if None in form:
        feed["x_length"] = np.array(lengths, np.int64)
    return feed


def exported(form: Sequence[int | None], *written: Any, feeds: Sequence[dict[str, Tensor]]) -> Exported:
    served = Served(network(form, *written), TASK)
    return export(served, signature(form), feeds)


def signature(form: Sequence[int | None], dtype: str = "float32") -> Signature:
    return Signature("x", dtype, "x_length" if None in form else None, TASK.output)
