"""Bulk reads: commands for many keys in one write, their replies as one buffer; one Redis or the nodes of a cluster.

Connections of their own, made on first use: what is read in bulk holds up nobody's single key.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.crc import key_slot

from server.inference.reading.cluster import Cluster
from server.inference.reading.link import Link, Terms
from server.inference.reading.places import Place
from server.inference.reading.portions import Line
from server.inference.reading.raw import RawConnection
from server.inference.reading.reader import Reader, road
from server.inference.reading.reads import Ask


@dataclass(frozen=True, slots=True)
class Share:
    """The keys that one node holds, by their places; None for all of them."""

    ask: Ask
    rows: Sequence[int] | None


class BulkReader:
    """Raw reads of one process; belongs to the loop it is first used on."""

    def __init__(self, url: str, timeout_seconds: float, reader: Reader) -> None:
        """Take a URL, and the reader that knows the map where it is a cluster's."""
        self._url = url
        self._terms = Terms(timeout_seconds, connection=RawConnection)
        self._cluster = reader.cluster
        self.line: Line | None = None
        """Where all portions stand in line, set before the first read; otherwise each Redis has a line of its own."""
        self._road: Any = None
        self._ask: Ask | None = None
        self._nodes: dict[Place, tuple[Link, Ask]] = {}

    @property
    def apart(self) -> bool:
        """Whether keys lie on several nodes, so that no command may name two of them."""
        return self._cluster is not None

    async def ready(self) -> None:
        """Wait until it is known which node holds which keys, or nobody tells it."""
        if self._cluster is not None:
            await self._cluster.told()

    def shares(self, keys: Sequence[str]) -> list[Share]:
        """Return which keys are asked of which node."""
        if self._cluster is not None:
            return self._divided(self._cluster, keys)
        if self._ask is None:
            self._road = road(self._url, self._terms)
            self._ask = self._in_line(self._road.ask)
        return [Share(self._ask, None)]

    def _in_line(self, ask: Ask) -> Ask:
        return (Line() if self.line is None else self.line).around(ask)

    def _divided(self, cluster: Cluster, keys: Sequence[str]) -> list[Share]:
        owners: dict[Link, list[int]] = {}
        slots: dict[Link, int] = {}
        for at, key in enumerate(keys):
            slot = key_slot(key.encode())
            link = cluster.owner(slot)
            owners.setdefault(link, []).append(at)
            slots[link] = slot
        return [Share(self._node(cluster.place(slots[link])), rows) for link, rows in owners.items()]

    def _node(self, place: Place) -> Ask:
        if place not in self._nodes:
            link = Link(place.itself, self._terms)
            self._nodes[place] = link, self._in_line(link.ask)
        return self._nodes[place][1]

    async def close(self) -> None:
        """Take no more, let what is under way end in its time, fail the rest."""
        roads = [*(link for link, _ in self._nodes.values()), *([] if self._road is None else [self._road])]
        await asyncio.gather(*[one.close() for one in roads])
