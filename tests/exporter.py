"""What PyTorch's ONNX exporter works out anew for every file although it is the same for all, worked out once.

It parses the source of 500 operators and reads their signatures (a second of a processor), and
lists which other operators are to be taken apart: most of what the file of a small network takes.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

EXPORTER = "torch.onnx._internal.exporter"
OPERATORS = "onnxscript._framework_apis.torch_2_11"  # where PyTorch 2.13 asks for them

SetAttribute = Callable[[Any, str, Any], None]


def keep_operators(put: SetAttribute) -> None:
    """Have the exporter keep its tables; `put` replaces an attribute, as `setattr` does."""
    operators = import_module(OPERATORS)
    put(operators, "get_torchlib_ops", cache(operators.get_torchlib_ops))
    registry = import_module(f"{EXPORTER}._registration").ONNXRegistry
    put(registry, "from_torchlib", staticmethod(cache(registry.from_torchlib)))
    parts = import_module(f"{EXPORTER}._decomp")
    table = cache(parts.create_onnx_friendly_decomposition_table)
    put(parts, "create_onnx_friendly_decomposition_table", lambda known: table(frozenset(known)))
