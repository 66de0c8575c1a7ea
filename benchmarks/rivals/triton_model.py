"""The network as a model of Triton's Python backend: one run for all requests that Triton has put together."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as triton


class TritonPythonModel:
    """What Triton's Python backend looks for."""

    def initialize(self, _args: dict[str, Any]) -> None:
        """Open the file beside this one."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        path = str(Path(__file__).with_name("model.onnx"))
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request."""
        rows = [triton.get_input_tensor_by_name(request, "x").as_numpy() for request in requests]
        values = self.session.run(["value"], {"x": np.concatenate(rows)})[0]
        ends = np.cumsum([len(part) for part in rows])[:-1]
        return [triton.InferenceResponse([triton.Tensor("value", part)]) for part in np.split(values, ends)]
