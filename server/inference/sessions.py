"""Session: one bundle in ONNX Runtime, and the execution provider it really runs on."""

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from models.bundle import Bundle
from models.tensors import Tensor
from server.inference.errors import ModelNotLoadable, ProviderUnavailable, RunFailed

log = logging.getLogger(__name__)

Provider = Literal["auto", "cpu", "cuda"]
CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
SESSION_OVERHEAD_BYTES = 1 << 20  # a session of a tiny model, measured
LOG_FATAL = 4
LOAD_SECONDS = 120.0  # a large graph is optimized in less
REASON_CHARACTERS = 240
# How ONNX Runtime 1.32 words a failure: [ONNXRuntimeError] : 1 : FAIL : Non-zero status code ...
CODE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : ")
NODE = re.compile(
    r"Non-zero status code returned while running (?P<operator>\w+) node\. Name:'(?P<name>[^']*)' "
    r"Status Message: (?P<message>.*)"
)
SOURCE_LINE = re.compile(r"/onnxruntime_src/\S+ .*?\) ")


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


@contextmanager
def in_time(seconds: float, stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` from another thread when the block has not ended by then."""
    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def ending(stop: ort.RunOptions) -> None:
    """End the run that has these options, between two of its nodes."""
    stop.terminate = True


class Session:
    """A loaded bundle; `run` may be called from any thread."""

    def __init__(self, bundle: Bundle, provider: str = CPU, threads: int = 1) -> None:
        """Load a bundle.

        Raises: ModelNotLoadable, with what ONNX Runtime said.
        """
        self.manifest = bundle.manifest
        self.outputs = [spec.name for spec in bundle.manifest.outputs]
        self.memory_bytes = 2 * len(bundle.onnx) + SESSION_OVERHEAD_BYTES
        # Operators stand in the file by name. How long a Loop runs is in the values, not in the shapes.
        self.endless = b"Loop" in bundle.onnx
        providers = [provider] if provider == CPU else [provider, CPU]
        options = quiet(threads)
        try:
            with in_time(LOAD_SECONDS, lambda: options.set_load_cancellation_flag(True)):
                self._session = ort.InferenceSession(bundle.onnx, options, providers=providers)
        except Exception as error:
            name, version = bundle.manifest.name, bundle.manifest.version
            raise ModelNotLoadable(name, version, reason_of(error)) from error
        self.provider = str(self._session.get_providers()[0])
        if self.provider != provider:
            log.warning("%s v%d runs on %s", bundle.manifest.name, bundle.manifest.version, self.provider)

    def run(self, feeds: Mapping[str, Tensor], stop: ort.RunOptions | None = None) -> dict[str, Tensor]:
        """Run the graph on whole tensors; `ending(stop)` in another thread ends it.

        Raises: RunFailed, with what ONNX Runtime said.
        """
        try:
            results: list[Any] = self._session.run(self.outputs, feeds, stop)
        except Exception as error:
            raise RunFailed(self.manifest.name, self.manifest.version, reason_of(error)) from error
        return dict(zip(self.outputs, results, strict=True))


def reason_of(error: Exception) -> str:
    """Return what ONNX Runtime said, without its own source lines: node, then message."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    text = SOURCE_LINE.sub("", CODE.sub("", text))
    node = NODE.match(text)
    if node is not None:
        text = f"{node['operator']} {node['name']}".strip() + f": {node['message']}"
    return text[:REASON_CHARACTERS]
