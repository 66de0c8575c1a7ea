"""Reader: features out of Redis; the commands of everybody waiting leave in one pipeline.

Commands that arrive while a pipeline is under way go out together in the next one. When Redis
does not answer, whoever asks is told at once; a probe finds out when it is back. One pipeline that
takes too long is no proof: the probe asks first.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from models.decoding import Command
from models.errors import RedisRefused, RedisUnavailable
from models.redis_failures import connected
from models.store import Client
from server.inference.ending import ended
from server.inference.errors import Overloaded

log = logging.getLogger(__name__)

IN_FLIGHT = 4  # pipelines at a time: one is parsed while the next is under way
PIPELINE_COMMANDS = 1024  # some 20 ms of this process' own time
WAITING_COMMANDS = 1 << 20
RETRY_AFTER_SECONDS = 0.5
PROBE_SECONDS = 0.1
# What a Redis says that cannot answer anybody now, and one that does not let us read: no row is at fault.
AWAY = ("BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "LOADING")
FORBIDDEN = ("NOPERM", "NOAUTH")


def unobserved(_count: int, _seconds: float) -> None:
    """Observe nothing."""


class TooSlow(Exception):
    """One pipeline was not answered in time; Redis may still be well."""


@dataclass(slots=True)
class Read:
    """One request's commands."""

    commands: Sequence[Command]
    done: "asyncio.Future[list[Any]]"


class Reader:
    """Feature reads of one process, on one Redis or Redis Cluster."""

    def __init__(
        self,
        redis: Client,
        timeout_seconds: float,
        observe: Callable[[int, float], None] = unobserved,
    ) -> None:
        self._redis: Any = redis
        self._timeout = timeout_seconds
        self._observe = observe
        self._waiting: deque[Read] = deque()
        self._waiting_commands = 0
        self._senders = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._probe: asyncio.Task[None] | None = None
        self._reason: str | None = None

    @property
    def reason(self) -> str | None:
        """Why Redis cannot be read now; None when it can."""
        return self._reason

    async def read(self, commands: Sequence[Command]) -> list[Any]:
        """Return one reply a command, in order; Redis' refusal of a command is its reply.

        Raises: RedisUnavailable, at once while Redis is known to be away; Overloaded, at once when
                too much waits; RedisRefused, when it lets nobody read.
        """
        if not commands:
            return []
        if self._reason is not None:
            raise RedisUnavailable(self._reason)
        if self._waiting and self._waiting_commands + len(commands) > WAITING_COMMANDS:
            raise Overloaded("the reader of features", self._waiting_commands, RETRY_AFTER_SECONDS)
        read = Read(commands, asyncio.get_running_loop().create_future())
        self._waiting.append(read)
        self._waiting_commands += len(commands)
        if self._senders < IN_FLIGHT:
            self._senders += 1
            task = asyncio.create_task(self._send())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await read.done

    async def _send(self) -> None:
        """Send what waits, pipeline after pipeline, until nothing does.

        The count of senders falls in the same step that finds nothing waiting: a read that comes
        between this and the end of the task starts a sender of its own.
        """
        try:
            while self._waiting:
                await self._send_once(self._take())
        finally:
            self._senders -= 1

    async def _send_once(self, reads: Sequence[Read]) -> None:
        try:
            replies = await self._replies([command for read in reads for command in read.commands])
        except TooSlow as error:
            fail(reads, RedisUnavailable(str(error)))
            self._probe_now()
        except RedisUnavailable as error:
            fail(reads, error)
            self._lost(error)
        except Exception as error:  # noqa: BLE001  # a fault of ours must fail its reads, not hang them
            fail(reads, error)
        else:
            self._hand_out(reads, replies)

    def _take(self) -> list[Read]:
        """Take what fits one pipeline, at least one read; those whose caller has left are dropped."""
        taken: list[Read] = []
        count = 0
        while self._waiting and (not taken or count + len(self._waiting[0].commands) <= PIPELINE_COMMANDS):
            read = self._waiting.popleft()
            self._waiting_commands -= len(read.commands)
            if not read.done.done():
                taken.append(read)
                count += len(read.commands)
        return taken

    async def _replies(self, commands: Sequence[Command]) -> list[Any]:
        """Return the replies; a request of more than one pipeline's commands is sent in parts."""
        replies: list[Any] = []
        for at in range(0, len(commands), PIPELINE_COMMANDS):
            replies += await self._pipeline(commands[at : at + PIPELINE_COMMANDS])
        return replies

    async def _pipeline(self, commands: Sequence[Command]) -> list[Any]:
        started = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._timeout), connected(self._redis):
                pipeline = self._redis.pipeline(transaction=False)
                for command in commands:
                    pipeline.execute_command(*command)
                replies: list[Any] = await pipeline.execute(raise_on_error=False)
        except TimeoutError as error:
            raise TooSlow(f"no reply within {self._timeout:g} s") from error
        self._observe(len(commands), asyncio.get_running_loop().time() - started)
        return replies

    def _hand_out(self, reads: Sequence[Read], replies: Sequence[Any]) -> None:
        """Give each read its part of the replies, or the fault that is no row's."""
        at = 0
        for read in reads:
            part = list(replies[at : at + len(read.commands)])
            at += len(part)
            fault = fault_of_redis(part)
            if isinstance(fault, RedisUnavailable):
                self._lost(fault)
            if fault is not None:
                fail([read], fault)
            elif not read.done.done():
                read.done.set_result(part)

    def _lost(self, error: RedisUnavailable) -> None:
        """Remember that Redis is away, tell whoever waits, and ask whether it is back."""
        reason = str(error.details["reason"])
        if self._reason is None:
            log.warning("Redis lost: %s", reason)
        self._reason = reason
        fail(self._waiting, error)
        self._probe_now()

    def _probe_now(self) -> None:
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._ask_until_back())

    async def _ask_until_back(self) -> None:
        while (fault := await self._ping()) is not None:
            self._lost(fault)
            await asyncio.sleep(PROBE_SECONDS)
        if self._reason is not None:
            log.info("Redis is back")
        self._reason = None

    async def _ping(self) -> RedisUnavailable | None:
        """Return why Redis does not answer, None when it does."""
        try:
            async with asyncio.timeout(self._timeout), connected(self._redis):
                await self._redis.ping()
        except TimeoutError:
            return RedisUnavailable(f"no reply within {self._timeout:g} s")
        except RedisUnavailable as error:
            return error
        except Exception as error:  # noqa: BLE001  # whatever it is: asking must go on, or it never comes back
            return RedisUnavailable(str(error))
        return None

    async def close(self) -> None:
        """Stop asking; reads under way end with their pipeline."""
        if self._probe is not None:
            await ended([self._probe])
        await asyncio.gather(*self._tasks, return_exceptions=True)


def fail(reads: Iterable[Read], error: Exception) -> None:
    """Give reads an error."""
    for read in reads:
        if not read.done.done():
            read.done.set_exception(error)


def fault_of_redis(replies: Sequence[Any]) -> RedisUnavailable | RedisRefused | None:
    """Return the first refusal among replies that is no row's fault."""
    for reply in replies:
        if isinstance(reply, ResponseError):
            text = f"{getattr(reply, 'status_code', None) or ''} {reply}".strip()
            if text.startswith(AWAY):
                return RedisUnavailable(text)
            if text.startswith(FORBIDDEN):
                return RedisRefused(text)
    return None
