"""A client of a Redis Cluster that works as long as any primary answers, and waits for no node that says nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from redis._parsers import AsyncCommandsParser
from redis.asyncio.cluster import ClusterNode, NodesManager, RedisCluster
from redis.cluster import PRIMARY
from redis.exceptions import BusyLoadingError, RedisClusterException, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

SILENT = (RedisConnectionError, RedisTimeoutError, OSError)  # a node that loads its data is among them
PATIENCE_SECONDS = 0.3  # in which a node that is there answers; then the next one is asked beside it
REDIS_PORT = 6379
SLOTS = "CLUSTER SLOTS"


async def first_to_answer(nodes: Iterable[Any], ask: Callable[[Any], Awaitable[object]]) -> Any:
    """Ask nodes in turn, the next where one fails or is silent for a while, and return the first that answers.

    Raises: as `ask`; of the first that was away, where none answers.
    """
    waiting = list(nodes)
    asked: dict[asyncio.Future[object], Any] = {}
    faults: list[BaseException] = []
    try:
        while waiting or asked:
            if waiting:
                node = waiting.pop(0)
                asked[asyncio.ensure_future(ask(node))] = node
            patience = PATIENCE_SECONDS if waiting else None
            done, _ = await asyncio.wait(asked, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                node, fault = asked.pop(one), one.exception()
                if fault is None:
                    return node
                if not isinstance(fault, SILENT):
                    raise fault
                faults.append(fault)
    finally:
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    raise faults[0]


class NodesOfAny(NodesManager):
    """The nodes, as the first one knows them that answers.

    redis-py asks them one after the other, each until it is given up, and forgets those of the URL once it knows the
    cluster; where all have moved since, the names in the URL are what still leads to them.
    """

    __slots__ = ("_last", "_seeds", "_turn")

    def __init__(self, seeds: Sequence[ClusterNode], *rest: Any) -> None:
        """Take the nodes of the URL, and what redis-py's class takes."""
        super().__init__(list(seeds), *rest)
        self._seeds = dict(self.startup_nodes)
        self._last = ""
        self._turn = asyncio.Lock()

    async def initialize(self, *args: Any, **options: Any) -> None:
        """Learn the map of the cluster.

        Raises: RedisClusterException, no node answers, or the one that does is of no cluster.
        """
        async with self._turn:
            known = {**self.nodes_cache, **self._seeds}
            try:
                first = await first_to_answer(self._in_order(known), answers)
                self.startup_nodes = {first.name: first}
                await super().initialize(*args, **options)
                self._last = first.name
            except SILENT as error:
                raise RedisClusterException(f"no node of the Redis Cluster answers: {error}") from error
            finally:
                self.startup_nodes = {**self.nodes_cache, **self._seeds}

    def _in_order(self, known: dict[str, Any]) -> list[Any]:
        """Return the node that answered last before those of the URL, the others behind."""
        rank = {self._last: 0, **dict.fromkeys(self._seeds.keys() - {self._last}, 1)}
        return sorted(known.values(), key=lambda one: rank.get(one.name, 2))


async def answers(node: Any) -> None:
    """Wait until a node says whether it knows the slots: a refusal is told by whoever asks it for them."""
    try:
        await node.execute_command(SLOTS)
    except BusyLoadingError:  # a ConnectionError
        raise
    except ResponseError:
        return


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
        primaries = sorted([first, *others], key=lambda one: one.name != self._last)
        self.node = await first_to_answer(primaries, super().initialize)
        self._last, self._nodes.default_node = self.node.name, self.node


class ClusterOfAny(RedisCluster):
    """The client itself."""

    async def aclose(self) -> None:
        """Close every connection; redis-py closes none after an error by which the map is to be learnt anew."""
        await super().aclose()
        for nodes in ("nodes_cache", "startup_nodes"):
            await self.nodes_manager.aclose(nodes)


def cluster_client(urls: Sequence[str], **options: Any) -> RedisCluster:
    """Return a client of the cluster that nodes' URLs lead to, which differ in host and port alone.

    Raises: as RedisCluster.from_url.
    """
    places = [urlsplit(url) for url in urls[1:]]
    others = [ClusterNode(place.hostname or "", place.port or REDIS_PORT) for place in places]
    client = ClusterOfAny.from_url(urls[0], startup_nodes=others, **options)
    own = client.nodes_manager
    seeds = [client.startup_nodes[-1], *client.startup_nodes[:-1]]  # as the URL has them
    client.nodes_manager = NodesOfAny(seeds, own.require_full_coverage, own.connection_kwargs)
    client.commands_parser = CommandsOfAny(client.nodes_manager)
    return client
