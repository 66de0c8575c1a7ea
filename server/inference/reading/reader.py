"""Reader: features out of Redis, whatever the URL means: one Redis, a master behind sentinels, a cluster."""

from collections.abc import Callable, Sequence

from models.connecting import Kind, named, refusing
from models.errors import listed
from server.inference.moments import Moment
from server.inference.reading.cluster import Cluster
from server.inference.reading.link import Link, Terms, unobserved
from server.inference.reading.places import Place, place_of
from server.inference.reading.reads import Done
from server.inference.reading.sentinels import Master, Sentinels


class Reader:
    """Feature reads of one process; belongs to the loop it is first used on."""

    __slots__ = ("_road", "after", "ask", "busy")

    ask: Callable[[Sequence[bytes], Done], None]
    """Ask encoded commands, whose key follows the name; `done` is told later, from the loop, exactly once.

    It gets one reply a command, in order; Redis' refusal of a command is its reply, and in a cluster
    RedisUnavailable is the reply for a key whose node is away while others are not. Or it gets the
    fault of all: RedisUnavailable, RedisRefused.

    Raises: RedisUnavailable, at once while Redis is known to be away; Overloaded, at once when too
            much waits.
    """
    busy: Callable[[], bool]
    """Whether something is under way that is soon answered; never in a cluster. Only then is `after` of use."""
    after: Callable[[Callable[[], None]], None]
    """Have something done, once however often it is said, as soon as that is answered or given up."""

    def __init__(
        self,
        url: str,
        timeout_seconds: float,
        observe: Callable[[int, float], None] = unobserved,
        moment: Moment | None = None,
        busy_poll_seconds: float = 0.0,
    ) -> None:
        """Take a URL; nothing is sent yet. What is asked in a moment leaves at its end.

        Units:  observe, commands and seconds of a round trip; busy_poll_seconds, as in Terms.
        Raises: BadName, no URL of Redis.
        """
        moment = moment or Moment()
        terms = Terms(timeout_seconds, observe, moment=moment, busy_poll_seconds=busy_poll_seconds)
        self._road = road(url, terms)
        self.ask = self._road.ask
        self.busy, self.after = self._road.busy, self._road.after

    @property
    def cluster(self) -> Cluster | None:
        """The nodes where features lie on several of them."""
        return self._road if isinstance(self._road, Cluster) else None

    @property
    def reason(self) -> str | None:
        """Why Redis cannot be read now; None when it can."""
        fault = self._road.fault
        return None if fault is None else str(fault.details["reason"])

    @property
    def lacking(self) -> str:
        """Which nodes of a cluster are away while others are read; empty where none is."""
        away = [] if self.cluster is None else self.cluster.away
        return f"{listed(away)} of the Redis Cluster away: keys and models there are not read" if away else ""

    def follow(self, hear: Callable[[Place], None]) -> None:
        """Have the master that is read told every second, where sentinels name it."""
        if isinstance(self._road, Master):
            self._road.hearers.append(hear)

    def start(self) -> None:
        """Begin to connect; the first ask does so too."""
        self._road.start()

    async def close(self) -> None:
        """Take no more, let what is under way end in its time, fail the rest."""
        await self._road.close()


def road(url: str, terms: Terms) -> Link | Master | Cluster:
    """Return the way to what a URL names.

    Raises: BadName.
    """
    address = named(url)
    with refusing(url):
        place, *others = [place_of(one) for one in (address.redis, *address.sentinels, *address.nodes[1:])]
    if address.kind is Kind.CLUSTER:
        return Cluster((place, *others), terms)
    if address.kind is Kind.SENTINEL:
        return Master(Sentinels(others, address.service, place, terms.timeout_seconds), terms)
    return Link(place.itself, terms)
