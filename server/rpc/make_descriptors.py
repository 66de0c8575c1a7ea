"""open_inference.proto -> descriptors.bin; run it after a change: `python -m server.rpc.make_descriptors`.

It needs grpcio-tools; whoever serves needs the file alone.
"""

import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
PROTO, DESCRIPTORS = "open_inference.proto", "descriptors.bin"


def make(folder: Path) -> int:
    """Write the descriptors into a folder, and return the compiler's exit status."""
    compiler = import_module("grpc_tools.protoc")
    arguments = ["protoc", f"-I{HERE}", f"--descriptor_set_out={folder / DESCRIPTORS}", PROTO]
    return int(compiler.main(arguments))


if __name__ == "__main__":
    sys.exit(make(HERE))
