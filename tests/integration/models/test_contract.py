"""What golden files say of Redis is what a store writes into it, and what a store reads from it."""

import json
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from models.store import ModelStore
from tests.data.make_contract import FOLDER, graph, live, make

PUBLISHED: dict[str, dict[str, Any]] = json.loads((FOLDER / "published.json").read_text())


async def test_a_store_writes_the_golden_keys_values_and_messages(redis: Redis) -> None:
    heard, keys = await live(redis)

    assert keys == PUBLISHED
    assert heard == (FOLDER / "channel.jsonl").read_text().splitlines()


async def test_the_script_makes_the_golden_files_again(redis_url: str, tmp_path: Path) -> None:
    await make(tmp_path, redis_url)

    assert contents(tmp_path) == contents(FOLDER)


async def test_a_store_reads_the_golden_keys(redis: Redis) -> None:
    for key, stored in PUBLISHED.items():
        await put(redis, key, stored["type"], stored["value"])

    store = ModelStore(redis)

    assert await store.names() == ["churn"]
    assert await store.versions("churn") == [1, 2]
    assert await store.aliases("churn") == {"production": 2, "canary": 1}
    loaded = await store.load("churn", 1)
    assert loaded.onnx == graph()
    assert loaded.manifest.to_json() == (FOLDER / "manifest.json").read_bytes()
    assert await store.rollback("churn") == 1


async def put(redis: Redis, key: str, kind: str, value: Any) -> None:
    """Write a key as another program would."""
    if kind == "hash":
        await redis.hset(key, mapping=value)
    elif kind == "set":
        await redis.sadd(key, *value)
    elif kind == "stream":
        for entry in value:
            await redis.xadd(key, entry)
    else:
        await redis.set(key, bytes.fromhex(value["hex"]) if isinstance(value, dict) else value)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
