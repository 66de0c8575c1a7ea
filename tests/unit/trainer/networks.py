"""Small networks for the tests: layers as a recipe writes them, rows drawn by chance."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from torch import Tensor

from models.layers.layer import Layer
from models.layers.network import NetworkLayer
from models.tensors import Tensor as Array
from trainer.exporting.export import Exported, Input, Served, Signature, export
from trainer.networks.building import Blueprint, build
from trainer.networks.forms import Entry, Form
from trainer.networks.network import Network
from trainer.tasks.task import Classification

LAYER_LIST: TypeAdapter[Any] = TypeAdapter(list[NetworkLayer])
TASK = Classification(("a", "b", "c"))


def layers(*written: Any) -> list[Layer]:
    found: list[Layer] = LAYER_LIST.validate_python(list(written))
    return found


def blueprint(form: Sequence[int | None], *written: Any, outputs: int = TASK.outputs) -> Blueprint:
    return Blueprint((Entry("x", Form(tuple(form))),), {"x": tuple(layers(*written))}, (), outputs)


def network(form: Sequence[int | None], *written: Any, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    return build(blueprint(form, *written))


def ask(net: Network, x: Tensor, lengths: Tensor | None = None) -> Tensor:
    answer: Tensor = net({"x": (x, lengths)})
    return answer


def rows(form: Sequence[int | None], lengths: Sequence[int], seed: int = 0) -> dict[str, Array]:
    """One row a length; padding holds numbers that would be noticed."""
    random = np.random.default_rng(seed)
    longest = max(lengths)
    shape = (len(lengths), *(longest if dim is None else dim for dim in form))
    feed: dict[str, Array] = {"x": random.normal(size=shape).astype(np.float32) * 2}
    if None in form:
        feed["x_length"] = np.array(lengths, np.int64)
    return feed


def exported(form: Sequence[int | None], *written: Any, feeds: Sequence[dict[str, Array]]) -> Exported:
    served = Served(network(form, *written), TASK)
    return export(served, signature(form), feeds)


def signature(form: Sequence[int | None], dtype: str = "float32", output: str = TASK.output) -> Signature:
    return Signature((Input("x", dtype, "x_length" if None in form else None),), output)
