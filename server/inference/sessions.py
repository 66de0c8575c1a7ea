"""Session: one bundle in ONNX Runtime, and the execution provider it really runs on."""

import logging
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ctypes import string_at
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime as ort

from models.bundle import Bundle
from models.execution import Execution
from models.manifest import Manifest
from models.tensors import Tensor, elements, numpy_dtype
from server.inference.errors import ModelNotLoadable, ProviderUnavailable, RunFailed

log = logging.getLogger(__name__)

Provider = Literal["auto", "cpu", "cuda"]
RUNTIME = f"ONNX Runtime {ort.__version__}"
CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
# y = Relu(x) of one number: opset 17, IR 8. Written out, so that nobody loads the `onnx` library for it.
PROBE = (
    b'\x08\x08:7\n\x0c\n\x01x\x12\x01y"\x04Relu\x12\x05probeZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\x11"
)
LOG_FATAL = 4
BFLOAT16 = 16  # TensorProto.BFLOAT16
PIECE_BYTES = 1 << 20
LARGE_BYTES = 8 << 20
OPEN_FILES = Path("/proc/self/fd")  # Linux
LOAD_SECONDS = 120.0  # a large graph is optimized in less
REASON_CHARACTERS = 240
# How ONNX Runtime 1.32 words a failure: [ONNXRuntimeError] : 1 : FAIL : Non-zero status code ...
CODE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : (?:Load model from \S+ failed:)?")
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
    try:
        session = probe([CUDA, CPU])
    except Exception as error:  # noqa: BLE001  # ONNX Runtime raises many kinds: any means no CUDA
        log.warning("CUDA execution provider does not run: %s", error)
        return False
    return bool(session.get_providers()[0] == CUDA)


def probe(providers: list[str]) -> ort.InferenceSession:
    """Return a session of next to nothing that has run once."""
    session = ort.InferenceSession(PROBE, quiet(), providers=providers)
    session.run(None, {"x": np.zeros(1, np.float32)})
    return session


@cache
def shared_arena() -> None:
    """Let the sessions of this process take the memory of their runs from one place.

    With an arena each, every session keeps what its largest batch took: 140 MB for a small CNN after
    1024 rows, measured, for as long as it is loaded. Runs are as fast with one for all.
    """
    place = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(place, None)


@cache
def shrinking() -> tuple[ort.InferenceSession, ort.RunOptions]:
    """Return a session, and options of a run after which the arena gives back what nobody holds."""
    options = ort.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return probe([CPU]), options


def shrink_arena() -> None:
    """Give the memory back that earlier runs took and no run holds now."""
    session, options = shrinking()
    session.run(None, {"x": np.zeros(1, np.float32)}, options)


def quiet(threads: int = 1) -> ort.SessionOptions:
    """Return options of a session that neither spins nor fills the log.

    More threads than one a run burn a core on small networks; the batcher fills cores instead.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = LOG_FATAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.use_env_allocators", "1")
    shared_arena()
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

    def __init__(self, bundle: "Bundle | Readable", provider: str = CPU, threads: int = 1) -> None:
        """Load a bundle, or one that was made readable and whose bytes are let go by now.

        Raises: ModelNotLoadable, with what ONNX Runtime said.
        """
        manifest = self.manifest = bundle.manifest
        self.outputs = [spec.name for spec in manifest.outputs]
        wanted = meant(provider, manifest.execution)
        options = quiet(threads)
        try:
            with (
                readable(bundle) as file,
                in_time(LOAD_SECONDS, lambda: options.set_load_cancellation_flag(True)),
            ):
                self.endless = file.endless
                self._session = ort.InferenceSession(
                    file.source, options, providers=[*wanted], provider_options=[*wanted.values()]
                )
        except Exception as error:
            raise ModelNotLoadable(manifest.name, manifest.version, reason_of(error)) from error
        # The compiled session itself: its Python wrapper checks again, for a third of a short run's time,
        # what the core has checked.
        self._run = getattr(self._session, "_sess", self._session).run
        specs = (*manifest.inputs, *manifest.outputs)
        if any(spec.dtype == "bfloat16" for spec in specs):
            self._run = partial(run_bfloat16, self._session)
        self.provider = str(self._session.get_providers()[0])
        if self.provider != next(iter(wanted)):
            log.warning("%s v%d runs on %s", manifest.name, manifest.version, self.provider)

    def run(self, feeds: Mapping[str, Tensor], stop: ort.RunOptions | None = None) -> dict[str, Tensor]:
        """Run the graph on whole tensors; `ending(stop)` in another thread ends it.

        Raises: RunFailed, with what ONNX Runtime said.
        """
        names = self.outputs
        try:
            results: list[Any] = self._run(names, feeds, stop)
        except Exception as error:
            raise RunFailed(self.manifest.name, self.manifest.version, reason_of(error)) from error
        return {names[0]: results[0]} if len(names) == 1 else dict(zip(names, results, strict=True))


@dataclass(frozen=True, slots=True)
class Readable:
    """A bundle as ONNX Runtime reads it: the bytes of its file, or a path to them.

    `endless` says that it may run without end: how long a Loop runs is in the values, not in the shapes.
    """

    manifest: Manifest
    source: bytes | str
    endless: bool


@contextmanager
def readable(bundle: Bundle | Readable) -> Iterator[Readable]:
    """Give a bundle as ONNX Runtime reads it: a large one by a path to memory, where there are such paths.

    While it reads bytes it holds every thread up, 180 ms for 95 MiB, measured; by a path it does not. Nor is the
    bundle held here then: whoever lets it go has its bytes in memory once less while the graph is made.
    """
    if isinstance(bundle, Readable):
        yield bundle
        return
    endless = mentions(bundle.onnx, b"Loop")  # operators stand in the file by name
    if len(bundle.onnx) <= LARGE_BYTES or not OPEN_FILES.is_dir() or not hasattr(os, "memfd_create"):
        yield Readable(bundle.manifest, bundle.onnx, endless)
        return
    descriptor = os.memfd_create("model.onnx")
    try:
        with open(descriptor, "wb", closefd=False) as file:  # a descriptor has no path to open
            file.write(bundle.onnx)
        by_path = Readable(bundle.manifest, str(OPEN_FILES / str(descriptor)), endless)
        del bundle
        yield by_path
    finally:
        os.close(descriptor)


def meant(provider: str, execution: Execution | None) -> dict[str, dict[str, str]]:
    """Return the providers that a model is loaded with, the first one first, and their options.

    A model that was stored for a device gets it: the CPU also where there is CUDA, and of GPUs the one
    with its number.
    """
    kind, _, number = ("" if execution is None else execution.device.upper()).partition(":")
    if provider == CPU or kind == "CPU":
        return {CPU: {}}
    return {provider: {"device_id": number} if number else {}, CPU: {}}


def run_bfloat16(
    session: ort.InferenceSession,
    outputs: Sequence[str],
    feeds: Mapping[str, Tensor],
    stop: ort.RunOptions | None,
) -> list[Tensor]:
    """Run a graph with bfloat16 among its tensors, which numpy has no type for: as values of ONNX Runtime's own."""
    given = {name: value_of(tensor) for name, tensor in feeds.items()}
    return [tensor_of(value) for value in session.run_with_ort_values(outputs, given, stop)]


def value_of(tensor: Tensor) -> ort.OrtValue:
    """Return a tensor as ONNX Runtime holds it."""
    if tensor.dtype.name != "bfloat16":
        return ort.OrtValue.ortvalue_from_numpy(tensor)
    bits = np.ascontiguousarray(tensor).view(np.uint16)
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, BFLOAT16)


def tensor_of(value: ort.OrtValue) -> Tensor:
    """Return what ONNX Runtime holds as a tensor with memory of its own."""
    if value.element_type() != BFLOAT16:
        found: Tensor = value.numpy()
        return found
    shape = value.shape()
    data = string_at(value.data_ptr(), 2 * elements(shape))
    return np.frombuffer(data, numpy_dtype("bfloat16")).reshape(shape)


def mentions(onnx: bytes, word: bytes) -> bool:
    """Whether a word is in a file; looked for piece by piece, so that other threads get their turn."""
    starts = range(0, len(onnx), PIECE_BYTES)
    return any(onnx.find(word, start, start + PIECE_BYTES + len(word) - 1) >= 0 for start in starts)


def reason_of(error: Exception) -> str:
    """Return what ONNX Runtime said, without its own source lines: node, then message."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    text = SOURCE_LINE.sub("", CODE.sub("", text))
    node = NODE.match(text)
    if node is not None:
        text = f"{node['operator']} {node['name']}".strip() + f": {node['message']}"
    return text[:REASON_CHARACTERS]
