"""A client of a Redis Cluster that works as long as any primary answers."""

from typing import Any

from redis._parsers import AsyncCommandsParser
from redis.asyncio.cluster import RedisCluster
from redis.cluster import PRIMARY
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

SILENT = (RedisConnectionError, RedisTimeoutError, OSError)


class CommandsOfAny(AsyncCommandsParser):
    """Where each command has its keys, as any primary says.

    redis-py asks that of the primary with the lowest slots whenever it takes the map of the cluster anew, and is of
    no use for any key while that one is away. The one that answered last is asked first, and is then the node that
    commands without a key go to.
    """

    __slots__ = ("_last", "_nodes")

    def __init__(self, nodes: Any) -> None:
        """Take the client's nodes, which know the primaries by the time they are asked."""
        super().__init__()
        self._nodes = nodes
        self._last = ""

    async def initialize(self, node: Any = None) -> None:
        """Ask the primaries in turn.

        Raises: RedisError or OSError, of the first that was asked, where none answers.
        """
        first = self.node if node is None else node
        others = [one for one in self._nodes.get_nodes_by_server_type(PRIMARY) if one is not first]
        faults: list[Exception] = []
        for one in sorted([first, *others], key=lambda one: one.name != self._last):
            try:
                await super().initialize(one)
            except SILENT as error:
                faults.append(error)
                continue
            self._last, self._nodes.default_node = one.name, one
            return
        raise faults[0]


def cluster_client(url: str, **options: Any) -> RedisCluster:
    """Return a client of the cluster that a node's URL leads to.

    Raises: as RedisCluster.from_url.
    """
    client = RedisCluster.from_url(url, **options)
    client.commands_parser = CommandsOfAny(client.nodes_manager)
    return client
