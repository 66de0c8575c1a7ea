"""Triton itself, out of pytriton's wheel and without pytriton: its Python backend runs the network in ONNX Runtime.

RIVALS_PYTHON -m benchmarks.rivals.triton_service MODEL.onnx HTTP_PORT GRPC_PORT FOLDER

No wheel has Triton's backend for ONNX Runtime. FOLDER becomes its model repository and its folder of backends.
"""

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from pytriton.utils.distribution import get_libs_path, get_root_module_path, get_stub_path

HOST = "127.0.0.1"
CONFIG = """
name: "vector"
backend: "python"
max_batch_size: 1024
input [{name: "x", data_type: TYPE_FP32, dims: [32]}]
output [{name: "value", data_type: TYPE_FP32, dims: [1]}]
dynamic_batching {max_queue_delay_microseconds: 1000}
instance_group [{count: 1, kind: KIND_CPU}]
"""


def main() -> None:
    """Become Triton."""
    path, http_port, grpc_port, folder = sys.argv[1:]
    root = get_root_module_path() / "tritonserver"
    repository, backends = written(Path(folder), Path(path), root)
    libraries = [sysconfig.get_config_var("LIBDIR"), str(get_libs_path())]
    environment = {
        **os.environ,
        # The Python that Triton embeds finds its packages beside the first python3 of PATH.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
    }
    words = [
        str(root / "bin" / "tritonserver"),
        *("--model-repository", str(repository), "--backend-directory", str(backends)),
        *("--http-address", HOST, "--http-port", http_port),
        *("--grpc-address", HOST, "--grpc-port", grpc_port),
        *("--allow-metrics", "false"),
    ]
    os.execve(words[0], words, environment)  # noqa: S606 - one process to end, not two


def written(folder: Path, model: Path, root: Path) -> tuple[Path, Path]:
    """Write the model repository and the backends, and return both."""
    repository, backends = folder / "models", folder / "backends"
    version = repository / "vector" / "1"
    version.mkdir(parents=True)
    (version.parent / "config.pbtxt").write_text(CONFIG)
    shutil.copy(Path(__file__).with_name("triton_model.py"), version / "model.py")
    shutil.copy(model, version / "model.onnx")
    shutil.copytree(root / "backends" / "python", backends / "python")
    release = f"{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copy(get_stub_path(release), backends / "python")
    return repository, backends


if __name__ == "__main__":
    main()
