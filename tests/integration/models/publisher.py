"""A process that publishes models of many chunks until it is killed: `publisher.py REDIS_URL`."""

import asyncio
import os
import sys

from models.bundle import Bundle
from models.connecting import connect
from models.manifest import Manifest
from models.store import ModelStore
from models.tensors import TensorSpec

CHUNK_BYTES = 50_000
CHUNKS = 60


async def publish_for_ever(url: str) -> None:
    store = ModelStore(connect(url), chunk_bytes=CHUNK_BYTES)
    spec = TensorSpec(name="x", dtype="float32", shape=("batch", 3))
    manifest = Manifest(name="churn", inputs=(spec,), outputs=(spec,))
    while True:
        await store.publish(Bundle(manifest, os.urandom(CHUNK_BYTES * CHUNKS)))
        print("published", flush=True)  # noqa: T201  # tells the test that it is under way


if __name__ == "__main__":
    asyncio.run(publish_for_ever(sys.argv[1]))
