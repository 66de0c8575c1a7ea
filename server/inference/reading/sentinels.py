"""Who the master is, as the sentinels say; asked anew for every connection."""

from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError

from models.encoding import encoded
from models.errors import InsituError, RedisUnavailable
from server.inference.reading.link import Link, Terms
from server.inference.reading.places import Place
from server.inference.reading.reads import awaited


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
            if isinstance(found, list):
                self._places.remove(place)
                self._places.insert(0, place)
                return self._master.at(found[0].decode(), int(found[1]))
            said = str(found) if isinstance(found, ResponseError) else "it is not known"
            reason = f"{said}, {place.name}"
        raise RedisUnavailable(f"no sentinel names master {self._service!r}: {reason}")

    async def _asked(self, place: Place) -> Any:
        link = Link(place.itself, self._terms)
        question = encoded(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service))
        try:
            return (await awaited(link.ask, [question]))[0]
        finally:
            await link.close()
