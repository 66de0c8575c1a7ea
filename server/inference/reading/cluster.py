"""A Redis Cluster: one link a primary, keys to nodes by slot, the map kept true.

What is asked before the map is known waits for it, as long as a node of the URL may still tell it. A
node that is away fails its own keys; its neighbours are asked for the map until it is back or
another owns its slots.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from redis.exceptions import ResponseError

from models.encoding import encoded
from models.errors import InsituError
from server.inference.ending import ended
from server.inference.errors import Overloaded
from server.inference.reading.errands import Errand
from server.inference.reading.faults import fault_of
from server.inference.reading.link import RETRY_AFTER_SECONDS, Fault, Link, Terms
from server.inference.reading.places import Place
from server.inference.reading.reads import Done, awaited, tell
from server.inference.reading.slots import SLOTS, Address, owners_in, target_of

log = logging.getLogger(__name__)

QUESTION = encoded(("CLUSTER", "SLOTS"))
WAITING_READS = 1 << 14  # for the map
LOOK_SECONDS = 0.2  # between two looks at the map
TRY_AGAIN_SECONDS = 0.05  # a slot under way from one node to another, or nodes that do not agree whose it is


class Cluster:
    """The nodes of one cluster."""

    def __init__(self, seeds: Sequence[Place], terms: Terms) -> None:
        """Take the nodes of the URL, one at least; any of them leads to the others."""
        self._seeds = seeds
        self._seed = seeds[0]
        self._terms = replace(terms, judge=fault_of, changed=self.doubt)
        self._links: dict[Address, Link] = {}
        first, *_ = [self._link((seed.host, seed.port)) for seed in seeds]
        self._owners = [first] * SLOTS
        self._doubt = asyncio.Event()
        self._told = asyncio.Event()  # the map, or that nobody tells it
        self._early: list[tuple[Sequence[bytes], Done]] = []  # what was asked before
        self._turn = 0
        self._learning: asyncio.Task[None] | None = None
        self._closed = False
        self._leaving: set[asyncio.Task[None]] = set()
        self._later: set[Callable[[], None]] = set()

    @property
    def fault(self) -> Fault | None:
        """Why no node can be read now; None when one can."""
        faults = [link.fault for link in self._links.values()]
        return None if not faults or None in faults else faults[0]

    @property
    def away(self) -> list[str]:
        """The nodes that are away, of those that own slots."""
        return [link.name for link in self._links.values() if link.fault is not None]

    def start(self) -> None:
        """Begin to connect and to learn the map."""
        if self._learning is None and not self._closed:
            self._learning = asyncio.create_task(self._learn())
            for link in self._links.values():
                link.start()

    def ask(self, commands: Sequence[bytes], done: Done) -> None:
        """Read; `done` is told later, once, with a reply a command or with a fault.

        A reply may be RedisUnavailable: the node of that key is away, others are not.

        Raises: RedisUnavailable, at once while every node asked is away; Overloaded, RedisRefused.
        """
        if self._learning is None:
            self.start()
        if not commands:
            asyncio.get_running_loop().call_soon(tell, done, [])
        elif self._told.is_set() or self._closed:
            Errand(self, commands, done).run()
        elif len(self._early) < WAITING_READS:
            self._early.append((commands, done))
        else:
            raise Overloaded("the reader of features", len(self._early), RETRY_AFTER_SECONDS)

    async def told(self) -> None:
        """Wait until the map is known, or no node of the URL tells it."""
        self.start()
        await self._told.wait()

    def _go_on(self) -> None:
        """Send what waits for the map."""
        self._told.set()
        early, self._early = self._early, []
        for commands, done in early:
            try:
                Errand(self, commands, done).run()
            except InsituError as error:
                tell(done, error)

    def busy(self) -> bool:
        """Whether one waits for what is under way: never, its nodes answer at different times."""
        return False

    def after(self, work: Callable[[], None]) -> None:
        """Do work at once: nothing is waited for."""
        work()

    # What an errand asks for.

    def owner(self, slot: int) -> Link:
        """Return the node that is asked for a slot."""
        return self._owners[slot]

    def place(self, slot: int) -> Place:
        """Return where the node listens that is asked for a slot, the first in the URL while it is not known."""
        link = self._owners[slot]
        known = (self._seed.at(*address) for address, one in self._links.items() if one is link)
        return next(known, self._seed)

    def redirected(self, text: str, link: Link) -> Link:
        """Return the node that MOVED or ASK names; MOVED holds from now on."""
        slot, address = target_of(text, link.host)
        found = self._link(address)
        found.start()
        if text.startswith("MOVED"):
            self._owners[slot] = found
            self.doubt()
        return found

    def later(self, again: Callable[[], None]) -> None:
        """Call in a moment, or when the cluster is closed."""
        self._later.add(again)
        asyncio.get_running_loop().call_later(TRY_AGAIN_SECONDS, self._due, again)

    def _due(self, again: Callable[[], None]) -> None:
        if again in self._later:
            self._later.discard(again)
            again()

    def doubt(self) -> None:
        """Look at the map again soon."""
        self._doubt.set()

    # The map.

    def _link(self, address: Address) -> Link:
        """Return the link to a node."""
        if address not in self._links:
            self._links[address] = Link(self._seed.at(*address).itself, self._terms)
        return self._links[address]

    async def _learn(self) -> None:
        """Ask for the map whenever it is in doubt, and as long as a node is away."""
        while True:
            await self._doubt.wait()
            self._doubt.clear()
            await self._look()
            await asyncio.sleep(LOOK_SECONDS)
            if any(link.fault is not None for link in self._links.values()):
                self.doubt()

    async def _look(self) -> None:
        """Ask one node that is up, another each time; when none is, try those in the URL again."""
        up = [link for link in self._links.values() if link.up]
        if not up:
            for seed in self._seeds:
                self._link((seed.host, seed.port)).start()
            if self.fault is not None:
                self._go_on()
            return
        self._turn += 1
        link = up[self._turn % len(up)]
        try:
            (reply,) = await awaited(link.ask, [QUESTION])
        except InsituError:
            self.doubt()
            return
        if isinstance(reply, ResponseError):
            log.warning("the map of the Redis Cluster cannot be read: %s", reply)
        else:
            self._take_over(owners_in(reply, link.host))
        self._go_on()

    def _take_over(self, owners: dict[Address, list[range]]) -> None:
        """Route by a new map; a slot that nobody owns is asked of any node, which will say so."""
        if not owners:
            return
        links = {address: self._link(address) for address in owners}
        self._owners = [next(iter(links.values()))] * SLOTS
        for address, slots in owners.items():
            links[address].start()
            for part in slots:
                self._owners[part.start : part.stop] = [links[address]] * len(part)
        for address in self._links.keys() - links.keys():
            self._leave(self._links.pop(address))

    def _leave(self, link: Link) -> None:
        """Close a link beside everything else: what is under way ends first."""
        task = asyncio.create_task(link.close())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def close(self) -> None:
        """Take no more, let what is under way end in its time, fail the rest."""
        self._closed = True
        self._go_on()
        if self._learning is not None:
            await ended([self._learning])
        while self._links or self._leaving:  # a reply that is followed meanwhile may make one more
            for address in tuple(self._links):
                self._leave(self._links.pop(address))
            await asyncio.gather(*self._leaving)
        for again in tuple(self._later):
            self._due(again)
