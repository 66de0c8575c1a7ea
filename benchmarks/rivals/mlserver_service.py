"""MLServer with the network in a runtime of its own, in the server's process and without its batching.

RIVALS_PYTHON -m benchmarks.rivals.mlserver_service MODEL.onnx HTTP_PORT GRPC_PORT FOLDER

Its adaptive batching (64 requests or 2 ms) answered fewer requests a second at 64 connections and at one.
"""

import asyncio
import sys

import numpy as np
import onnxruntime as ort
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.settings import ModelParameters
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

HOST = "127.0.0.1"
NAME, WIDTH = "vector", 32


class Rows(MLModel):
    """Runs the rows of a request."""

    async def load(self) -> bool:
        """Open the file."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        path = self.settings.parameters.uri
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer a request; its numbers come flat."""
        rows = np.array(payload.inputs[0].data.root, dtype=np.float32).reshape(-1, WIDTH)
        values = self.session.run(["value"], {"x": rows})[0]
        output = ResponseOutput(
            name="value", shape=list(values.shape), datatype="FP32", data=values[:, 0].tolist()
        )
        return InferenceResponse(model_name=self.name, id=payload.id, outputs=[output])


async def serve() -> None:
    """Serve until stopped."""
    path, http_port, grpc_port, folder = sys.argv[1:]
    settings = Settings(
        debug=False,
        host=HOST,
        http_port=int(http_port),
        grpc_port=int(grpc_port),
        parallel_workers=0,
        metrics_endpoint=None,
        metrics_dir=folder,
        environments_dir=folder,
        model_repository_root=folder,
    )
    model = ModelSettings(name=NAME, implementation=Rows, parameters=ModelParameters(uri=path))
    await MLServer(settings).start([model])


if __name__ == "__main__":
    asyncio.run(serve())
