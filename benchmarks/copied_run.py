"""What a batch costs without a server: its bytes copied once, one run of ONNX Runtime, the answer's bytes.

python -m benchmarks.copied_run MODEL.onnx BATCH WIDTH SECONDS    prints one line of JSON; BATCH is raw float32
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort


def main() -> None:
    """Copy and run for so many seconds, with one thread of ONNX Runtime."""
    path, batch, width, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    received = memoryview(Path(batch).read_bytes())
    times: list[float] = []
    until = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < until:
        rows = np.frombuffer(bytearray(received), np.float32).reshape(-1, width)
        session.run(["value"], {"x": rows})[0].tobytes()
        times.append(time.perf_counter() - begun)
    p50, p99 = np.percentile(times, (50, 99)) * 1e3
    sys.stdout.write(json.dumps({"rate": len(times) / sum(times), "p50_ms": p50, "p99_ms": p99}) + "\n")


if __name__ == "__main__":
    main()
