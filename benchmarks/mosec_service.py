"""mosec, the fastest Python rival, with a handler that reads Redis: one pipelined trip and one run a batch.

python -m benchmarks.mosec_service --address 127.0.0.1 --port PORT    BENCH_REDIS_URL, BENCH_MODEL, BENCH_KIND

A batch is up to 64 requests, or what came within 2 ms of its first one; JSON by orjson, which is faster
than mosec's own.
"""

import os
from typing import Any

import numpy as np
import onnxruntime as ort
import orjson
from mosec import Server, Worker
from numpy.typing import NDArray
from redis import Redis

from benchmarks.features import FIELDS

BATCH_REQUESTS = 64
BATCH_WAIT_MS = 2


class Predictions(Worker):
    """One process: reads the features of a whole batch at once and runs the network on them."""

    def __init__(self) -> None:
        super().__init__()
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(
            os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"]
        )
        self.redis = Redis.from_url(os.environ["BENCH_REDIS_URL"])
        self.read = self.hashes if os.environ["BENCH_KIND"] == "hash" else self.vectors

    def deserialize(self, data: bytes) -> Any:
        """Read a request."""
        return orjson.loads(data)

    def serialize(self, data: Any) -> bytes:
        """Write an answer."""
        return orjson.dumps(data)

    def forward(self, data: list[Any]) -> list[Any]:
        """Answer a batch of requests, each with its own number of keys."""
        counts = [len(request["keys"]) for request in data]
        features = self.read([key for request in data for key in request["keys"]])
        values = self.session.run(["value"], {"x": features})[0][:, 0].tolist()
        ends = np.cumsum(counts).tolist()
        return [{"predictions": values[end - count : end]} for end, count in zip(ends, counts, strict=True)]

    def hashes(self, keys: list[str]) -> NDArray[np.float32]:
        """Read hashes of text numbers."""
        pipeline = self.redis.pipeline(transaction=False)
        for key in keys:
            pipeline.hmget(key, list(FIELDS))
        return np.array(pipeline.execute(), dtype=np.float32)

    def vectors(self, keys: list[str]) -> NDArray[np.float32]:
        """Read vectors of raw float32."""
        values: Any = self.redis.mget(keys)
        return np.frombuffer(b"".join(values), dtype=np.float32).reshape(len(keys), -1)


def main() -> None:
    """Serve until stopped."""
    server = Server()
    server.append_worker(
        Predictions, num=1, max_batch_size=BATCH_REQUESTS, max_wait_time=BATCH_WAIT_MS, route="/predict"
    )
    server.run()


if __name__ == "__main__":
    main()
