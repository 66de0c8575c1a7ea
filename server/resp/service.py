"""What the connections of one door share."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from server.access import Access
from server.inference.engine import Engine
from server.inference.reading.places import Place
from server.resp.commands.command import Command
from server.resp.configuration import Configuration
from server.resp.joined import Joined
from server.resp.joined_dags import JoinedDags
from server.resp.room import Room
from server.resp.scripts import Scripts

CONNECTING = 128  # connections to Redis made at once: of a crowd, each has its time when its turn comes


class Leaving(Protocol):
    """A connection, as the door ends it."""

    def leave(self) -> None:
        """End as soon as what was asked has been answered."""

    def drop(self) -> None:
        """End now."""

    def moved(self, place: str) -> None:
        """End where the connection to Redis leads to another place."""


@dataclass(eq=False, slots=True)
class Service:
    """The core, the commands by name, and where Redis is.

    `place` finds Redis, with the credentials and the database of the server's own URL; `home` is
    that database.

    Units: connect_seconds, until Redis counts as away; own_bytes, one of our commands may have.
    """

    engine: Engine
    commands: Mapping[bytes, Command]
    access: Access
    place: Callable[[], Awaitable[Place]]
    home: int
    connect_seconds: float
    own_bytes: int
    room: Room
    replies: Room
    joined: Joined
    dags: JoinedDags
    connecting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONNECTING))
    configuration: Configuration = field(default_factory=Configuration)
    scripts: Scripts = field(default_factory=Scripts)
    open: set[Leaving] = field(default_factory=set)
    left_over: set[asyncio.Task[None]] = field(default_factory=set)
    """What is put in order behind clients that have left."""

    def moved(self, master: Place) -> None:
        """Redis is there now: who is connected to where it was is let go, as it may never say anything again."""
        for one in [*self.open]:
            one.moved(master.name)

    def give_up(self, tasks: Iterable["asyncio.Task[None]"]) -> None:
        """Cancel what was done for a client that has left; the door waits for what they put in order then."""
        for task in tasks:
            task.cancel()
            self.left_over.add(task)
            task.add_done_callback(self.left_over.discard)
