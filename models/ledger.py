"""Ledger: scoring jobs as they lie in Redis; the only code that touches their keys.

    begin -> walk: lead, add ... walked        one process finds rows and adds them in parts
             score: take, settle ...           any number of processes, this one among them

Parts are entries of a stream with a consumer group. A part that was taken and not settled, because
its process died, is taken by another one. Every change is one script, so a process may be killed
between any two of its instructions: what was not settled comes again, what was is counted once.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Any

from redis.exceptions import ResponseError

from models.entries import read_entries
from models.errors import BadRequest, RedisRefused
from models.job_errors import JobNotFound, JobUnderWay, JobUnreadable
from models.job_scripts import ADD, BEGIN, END, LEAD, LEAVE, SETTLE, WALKED
from models.jobs import JobSpec
from models.keys import Keys
from models.redis_failures import connected, mistyped, reading
from models.tallies import Tally

GROUP = "scorers"
SILENT_SECONDS = 5.0  # a process that says nothing for so long is dead: others take over what it had
KEPT_SECONDS = 7 * 86_400  # a job that has ended
GONE = ("NOGROUP", "UNBLOCKED", "no such key")  # how Redis says that a stream is not there, or no more
RUNNING, DONE, FAILED, CANCELLED = "running", "done", "failed", "cancelled"


@dataclass(frozen=True, slots=True)
class Taken:
    """A part that this process is to score: `entry` is its place in the stream.

    `again` says that a process had it which died before it said what became of it.
    """

    entry: str
    rows: bytes
    walk: int
    again: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """How a job stands.

    `share` of the rows was found, `waiting` parts of them are not settled; `passed_over` keys were
    found that the model does not read, `found` rows that it does. `host` is who may work on it: any
    server, or whoever began it; `attended` says that some process works on it.

    Units: begun and ended, Unix seconds; ended 0 while it goes on.
    """

    name: str
    spec: JobSpec
    state: str
    share: float
    waiting: int
    passed_over: int
    tally: Tally
    begun: float
    ended: float = 0.0
    attended: bool = False
    reason: str = ""
    host: str = ""
    position: str = ""
    walk: int = 0
    walked: bool = False
    found: int = 0

    @property
    def done_share(self) -> float:
        """The share of the rows that is done: of those found so far, times the share that was found; 0 to 1."""
        if self.state == DONE or not self.found:
            return self.share
        return self.share * min(1.0, self.tally.rows / self.found)

    @property
    def alive(self) -> bool:
        """Whether some process works on it now."""
        return self.state == RUNNING and self.attended

    @property
    def seconds(self) -> float:
        """How long it has gone on; 0 where the clock of whoever asks is behind that of whoever began it."""
        return max(0.0, (self.ended or time.time()) - self.begun)


class Ledger:
    """One scoring job, as one process sees it."""

    def __init__(self, redis: Any, keys: Keys, name: str, process: str) -> None:
        """Take a client, the job's name, and a name that no other process has.

        Raises: BadName.
        """
        self.name, self.process = name, process
        self._redis, self._keys = redis, keys
        self._job, self._parts = keys.job(name), keys.job_parts(name)
        self._tallies, self._walker = keys.job_tallies(name), keys.job_walker(name)
        self._working = keys.job_working(name)  # expires: clocks of machines differ, and are set
        self._kinds = {
            self._job: "hash",
            self._parts: "stream",
            self._tallies: "hash",
            self._walker: "string",
        }

    async def begin(self, spec: JobSpec, anew: bool = True, host: str = "") -> bool:
        """Make the job, and return whether it was made; not `anew`, one that is there goes on.

        Raises: JobUnderWay, some process works on it and it was to begin anew; RedisUnavailable, RedisRefused.
        """
        now = time.time()
        async with connected(self._redis):  # first: a job that is not listed would be nobody's
            await self._redis.zadd(self._keys.jobs(), {self.name: now}, nx=True)
        facts = (
            spec.model_dump_json(),
            now,
            GROUP,
            silent_ms(),
            "anew" if anew else "",
            host,
            int(now * 1000),
        )
        keys = (self._job, self._parts, self._tallies, self._walker, self._working)
        made = await self._run(BEGIN, keys, facts)
        if made < 0:
            raise JobUnderWay(self.name)
        if made:
            async with connected(self._redis):
                await self._redis.zadd(self._keys.jobs(), {self.name: now})
        return made == 1

    # Finding rows.

    async def lead(self) -> bool:
        """Try to be the process that finds the rows, or stay it; false where another is, or all are found.

        Raises: RedisUnavailable, RedisRefused.
        """
        return await self._run(LEAD, (self._job, self._walker), (self.process, silent_ms())) == 1

    async def leave(self) -> None:
        """Let another process find the rows.

        Raises: RedisUnavailable, RedisRefused.
        """
        await self._run(LEAVE, (self._walker,), (self.process,))

    async def add(  # noqa: PLR0913  # all that one step of a walk is
        self,
        parts: Sequence[bytes],
        position: str,
        share: float,
        *,
        anew: bool = False,
        passed_over: int = 0,
        rows: int = 0,
    ) -> int:
        """Add rows that were found, with the position after them, and go on leading; return how many parts wait.

        It is negative when this process is to find no more: another does, or the job has ended. Where the
        walk begins `anew` all counts do. `rows` is how many there are in the parts.

        Raises: RedisUnavailable, RedisRefused.
        """
        keys = (self._job, self._parts, self._walker, self._tallies)
        of_walk = (self.process, position, share, "anew" if anew else "", passed_over, rows)
        facts = (*of_walk, silent_ms(), token_hex(8))
        return await self._run(ADD, keys, (*facts, *parts))

    async def walked(self) -> int:
        """Say that every row was found; 2 when all of them are settled too, negative as in `add`.

        Raises: RedisUnavailable, RedisRefused.
        """
        keys = (self._job, self._parts, self._tallies, self._walker)
        return await self._run(WALKED, keys, (self.process, time.time(), KEPT_SECONDS))

    async def waiting(self) -> int:
        """Return how many parts are not settled.

        Raises: RedisUnavailable, RedisRefused.
        """
        async with reading(self._redis, self._kinds):
            return int(await self._redis.xlen(self._parts))

    # Scoring them.

    async def take(self, count: int, wait_ms: int) -> list[Taken]:
        """Take parts that nobody has, or whose process is dead; wait for some, none when none come.

        Raises: JobNotFound, the job has ended or is gone; RedisUnavailable, RedisRefused.
        """
        try:
            async with connected(self._redis):
                found = await self._redis.xreadgroup(
                    GROUP, self.process, {self._parts: ">"}, count=count, block=wait_ms
                )
                entries = read_entries(found)
                again = not entries
                if again:
                    claimed = await self._redis.xautoclaim(
                        self._parts, GROUP, self.process, silent_ms(), "0-0", count=count
                    )
                    entries = [entry for entry in claimed[1] if entry[1]]
        except Exception as error:
            if lost(error):
                raise JobNotFound(self.name) from error
            raise
        return [
            Taken(entry.decode(), fields[b"rows"], int(fields[b"walk"]), again) for entry, fields in entries
        ]

    async def settle(self, part: Taken, tally: bytes, before: bytes = b"") -> int:
        """Say that a part is scored and written, and what this process has done in its walk until now, it included.

        Tallies are JSON, `before` what it had done without it, empty where this is its first. Return 0 when
        another process settled it meanwhile, or its walk has begun anew, so that it must not be counted here;
        2 when the job is done with it, 3 when it is done and the part not to be counted; -1 when not `before`
        is kept but what `own` gives.

        Raises: RedisUnavailable, RedisRefused.
        """
        facts = (GROUP, part.entry, self.process, tally, time.time(), KEPT_SECONDS, part.walk, before)
        return await self._run(SETTLE, (self._job, self._parts, self._tallies), facts)

    async def own(self) -> bytes:
        """Return what this process has done in the newest walk, as Redis has it; empty where that is nothing.

        Raises: RedisUnavailable, RedisRefused.
        """
        async with connected(self._redis):
            return await self._redis.hget(self._tallies, self.process) or b""

    async def beat(self, entries: Sequence[str]) -> None:
        """Say that this process lives and still has these parts.

        Raises: RedisUnavailable, RedisRefused.
        """
        async with connected(self._redis):
            if await self._redis.hget(self._job, "state") == RUNNING.encode():
                await self._redis.set(self._working, 1, px=silent_ms())
            if entries:
                await self._claim(entries)

    async def _claim(self, entries: Sequence[str]) -> None:
        """Keep parts from being taken over."""
        try:
            await self._redis.xclaim(self._parts, GROUP, self.process, 0, list(entries), justid=True)
        except ResponseError as error:
            if not lost(error):
                raise

    # Looking at it, and ending it.

    async def look(self) -> Standing:
        """Return how the job stands.

        Raises: JobNotFound, JobUnreadable; RedisUnavailable, RedisRefused.
        """
        try:
            async with reading(self._redis, self._kinds):
                pipeline = self._redis.pipeline(transaction=False)
                pipeline.hgetall(self._job)
                pipeline.xlen(self._parts)
                pipeline.hvals(self._tallies)
                pipeline.exists(self._working)
                job, waiting, tallies, attended = await pipeline.execute()
        except RedisRefused as error:
            if mistyped(error):
                raise JobUnreadable(self.name, error) from error
            raise
        if b"spec" not in job:
            raise JobNotFound(self.name)
        tally = Tally()
        for one in tallies:
            tally.merge(Tally.from_json(one))
        return replace(standing(self.name, job, int(waiting), tally), attended=bool(attended))

    async def end(self, state: str, reason: str = "", *, done: bool = False) -> bool:
        """End the job unfinished, with `done` also one whose rows are all done; false when it had ended before.

        Raises: JobNotFound; RedisUnavailable, RedisRefused.
        """
        keys = (self._job, self._parts, self._tallies, self._walker)
        ended = await self._run(END, keys, (state, reason, time.time(), KEPT_SECONDS, DONE if done else ""))
        if ended < 0:
            raise JobNotFound(self.name)
        return ended == 1

    async def _run(self, script: str, keys: Sequence[str], facts: Sequence[Any]) -> int:
        async with reading(self._redis, self._kinds):
            return int(await self._redis.eval(script, len(keys), *keys, *facts))


def standing(name: str, job: dict[bytes, bytes], waiting: int, tally: Tally) -> Standing:
    """Return how a job stands, from its hash.

    Raises: JobUnreadable.
    """
    text = {field.decode(): value.decode() for field, value in job.items()}
    try:
        spec = JobSpec.parse(text["spec"])
    except BadRequest as error:
        raise JobUnreadable(name, error) from error
    return Standing(
        name=name,
        spec=spec,
        state=text["state"],
        share=float(text["share"]),
        waiting=waiting,
        passed_over=int(text["passed_over"]),
        tally=tally,
        begun=float(text["begun"]),
        ended=float(text.get("ended", 0)),
        reason=text.get("reason", ""),
        host=text.get("host", ""),
        position=text["position"],
        walk=int(text["walk"]),
        walked=text["walked"] == "1",
        found=int(text.get("found", 0)),
    )


def silent_ms() -> int:
    """Return the milliseconds after which a process that says nothing is dead."""
    return int(SILENT_SECONDS * 1000)


def lost(error: BaseException) -> bool:
    """Whether Redis says that a job's stream or group is not there."""
    cause = error if isinstance(error, ResponseError) else error.__cause__
    return any(word in str(cause) for word in GONE)
