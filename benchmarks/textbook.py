"""The baseline: the service one writes by hand. FastAPI, pydantic, redis.asyncio and ONNX Runtime.

python -m benchmarks.textbook REDIS_URL MODEL.onnx PORT
"""

import sys

import numpy as np
import onnxruntime as ort
import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from redis.asyncio import Redis


class Keys(BaseModel):
    """The request."""

    keys: list[str]


def create_api(redis: Redis, session: ort.InferenceSession, fields: list[str]) -> FastAPI:
    """One route: read the hash, run the network, answer."""
    api = FastAPI()

    @api.post("/predict")
    async def predict(request: Keys) -> dict[str, list[float]]:
        rows = [await redis.hmget(key, fields) for key in request.keys]
        if any(value is None for row in rows for value in row):
            raise HTTPException(404, "missing feature")
        features = np.array(rows, dtype=np.float32)
        return {"predictions": session.run(None, {"x": features})[0][:, 0].tolist()}

    return api


def main() -> None:
    """Serve on loopback until stopped."""
    url, model, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    api = create_api(Redis.from_url(url), session, [f"f{number}" for number in range(32)])
    uvicorn.run(api, host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
