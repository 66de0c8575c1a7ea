"""A walk from model to model beside a Redis Cluster: a node that is away is found out once, and costs its own models.

One Redis that is away ends the walk.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from models.errors import RedisUnavailable, listed
from models.redis_failures import connected
from models.shards import holder, lie_apart
from models.store import ModelStore

Found = TypeVar("Found")


class Walk:
    """One walk: the models that were left out of it, and why."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        self._away: dict[str, str] = {}  # node -> why
        self.left: list[str] = []
        """Names of those whose node is away, in their order."""

    async def at(self, name: str, look: Callable[[str], Awaitable[Found]]) -> Found | None:
        """Look at a model; None where its node is away, or was found away before.

        Raises: RedisUnavailable, of one Redis; whatever else `look` raises.
        """
        node = holder(self._store.redis, self._store.keys.model(name))
        if node not in self._away:
            try:
                return await look(name)
            except RedisUnavailable as error:
                if not lie_apart(self._store.redis):
                    raise
                self._away[node] = str(error.details["reason"])
        self.left.append(name)
        return None

    @property
    def reason(self) -> str:
        """Why nodes are away, each reason once; empty where none is."""
        return "; ".join(dict.fromkeys(self._away.values()))

    @property
    def told(self) -> str:
        """Which models were left out, and why."""
        return f"{listed(self.left)}; Redis does not answer: {self.reason}"


async def names_to_walk(store: ModelStore) -> list[str]:
    """Return the models that are stored; in a cluster those that may be, as each is known by its own node alone.

    Raises: RedisUnavailable, RedisRefused.
    """
    if not lie_apart(store.redis):
        return await store.names()
    async with connected(store.redis):
        return await store.hinted()
