"""The network behind pytriton, as its documentation shows: Triton's batches of up to 1,024 rows come to this process.

RIVALS_PYTHON -m benchmarks.rivals.pytriton_service MODEL.onnx HTTP_PORT GRPC_PORT FOLDER
"""

import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

HOST = "127.0.0.1"
BATCH_ROWS = 1024
NAME, WIDTH = "vector", 32


def main() -> None:
    """Serve until stopped."""
    path, http_port, grpc_port, folder = sys.argv[1:]
    # Triton's child embeds this very Python: the library of another release does not fit the modules it finds.
    os.environ["LD_LIBRARY_PATH"] = sysconfig.get_config_var("LIBDIR")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    @batch
    def infer(x: NDArray[np.float32]) -> Any:
        return session.run(["value"], {"x": x})

    config = TritonConfig(
        http_address=HOST,
        http_port=int(http_port),
        grpc_address=HOST,
        grpc_port=int(grpc_port),
        allow_metrics=False,
    )
    with Triton(config=config, workspace=Path(folder, "workspace")) as triton:
        triton.bind(
            model_name=NAME,
            infer_func=infer,
            inputs=[Tensor(name="x", dtype=np.float32, shape=(WIDTH,))],
            outputs=[Tensor(name="value", dtype=np.float32, shape=(1,))],
            config=ModelConfig(
                max_batch_size=BATCH_ROWS, batcher=DynamicBatcher(max_queue_delay_microseconds=0)
            ),
        )
        triton.serve()


if __name__ == "__main__":
    main()
