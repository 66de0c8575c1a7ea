"""Redis reached for one client."""

import asyncio

from redis.exceptions import ResponseError

from models.connecting import Kind, named
from models.errors import RedisUnavailable
from server.inference.reading.faults import FORBIDDEN
from server.inference.reading.places import Place, check_refusal, place_of, unreachable
from server.inference.reading.sentinels import Sentinels
from server.resp.service import Service
from server.resp.session import Session
from server.resp.upstream import Owner, Upstream


class Redis:
    """The Redis of a URL, which is not one of a cluster.

    Units: timeout_seconds, until it counts as away.
    """

    def __init__(self, url: str, timeout_seconds: float) -> None:
        """Take a URL that the server is able to use already."""
        address = named(url)
        self.timeout_seconds = timeout_seconds
        self._place = place_of(address.redis)
        self._sentinels: Sentinels | None = None
        if address.kind is Kind.SENTINEL:
            guards = [place_of(one) for one in address.sentinels]
            self._sentinels = Sentinels(guards, address.service, self._place, timeout_seconds)

    @property
    def home(self) -> int:
        """The database that the URL names."""
        return next((int(words[1]) for words in self._place.greeting if words[0] == "SELECT"), 0)

    async def place(self) -> Place:
        """Return where it is now.

        Raises: RedisUnavailable, no sentinel names a master.
        """
        return self._place if self._sentinels is None else await self._sentinels.master()


async def opened(service: Service, session: Session, owner: Owner) -> Upstream:
    """Connect to Redis for a client: as the server itself where tokens say who a client is, else as nobody yet.

    Raises: RedisUnavailable, RedisRefused.
    """
    place = Place(())
    try:
        async with service.connecting, asyncio.timeout(service.connect_seconds):
            place = await service.place()
            upstream = await place.reached(lambda: Upstream(owner, place.name))
            await greeted(upstream, place, service.home, session)
    except TimeoutError:
        raise RedisUnavailable(f"no reply within {service.connect_seconds:g} s") from None
    except OSError as error:
        raise unreachable(place.name, error) from error
    return upstream


async def greeted(upstream: Upstream, place: Place, home: int, session: Session) -> None:
    """Say who is there, and which database is meant.

    Raises: RedisUnavailable, RedisRefused.
    """
    try:
        if session.by_token:
            place.check(await upstream.ask(place.greeting))
        elif home:
            await choose(upstream, home, known=False)
    except BaseException:  # the client may have left meanwhile
        upstream.leave()
        raise


async def choose(upstream: Upstream, db: int, *, known: bool) -> None:
    """Choose a database; a client who may not have said yet who they are is led there by AUTH or HELLO else.

    Raises: RedisUnavailable, RedisRefused: what came next would be done in another database.
    """
    (reply,) = await upstream.ask([("SELECT", db)])
    upstream.astray = isinstance(reply, ResponseError)
    if upstream.astray and (known or not str(reply).startswith(FORBIDDEN)):
        check_refusal("SELECT", str(reply))
