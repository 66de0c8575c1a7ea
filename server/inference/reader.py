"""Reader: features out of Redis; the commands of everybody waiting leave in one pipeline.

Commands that arrive while a pipeline is under way go out together in the next one. When Redis
does not answer, whoever asks is told at once; a probe finds out when it is back.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from models.decoding import Command
from models.errors import RedisUnavailable
from models.store import Client, redis_errors

log = logging.getLogger(__name__)

IN_FLIGHT = 4  # pipelines at a time: one is parsed while the next is under way
PIPELINE_COMMANDS = 8192
PROBE_SECONDS = 0.1


def unobserved(_count: int, _seconds: float) -> None:
    """Observe nothing."""


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
        self._tasks: set[asyncio.Task[None]] = set()
        self._probe: asyncio.Task[None] | None = None
        self._reason: str | None = None

    @property
    def reason(self) -> str | None:
        """Why Redis cannot be read now; None when it can."""
        return self._reason

    async def read(self, commands: Sequence[Command]) -> list[Any]:
        """Return one reply a command, in order; Redis' refusal of a command is its reply.

        Raises: RedisUnavailable, at once while Redis is known to be away.
        """
        if self._reason is not None:
            raise RedisUnavailable(self._reason)
        if not commands:
            return []
        read = Read(commands, asyncio.get_running_loop().create_future())
        self._waiting.append(read)
        if len(self._tasks) < IN_FLIGHT:
            self._start(self._send())
        return await read.done

    def _start(self, work: Any) -> None:  # a coroutine of _send
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self) -> None:
        """Send what waits, pipeline after pipeline, until nothing does."""
        while self._waiting:
            reads = self._take()
            commands = [command for read in reads for command in read.commands]
            try:
                replies = await self._pipeline(commands)
            except RedisUnavailable as error:
                self._lost(error)
                fail(reads, error)
                fail(self._waiting, error)
                self._waiting.clear()
                return
            except Exception as error:  # noqa: BLE001  # a fault of ours must fail its reads, not hang them
                fail(reads, error)
                continue
            hand_out(reads, replies)

    def _take(self) -> list[Read]:
        taken, count = [self._waiting.popleft()], 0
        count = len(taken[0].commands)
        while self._waiting and count + len(self._waiting[0].commands) <= PIPELINE_COMMANDS:
            taken.append(self._waiting.popleft())
            count += len(taken[-1].commands)
        return taken

    async def _pipeline(self, commands: Sequence[Command]) -> list[Any]:
        started = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._timeout), redis_errors():
                pipeline = self._redis.pipeline(transaction=False)
                for command in commands:
                    pipeline.execute_command(*command)
                replies: list[Any] = await pipeline.execute(raise_on_error=False)
        except TimeoutError as error:
            raise RedisUnavailable(f"no reply within {self._timeout:g} s") from error
        self._observe(len(commands), asyncio.get_running_loop().time() - started)
        return replies

    def _lost(self, error: RedisUnavailable) -> None:
        """Remember that Redis is away, and start asking whether it is back."""
        if self._reason is None:
            log.warning("Redis lost: %s", error.details["reason"])
        self._reason = str(error.details["reason"])
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._ask_until_back())

    async def _ask_until_back(self) -> None:
        while self._reason is not None:
            await asyncio.sleep(PROBE_SECONDS)
            try:
                async with asyncio.timeout(self._timeout), redis_errors():
                    await self._redis.ping()
            except (RedisUnavailable, TimeoutError):
                continue
            log.info("Redis is back")
            self._reason = None

    async def close(self) -> None:
        """Stop asking; reads under way end with their pipeline."""
        if self._probe is not None:
            self._probe.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def fail(reads: Sequence[Read] | deque[Read], error: Exception) -> None:
    """Give reads an error."""
    for read in reads:
        if not read.done.done():
            read.done.set_exception(error)


def hand_out(reads: Sequence[Read], replies: Sequence[Any]) -> None:
    """Give each read its part of the replies."""
    at = 0
    for read in reads:
        end = at + len(read.commands)
        if not read.done.done():
            read.done.set_result(list(replies[at:end]))
        at = end
