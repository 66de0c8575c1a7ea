"""The door of the Redis protocol: opened on a port once the engine has started, closed with time for its clients."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

from server.access import Access
from server.inference.engine import Engine
from server.resp.answering import REPLIES_BYTES
from server.resp.commands.command import Command
from server.resp.commands.table import COMMANDS
from server.resp.configuration import Configuration
from server.resp.connection import Connection
from server.resp.joined import Joined
from server.resp.joined_dags import JoinedDags
from server.resp.reaching import Redis
from server.resp.room import Room
from server.resp.service import Service
from server.resp.slots import Slot
from server.resp.specials.table import specials
from server.workers.opening import BACKLOG, Listening

END_SECONDS = 0.02  # between looks whether the last connection has ended
ORDER_SECONDS = 1.0  # to put in order what was under way for clients that are ended
BESIDE_MODEL_BYTES = 1 << 20  # that storing a model takes beside its file
LONGEST_AT_ONCE = 2  # commands, and replies of a client, as long as they may be, of all clients


class Door:
    """An open door."""

    def __init__(self, listening: Listening, server: asyncio.Server, service: Service) -> None:
        self.address = listening.address
        self._grace = listening.shutdown_seconds
        self._server, self._service = server, service
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        engine: Engine,
        access: Access,
        listening: Listening,
        redis: Redis,
        commands: Mapping[bytes, Command] = COMMANDS,
    ) -> Self:
        """Answer commands from now on; `commands` are those that are not for Redis.

        Raises: OSError, a certificate that cannot be read, or a port that cannot be listened on.
        """
        most = engine.limits.model_bytes + BESIDE_MODEL_BYTES
        service = Service(
            engine, commands, access, redis.place, redis.home, redis.timeout_seconds, most,
            Room(LONGEST_AT_ONCE * most), Room(LONGEST_AT_ONCE * REPLIES_BYTES),
            Joined(engine), JoinedDags(engine, each), configuration=Configuration(engine.shared),
        )  # fmt: skip
        engine.follow_master(service.moved)
        known = specials(commands)
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(service, known), sock=listening.listener(),
            backlog=BACKLOG, ssl=listening.credentials(),
        )  # fmt: skip
        return cls(listening, server, service)

    def end(self) -> None:
        """Take no more clients, and let what is under way end within its time."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._ended())

    async def _ended(self) -> None:
        self._server.close()
        for one in [*self._service.open]:
            one.leave()
        if not await self._empty(self._grace):
            for one in [*self._service.open]:
                one.drop()
            await self._empty(ORDER_SECONDS)
            self._service.give_up([*self._service.left_over])

    async def _empty(self, seconds: float) -> bool:
        """Wait so long for the last connection to end, with what is put in order behind it; whether that came."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._service.open or self._service.left_over:  # noqa: ASYNC110  # one by one, and nobody tells
                    await asyncio.sleep(END_SECONDS)
                return True
        return False

    async def close(self) -> None:
        """End, and wait until that is done."""
        self.end()
        if self._closing is not None:
            await self._closing


def each(slot: Slot) -> None:
    """Answer the commands of a slot by themselves, unless their client has left."""
    client: Connection = slot.client
    if not client.transport.is_closing():
        client.spawn(client.each(slot))
