"""Session: one bundle in ONNX Runtime, and the execution provider it really runs on."""

import logging
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from models.bundle import Bundle
from models.tensors import Tensor, TensorSpec, numpy_dtype
from server.inference.errors import ModelNotLoadable, ProviderUnavailable, RunFailed

log = logging.getLogger(__name__)

Provider = Literal["auto", "cpu", "cuda"]
CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
SESSION_OVERHEAD_BYTES = 1 << 20  # a session of a tiny model, measured
FREE_STEPS = 8  # what a free dimension other than the batch is tried with
LOG_FATAL = 4


def choose_provider(wanted: Provider) -> str:
    """Return the provider that sessions are made with.

    Raises: ProviderUnavailable, when CUDA was asked for by name and does not run.
    """
    if wanted == "cpu":
        return CPU
    if CUDA in ort.get_available_providers() and cuda_runs():
        return CUDA
    if wanted == "cuda":
        raise ProviderUnavailable(wanted, [CPU])
    return CPU


def cuda_runs() -> bool:
    """Whether a session really gets CUDA: the package alone proves nothing, it falls back silently."""
    shape = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "probe", [shape], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    try:
        session = ort.InferenceSession(serialized(model), quiet(), providers=[CUDA, CPU])
        session.run(None, {"x": np.zeros(1, np.float32)})
    except Exception as error:  # noqa: BLE001  # ONNX Runtime raises many kinds: any means no CUDA
        log.warning("CUDA execution provider does not run: %s", error)
        return False
    return bool(session.get_providers()[0] == CUDA)


def serialized(model: onnx.ModelProto) -> bytes:
    """Return the bytes of an ONNX model."""
    return bytes(model.SerializeToString())


def quiet(threads: int = 1) -> ort.SessionOptions:
    """Return options of a session that neither spins nor fills the log.

    More threads than one a run burn a core on small networks; the batcher fills cores instead.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = LOG_FATAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


class Session:
    """A loaded bundle; `run` may be called from any thread."""

    def __init__(self, bundle: Bundle, provider: str = CPU, threads: int = 1) -> None:
        """Load a bundle.

        Raises: ModelNotLoadable, with what ONNX Runtime said.
        """
        self.manifest = bundle.manifest
        self.outputs = [spec.name for spec in bundle.manifest.outputs]
        self.memory_bytes = 2 * len(bundle.onnx) + SESSION_OVERHEAD_BYTES
        providers = [provider] if provider == CPU else [provider, CPU]
        try:
            self._session = ort.InferenceSession(bundle.onnx, quiet(threads), providers=providers)
        except Exception as error:
            name, version = bundle.manifest.name, bundle.manifest.version
            raise ModelNotLoadable(name, version, first_line(error)) from error
        self.provider = str(self._session.get_providers()[0])

    def run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the graph on whole tensors.

        Raises: RunFailed, with what ONNX Runtime said.
        """
        try:
            results: list[Any] = self._session.run(self.outputs, feeds)
        except Exception as error:
            raise RunFailed(self.manifest.name, self.manifest.version, first_line(error)) from error
        return dict(zip(self.outputs, results, strict=True))

    def warm(self) -> None:
        """Run once on zeros, so that the first request does not pay for allocations."""
        try:
            self.run(zeros(self.manifest.inputs))
        except RunFailed as error:
            log.info("warm-up of %s v%d: %s", self.manifest.name, self.manifest.version, error)


def zeros(specs: tuple[TensorSpec, ...], rows: int = 1) -> dict[str, Tensor]:
    """Return feeds of zeros (empty texts) for a signature: `rows` rows, free dimensions small."""
    return {spec.name: zero(spec, rows) for spec in specs}


def zero(spec: TensorSpec, rows: int) -> Tensor:
    """Return one input of zeros; a length of one a row for int64 vectors keeps gathers in range."""
    free = [rows if axis == 0 else FREE_STEPS for axis in range(len(spec.shape))]
    shape = [dim if isinstance(dim, int) else free[axis] for axis, dim in enumerate(spec.shape)]
    if spec.dtype == "string":
        return np.full(shape, "", object)
    return np.full(shape, 1 if len(shape) == 1 else 0, numpy_dtype(spec.dtype))


def first_line(error: Exception) -> str:
    """Return the message of ONNX Runtime without its stack of source lines."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
