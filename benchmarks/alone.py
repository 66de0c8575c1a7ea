"""session.run in a loop and nothing else: the ceiling of whoever runs a network with ONNX Runtime.

python -m benchmarks.alone MODEL.onnx FEEDS.npz ROWS SECONDS    prints one line of JSON
"""

import json
import sys
import time

import numpy as np
import onnxruntime as ort


def main() -> None:
    """Run one thread of ONNX Runtime on batches of so many rows and print runs and rows a second."""
    model, feeds, rows, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    with np.load(feeds) as arrays:
        batch = {name: np.resize(array, (rows, *array.shape[1:])) for name, array in arrays.items()}
    times = timed(session, batch, seconds)
    p50, p99 = np.percentile(times, (50, 99)) * 1e3
    rate = len(times) / sum(times)
    told = {"rate": rate, "rows_rate": rate * rows, "p50_ms": p50, "p99_ms": p99}
    sys.stdout.write(json.dumps(told) + "\n")


def timed(session: ort.InferenceSession, batch: dict[str, np.ndarray], seconds: float) -> list[float]:
    """Return how long each run took."""
    names = [output.name for output in session.get_outputs()]
    session.run(names, batch)
    times: list[float] = []
    until = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < until:
        session.run(names, batch)
        times.append(time.perf_counter() - begun)
    return times


if __name__ == "__main__":
    main()
