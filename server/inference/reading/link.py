"""One Redis kept reachable: what is asked in one moment leaves in one write on one connection.

A connection that breaks is made anew at once, and what was under way is asked once more: it only
reads. A Redis that does not answer is away: whoever asks is told at once, and it is tried until it
is back. One read that takes too long is no proof: the new connection asks first.

    ask -> reads of this moment -> one batch -> connection -> replies -> done
              ^ held while connecting or while Redis takes no more, within bounds

Whoever would rather ask once for much than often for little asks `after` what is under way, which is
soon where Redis is near: a read costs both sides more for leaving than for its keys.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import Any

from models.encoding import encoded
from models.errors import InsituError, RedisRefused, RedisUnavailable
from server.inference.awake import Awake
from server.inference.ending import ended
from server.inference.errors import Overloaded
from server.inference.moments import Later, Moment
from server.inference.reading.connection import Connection
from server.inference.reading.faults import away, fault_of_one
from server.inference.reading.places import Place, unreachable
from server.inference.reading.reads import Batch, Done, Read, awaited, fail, tell

log = logging.getLogger(__name__)

WAITING_COMMANDS = 1 << 20
WAITING_BYTES = 256 << 20
WRITE_BYTES = 1 << 16  # of one moment; more leaves before its end, and counts as under way
RETRY_AFTER_SECONDS = 0.5
PROBE_SECONDS = 0.1
REFUSED_SECONDS = 1.0  # wrong credentials do not mend so fast, and each try is logged by Redis
NEAR_SECONDS = 0.00015  # a round trip, waking up included
CLOSED = "this server is shutting down"

Fault = RedisUnavailable | RedisRefused
Judge = Callable[[Sequence[Any]], Fault | None]


def unobserved(_commands: int, _seconds: float) -> None:
    """Observe nothing."""


def unmoved() -> None:
    """Take no notice of a change."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a Redis is dealt with.

    Units: timeout_seconds, without a word of it; observe, commands and seconds of a round trip.
    """

    timeout_seconds: float
    observe: Callable[[int, float], None] = unobserved
    judge: Judge = fault_of_one
    changed: Callable[[], None] = unmoved  # it went away, or came back
    quiet: bool = False  # asked once: whoever asks says what came of it
    connection: type[Connection] = Connection  # how replies are looked at
    moment: Moment = field(default_factory=Moment)
    busy_poll_seconds: float = 0.0  # how long the loop does not sleep over a lone read of a near Redis


class Link:
    """The one connection to one Redis, and those who wait for it."""

    __slots__ = (
        "_after",
        "_again",
        "_awake",
        "_bytes",
        "_call_soon",
        "_closed",
        "_connecting",
        "_connection",
        "_drained",
        "_fault",
        "_find",
        "_gated",
        "_held",
        "_later",
        "_near",
        "_place",
        "_reads",
        "_shortest",
        "_since",
        "_terms",
        "_unsent",
        "_waiting",
    )

    def __init__(self, find: Callable[[], Awaitable[Place]], terms: Terms) -> None:
        self._find, self._terms = find, terms
        self._later = terms.moment.later
        self._call_soon: Any = None
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._place = Place(())
        self._since = 0.0  # when the connection was made
        self._reads: list[Read] = []  # of this tick, or held
        self._again: list[Batch] = []  # broken off, to be sent once more
        self._waiting = 0  # commands, from ask to reply
        self._bytes = 0  # of what has left and is not answered
        self._unsent = 0  # bytes asked for in this moment
        self._held = 0  # bytes of what is held back
        self._gated = True  # something keeps what is asked from leaving with this tick
        self._fault: Fault | None = None
        self._closed = False
        self._drained: asyncio.Event | None = None
        # The last read was alone, and came so fast that sleeping over the next takes longer.
        self._near = False
        self._awake = Awake()
        self._after: dict[Callable[[], None], None] = {}  # in their order, each once
        self._shortest = inf  # round trip of this connection

    @property
    def fault(self) -> Fault | None:
        """Why this Redis cannot be read now; None when it can."""
        return self._fault

    @property
    def up(self) -> bool:
        """Whether there is a connection that has been answered."""
        return self._connection is not None and self._fault is None

    @property
    def name(self) -> str:
        """The place that was tried last."""
        return self._place.name

    @property
    def host(self) -> str:
        """The host that was tried last."""
        return self._place.host

    def start(self) -> None:
        """Begin to connect."""
        if self._connecting is None and self._connection is None and not self._closed:
            self._call_soon = asyncio.get_running_loop().call_soon
            self._connecting = asyncio.create_task(self._connect())

    def ask(self, commands: Sequence[bytes], done: Done) -> None:
        """Read; `done` is told later, once, with a reply a command or with a fault.

        Raises: RedisUnavailable, at once while Redis is known to be away; Overloaded, at once when
                too much waits.
        """
        waiting = self._waiting + len(commands)
        if self._gated or waiting > WAITING_COMMANDS or not commands:
            self._ask_gated(commands, done)
            return
        self._waiting = waiting
        if not self._reads:
            self._later(self._flush)
        self._reads.append((commands, done))
        self._unsent += sum(map(len, commands))
        if self._unsent >= WRITE_BYTES:
            self._flush()

    def busy(self) -> bool:
        """Whether something is under way to a Redis that is near, so that `after` it is soon."""
        return self._bytes > 0 and self._shortest < NEAR_SECONDS

    def after(self, work: Callable[[], None]) -> None:
        """Do work, once however often it is said, when a batch that is under way has been answered or given up.

        What it asks leaves at once.
        """
        self._after[work] = None

    def leads_to(self, place: Place) -> bool:
        """Whether there is a connection that has been answered, and leads there."""
        return self.up and place == self._place

    def move(self, place: Place) -> None:
        """Go to another place if the connection leads elsewhere; what is under way is asked again there."""
        if self._connection is not None and place != self._place:
            self._connection.drop(f"{self._place.name} was replaced by {place.name}")

    def _ask_gated(self, commands: Sequence[bytes], done: Done) -> None:
        """Take, hold, refuse or fail what cannot just leave."""
        self.start()
        loop = asyncio.get_running_loop()
        if not commands:
            loop.call_soon(tell, done, [])
        elif isinstance(self._fault, RedisRefused):
            loop.call_soon(tell, done, self._fault)
        elif self._closed or self._fault is not None:
            raise RedisUnavailable(CLOSED if self._fault is None else str(self._fault.details["reason"]))
        else:
            self._hold(commands, done)

    def _hold(self, commands: Sequence[bytes], done: Done) -> None:
        size = sum(map(len, commands))
        waiting, size_of_all = self._waiting + len(commands), self._bytes + self._held + size
        if self._waiting and (waiting > WAITING_COMMANDS or size_of_all > WAITING_BYTES):
            raise Overloaded("the reader of features", self._waiting, RETRY_AFTER_SECONDS)
        if not self._gated and not self._reads:
            self._later(self._flush)
        self._waiting, self._held = waiting, self._held + size
        self._reads.append((commands, done))

    def _flush(self) -> None:
        """Send what was asked since the last time."""
        connection = self._connection
        if connection is None or connection.paused or not self._reads:
            return
        reads, self._reads, self._held, self._unsent = self._reads, [], 0, 0
        every = reads[0][0] if len(reads) == 1 else [one for commands, _ in reads for one in commands]
        payload = b"".join(every)
        self._bytes += len(payload)
        now = monotonic()
        connection.send(Batch(reads, len(every), len(payload), now), payload)
        if self._near and len(reads) == 1 and self._waiting == len(every):
            self._awake.keep(now + self._terms.busy_poll_seconds)
        if self._bytes > WAITING_BYTES:
            self._settle()

    def _settle(self) -> None:
        """Open the gate if nothing keeps reads from leaving, and let out what was held."""
        connection = self._connection
        self._gated = (
            connection is None
            or connection.paused
            or self._closed
            or self._fault is not None
            or self._bytes > WAITING_BYTES
        )
        if not self._gated:
            self._flush()

    # What a connection tells.

    def answered(self, batch: Batch, seconds: float) -> None:
        """A batch is whole."""
        if batch.commands:
            self._account(batch)
            alone = len(batch.reads) == 1 and self._terms.busy_poll_seconds > 0
            self._near = alone and seconds < NEAR_SECONDS
            self._shortest = min(self._shortest, seconds)
            self._terms.observe(batch.commands, seconds)

    def _account(self, batch: Batch) -> None:
        """Take a batch off what waits."""
        self._waiting -= batch.commands
        self._bytes -= batch.size
        if not self._waiting:
            self._awake.end()
        if self._gated:
            self._settle()
        if self._after:
            after, self._after = self._after, {}
            for work in after:
                Later(work).do()
            self._flush()
        if self._drained is not None and not self._waiting:
            self._drained.set()

    def judged(self, connection: Connection, replies: Sequence[Any]) -> InsituError | None:
        """Return the fault among replies; a Redis that answers nobody is left and tried anew."""
        if connection is not self._connection:
            return None  # a greeting: the place looks at it
        fault = self._terms.judge(replies)
        if fault is not None and away(fault):
            self._call_soon(connection.drop, str(fault.details["reason"]))
        return fault

    def writable(self) -> None:
        """Hold back what is asked, or let it out."""
        self._settle()

    def lost(self, connection: Connection, left: list[Batch], reason: str) -> None:
        """Keep what can be asked once more, fail the rest, and connect again."""
        if connection is not self._connection:
            for batch in left:
                fail(batch.reads, RedisUnavailable(reason))
            return
        self._connection = None
        self._gated = True
        self._connecting = None
        late = monotonic() - self._terms.timeout_seconds
        hopeless: list[Batch] = []
        for batch in left:
            lost = self._closed or batch.again or batch.at <= late
            (hopeless if lost else self._again).append(batch)
        self.start()
        for batch in hopeless:
            self._account(batch)
            fail(batch.reads, RedisUnavailable(reason))

    # Connecting.

    async def _connect(self) -> None:
        """Try until Redis answers; one that ended a young connection is given a moment."""
        if monotonic() - self._since < PROBE_SECONDS:
            await asyncio.sleep(PROBE_SECONDS)
        while (fault := await self._attempt()) is not None:
            self._away(fault)
            await asyncio.sleep(REFUSED_SECONDS if isinstance(fault, RedisRefused) else PROBE_SECONDS)

    async def _attempt(self) -> Fault | None:
        """Connect once; return what is wrong, None when reads can go on."""
        try:
            async with asyncio.timeout(self._terms.timeout_seconds):
                self._place = await self._find()
                connection = await self._place.reached(self._made)
                await self._greet(connection)
        except TimeoutError:
            return RedisUnavailable(f"no reply within {self._terms.timeout_seconds:g} s")
        except (RedisUnavailable, RedisRefused) as fault:
            return fault
        except Exception as error:  # noqa: BLE001  # whatever it is: trying must go on, or Redis never comes back
            return unreachable(self._place.name, error)
        if connection.ended:
            return RedisUnavailable(connection.ended)
        self._up(connection)
        return None

    def _made(self) -> Connection:
        return self._terms.connection(self, self._terms.timeout_seconds, self._terms.moment)

    async def _greet(self, connection: Connection) -> None:
        """Say who we are and hear whether we are answered.

        Raises: RedisUnavailable, RedisRefused.
        """
        try:
            self._place.check(await awaited(connection.greet, [encoded(one) for one in self._place.greeting]))
        except BaseException:
            connection.drop("not answered as hoped")
            raise

    def _up(self, connection: Connection) -> None:
        """Take a connection into use: first what was broken off, then what was held."""
        was, self._fault = self._fault, None
        self._connection, self._connecting, self._since = connection, None, monotonic()
        self._shortest = inf
        again, self._again = self._again, []
        for batch in again:
            batch.again = True
            connection.send(batch, batch.payload())
        self._settle()
        if was is not None:
            log.info("Redis at %s is back", self._place.name)
        self._terms.changed()

    def _away(self, fault: Fault) -> None:
        """Remember that Redis cannot be read, and tell whoever waits."""
        if self._fault is None and not self._terms.quiet:
            log.warning("Redis lost: %s", fault.details["reason"])
        self._fault = fault
        self._give_up(fault)
        self._terms.changed()

    def _give_up(self, fault: InsituError) -> None:
        """Fail what has not left."""
        again, self._again = self._again, []
        reads, self._reads, self._held = self._reads, [], 0
        self._waiting -= sum([len(commands) for commands, _ in reads])
        for batch in again:
            self._account(batch)
            fail(batch.reads, fault)
        fail(reads, fault)

    async def close(self) -> None:
        """Take no more, let what is under way end in its time, fail the rest."""
        self._flush()
        self._closed = self._gated = True
        if self._connecting is not None:
            await ended([self._connecting])
        self._give_up(RedisUnavailable(CLOSED))
        if self._waiting:
            self._drained = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), self._terms.timeout_seconds)
        if self._connection is not None:
            self._connection.drop(CLOSED)
        await asyncio.sleep(0)  # the transport closes its socket in the next round of the loop
