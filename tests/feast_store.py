"""What Feast has written, out of tests/data/feast: keys, fields and answers."""

import json
from pathlib import Path
from typing import Any

WRITTEN = 1_795_348_800  # when most of it was, in Unix seconds
FOLDER = Path(__file__).parent / "data" / "feast"


def hashes() -> dict[bytes, dict[bytes, bytes]]:
    """Every key of the online store with its fields."""
    stored = json.loads((FOLDER / "hashes.json").read_text())
    return {
        bytes.fromhex(key): {bytes.fromhex(name): bytes.fromhex(value) for name, value in fields.items()}
        for key, fields in stored.items()
    }


def answers() -> Any:
    """What `get_online_features` said: by view, the entities asked for and what was answered."""
    return json.loads((FOLDER / "answers.json").read_text())


async def written(redis: Any) -> None:
    """Write the whole store into a Redis."""
    for key, fields in hashes().items():
        await redis.hset(key, mapping=fields)
