"""The weights of a network in its ONNX file, and back: what a later training begins with.

Most of them are the graph's own initializers under their names. An exporter folds some away (a
batch normalisation into the convolution before it, numbers that are there twice); those are written
into the file's metadata, which no runtime reads. So the file stays the one place of a version.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto, load_from_string, numpy_helper
from torch import nn

from trainer.networks.recurrent import Cell

PREFIX = "network."  # the network inside what is exported
FOLDED = "insitu.weights"
QUANTIZED = "_quantized"  # how ONNX Runtime calls weights of eight bits; what they were is lost
COUNTER = "num_batches_tracked"  # of batch normalisation, read by nothing here

Weights = Mapping[str, NDArray[Any]]


def with_weights(onnx: bytes, network: nn.Module) -> bytes:
    """Write into a file's metadata every number of the network that is none of its initializers."""
    model = load_from_string(onnx)
    there = initializers(model)
    folded = {
        name: value
        for name, value in numbers(network).items()
        if name not in there or not np.array_equal(there[name], value)
    }
    if not folded:
        return onnx
    entry = model.metadata_props.add()
    entry.key, entry.value = FOLDED, packed(folded)
    return model.SerializeToString()


def weights_of(onnx: bytes) -> Weights:
    """Return every number of the network in a file that the trainer wrote; none of another's."""
    model = load_from_string(onnx)
    if any(one.name.endswith(QUANTIZED) for one in model.graph.initializer):
        return {}
    folded = next((entry.value for entry in model.metadata_props if entry.key == FOLDED), None)
    return {**initializers(model), **(unpacked(folded) if folded else {})}


def without_weights(model: ModelProto) -> ModelProto:
    """Return a graph without the weights in its metadata."""
    kept = [entry for entry in model.metadata_props if entry.key != FOLDED]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    return model


def halved_weights(model: ModelProto) -> ModelProto:
    """Return a graph whose weights in its metadata are in half precision."""
    for entry in model.metadata_props:
        if entry.key == FOLDED:
            values = unpacked(entry.value)
            entry.value = packed({name: half(value) for name, value in values.items()})
    return model


def half(value: NDArray[Any]) -> NDArray[Any]:
    """Return numbers in half precision where it has them all."""
    narrow = value.astype(np.float16) if value.dtype == np.float32 else value
    return narrow if np.isfinite(narrow).all() else value


def numbers(network: nn.Module) -> dict[str, NDArray[Any]]:
    """Return parameters and statistics as a file has them: those of a recurrent cell as its operator's."""
    cells = [name for name, part in network.named_modules() if isinstance(part, Cell)]
    found = {
        name: value.detach().cpu().numpy()
        for name, value in network.state_dict().items()
        if not name.endswith(COUNTER) and not any(name.startswith(f"{cell}.module.") for cell in cells)
    }
    for name, part in network.named_modules():
        if isinstance(part, Cell):
            laid_out = zip(("w", "r", "b"), part.laid_out(), strict=True)
            found |= {f"{name}.{key}": value.cpu().numpy() for key, value in laid_out}
    return found


def load_numbers(network: nn.Module, weights: Weights) -> None:
    """Give a network numbers as a file has them; of the same names and shapes, others stay as they are."""
    state = network.state_dict()
    with torch.no_grad():
        for name, value in weights.items():
            if name in state:
                state[name].copy_(torch.from_numpy(value.copy()))
        for name, part in network.named_modules():
            if isinstance(part, Cell) and f"{name}.w" in weights:
                part.take(*(torch.from_numpy(weights[f"{name}.{key}"].copy()) for key in ("w", "r", "b")))


def initializers(model: ModelProto) -> dict[str, NDArray[Any]]:
    """Return the initializers of the network by the names that it calls them."""
    return {
        one.name.removeprefix(PREFIX): numpy_helper.to_array(one)
        for one in model.graph.initializer
        if one.name.startswith(PREFIX)
    }


def packed(values: Weights) -> str:
    """Return arrays as text: a line of JSON with names, types and shapes, then their bytes in base64."""
    heads = {name: [value.dtype.str, list(value.shape)] for name, value in values.items()}
    data = b"".join(np.ascontiguousarray(value).tobytes() for value in values.values())
    return f"{json.dumps(heads)}\n{base64.b64encode(data).decode('ascii')}"


def unpacked(text: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a packed text."""
    head, _, body = text.partition("\n")
    data, at, found = base64.b64decode(body), 0, {}
    for name, (kind, shape) in json.loads(head).items():
        dtype = np.dtype(kind)
        count = int(np.prod(shape, dtype=np.int64))
        found[name] = np.frombuffer(data, dtype, count, at).reshape(shape)
        at += count * dtype.itemsize
    return found
