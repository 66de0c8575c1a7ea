"""The baseline: the service one writes by hand. FastAPI, pydantic, redis.asyncio and ONNX Runtime.

python -m benchmarks.textbook REDIS_URL MODEL.onnx PORT
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import onnxruntime as ort
import uvicorn
from fastapi import FastAPI, HTTPException
from numpy.typing import NDArray
from pydantic import BaseModel
from redis.asyncio import Redis

from benchmarks.features import FIELDS

Features = NDArray[np.float32]


class Keys(BaseModel):
    """The request."""

    keys: list[str]


async def read_hashes(redis: Redis, keys: list[str]) -> Features:
    """Read hashes of text numbers: one HMGET, or a pipeline of them."""
    if len(keys) == 1:
        rows = [await redis.hmget(keys[0], list(FIELDS))]
    else:
        pipeline = redis.pipeline(transaction=False)
        for key in keys:
            pipeline.hmget(key, list(FIELDS))
        rows = await pipeline.execute()
    if any(value is None for row in rows for value in row):
        raise HTTPException(404, "missing feature")
    return np.array(rows, dtype=np.float32)


async def read_vectors(redis: Redis, keys: list[str]) -> Features:
    """Read vectors of raw float32: one GET, or one MGET."""
    values: list[Any] = [await redis.get(keys[0])] if len(keys) == 1 else await redis.mget(keys)
    if any(value is None for value in values):
        raise HTTPException(404, "missing vector")
    return np.frombuffer(b"".join(values), dtype=np.float32).reshape(len(keys), -1)


def create_api(redis: Redis, session: ort.InferenceSession) -> FastAPI:
    """One route a kind of feature: read, run the network, answer."""
    api = FastAPI()

    async def answered(
        read: Callable[[Redis, list[str]], Awaitable[Features]], keys: list[str]
    ) -> dict[str, list[float]]:
        features = await read(redis, keys)
        return {"predictions": session.run(None, {"x": features})[0][:, 0].tolist()}

    @api.post("/hash")
    async def predict_hashes(request: Keys) -> dict[str, list[float]]:
        return await answered(read_hashes, request.keys)

    @api.post("/vector")
    async def predict_vectors(request: Keys) -> dict[str, list[float]]:
        return await answered(read_vectors, request.keys)

    return api


def main() -> None:
    """Serve on loopback until stopped."""
    url, model, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    api = create_api(Redis.from_url(url), session)
    uvicorn.run(
        api,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
