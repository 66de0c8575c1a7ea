"""Source: where RedisAI's keys are, files or a running server."""

from typing import Protocol

from cli.importing.inventory import Found, Inventory
from cli.importing.rdb_walk import Watch
from cli.importing.values import Value


class Source(Protocol):
    """Anything that has keys of RedisAI."""

    async def look(self, watch: Watch) -> Inventory:
        """Find every key."""
        ...

    async def read(self, found: Found) -> Value:
        """Read what one key holds."""
        ...
