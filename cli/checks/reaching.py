"""Whether a Redis answers, and what it says it is."""

import asyncio
from typing import Any

from cli.connection import check_answer
from models.connecting import connect


def described(url: str) -> str:
    """Return kind and version of the Redis at a URL: `Valkey 9.1.2`.

    Raises: RedisUnreachable; BadName, no URL of Redis.
    """

    async def ask() -> str:
        client = connect(url)
        try:
            await check_answer(client, url)
            return kind_of(await client.info("server"))
        finally:
            await client.aclose()

    return asyncio.run(ask())


def kind_of(info: dict[str, Any]) -> str:
    """Return kind and version as INFO tells them; a cluster tells them node by node."""
    facts = info if "redis_version" in info else next(iter(info.values()))
    valkey = facts.get("valkey_version")
    return f"Valkey {valkey}" if valkey else f"Redis {facts['redis_version']}"
