"""The master of a service, as the sentinels name it: asked for every connection, and now and then after.

A master that is replaced while it is well would go on answering, with what is stale from then on.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import ResponseError

from models.encoding import encoded
from models.errors import InsituError, RedisUnavailable
from server.inference.ending import ended
from server.inference.reading.link import Fault, Link, Terms
from server.inference.reading.places import Place
from server.inference.reading.reads import awaited

log = logging.getLogger(__name__)

WATCH_SECONDS = 1.0


class Master:
    """The link to whoever is the master."""

    def __init__(self, sentinels: "Sentinels", terms: Terms) -> None:
        self._sentinels = sentinels
        self._link = Link(self._find, terms)
        self._watching: asyncio.Task[None] | None = None
        self.hearers: list[Callable[[Place], None]] = []
        """Told of the master that is read, now and then: who keeps connections of their own ends those to another."""
        self.ask, self.start = self._link.ask, self._link.start
        self.busy, self.after = self._link.busy, self._link.after

    @property
    def fault(self) -> Fault | None:
        """Why it cannot be read now; None when it can."""
        return self._link.fault

    async def _find(self) -> Place:
        """Return the master's place, and look now and then whether it still is."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        return await self._sentinels.master()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                place = await self._sentinels.master()
                self._link.move(place)
                if self._link.leads_to(place):  # it has said that it is the master
                    for hear in self.hearers:
                        hear(place)
            except InsituError:
                continue  # none of them is there: who asks for features is told
            except Exception:  # whatever it is: looking must go on, or a stale master stays
                log.exception("the sentinels could not be asked for their master; they are asked again")

    async def close(self) -> None:
        """Take no more, let what is under way end in its time, fail the rest."""
        await self._link.close()
        if self._watching is not None:
            await ended([self._watching])


class Sentinels:
    """The sentinels of one service; the one that answered last is asked first."""

    def __init__(self, places: Sequence[Place], service: str, master: Place, timeout_seconds: float) -> None:
        self._places = list(places)
        self._service = service
        self._master = master.as_master()
        # each gets its part of the time of one attempt, and so does the master
        self._terms = Terms(timeout_seconds / (len(places) + 1), quiet=True)

    async def master(self) -> Place:
        """Return the place of the master.

        Raises: RedisUnavailable, no sentinel names one.
        """
        reason = ""
        for place in tuple(self._places):
            try:
                found = await self._asked(place)
            except InsituError as error:
                reason = str(error.details["reason"])
                continue
            match found:
                case [bytes(host), bytes(port)] if port.isdigit():
                    self._places.remove(place)
                    self._places.insert(0, place)
                    return self._master.at(host.decode(errors="replace"), int(port))
                case ResponseError():
                    said = str(found)
                case None:
                    said = "it is not known"
                case _:
                    said = "no address"
            reason = f"{said}, {place.name}"
        raise RedisUnavailable(f"no sentinel names master {self._service!r}: {reason}")

    async def _asked(self, place: Place) -> Any:
        link = Link(place.itself, self._terms)
        question = encoded(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service))
        try:
            return (await awaited(link.ask, [question]))[0]
        finally:
            await link.close()
