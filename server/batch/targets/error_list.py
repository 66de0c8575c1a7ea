"""ErrorList: where rows that cannot be scored are listed: a file of JSON lines, or a stream of Redis."""

import asyncio
import fcntl
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import orjson

from models.assembly import Plan
from models.encoding import bulk
from models.errors import BadRequest, InsituError
from models.jobs import IN_REDIS
from models.privacy import OPEN, Privacy
from server.batch.targets.appending import Appending
from server.batch.targets.parts_folder import named, writing
from server.batch.targets.target import JobRun, PartName
from server.inference.reading.reads import Ask


class ErrorList(Protocol):
    """One list; a job that goes on appends to it."""

    async def write(self, name: PartName, errors: Sequence[tuple[str, InsituError]]) -> None:
        """Append rows of a part with their keys; those that are listed already, of a part that is done again, are not.

        Raises: RedisUnavailable, RedisRefused; BadRequest, the place takes none.
        """


def open_error_list(place: str, ask: Ask, plan: Plan, job: JobRun, privacy: Privacy = OPEN) -> ErrorList:
    """Return the list that a job names: a path, or `redis:KEY`; no private name is written there.

    Raises: BadRequest, it cannot be written, or the model reads it as features.
    """
    if not place.startswith(IN_REDIS):
        return ErrorFile(Path(place).absolute(), privacy)
    if place == IN_REDIS:
        raise BadRequest("errors go to 'redis:' and no key; name a stream, as in 'redis:churn:errors'")
    return ErrorStream(Appending(ask, place.removeprefix(IN_REDIS), plan.templates, job), privacy)


class ErrorFile:
    """A line of JSON a row: key, code, message and time."""

    def __init__(self, path: Path, privacy: Privacy) -> None:
        """Open a file.

        Raises: BadRequest, it cannot be written, or is no file.
        """
        self._path, self._privacy = path, privacy
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise BadRequest(
                f"{named(path)} is a device or a pipe, which a job cannot go on with; name a file, or a stream as "
                "in 'redis:churn:errors'"
            )
        with writing(path), path.open("ab+") as file:
            # Whoever was killed may have left half a line: it stays one line, and harms no other.
            file.seek(max(0, file.tell() - 1))
            torn = file.read() not in (b"", b"\n")
            if torn:
                file.write(b"\n")

    async def write(self, name: PartName, errors: Sequence[tuple[str, InsituError]]) -> None:
        """Append the rows of a part in one write, so that several processes may."""
        at, part = round(time.time(), 3), str(name)
        lines = [
            (key, orjson.dumps({**said(key, error, self._privacy), "time": at, "part": part}) + b"\n")
            for key, error in errors
        ]
        if lines:
            await asyncio.to_thread(self._append, lines, part if name.again else None)

    def _append(self, lines: Sequence[tuple[str, bytes]], again: str | None) -> None:
        """Append lines of a part; where it is written `again`, those that are not there, while nobody else writes."""
        with writing(self._path, begun=True), self._path.open("ab", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            listed = Counter() if again is None else self._listed(again)
            left = []
            for key, line in lines:
                if listed[key]:
                    listed[key] -= 1
                else:
                    left.append(line)
            rest = memoryview(b"".join(left))
            while rest:  # a disk that is nearly full takes a piece
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())

    def _listed(self, part: str) -> Counter[str]:
        """Return how often rows of a part are listed already."""
        ending = orjson.dumps({"part": part})[1:] + b"\n"
        with self._path.open("rb") as file:
            return Counter(orjson.loads(line)["key"] for line in file if line.endswith(ending))


class ErrorStream:
    """An entry a row: key, code, message, time, and the part it was found in."""

    WORDS = 10  # of an entry

    def __init__(self, stream: Appending, privacy: Privacy) -> None:
        self._stream, self._privacy = stream, privacy

    async def write(self, name: PartName, errors: Sequence[tuple[str, InsituError]]) -> None:
        """Append the rows of a part."""
        more = {"time": str(round(time.time(), 3)), "part": str(name)}
        entries = [
            b"".join(
                bulk(word) for pair in {**said(key, error, self._privacy), **more}.items() for word in pair
            )
            for key, error in errors
        ]
        keys = [key for key, _ in errors]
        await self._stream.append(replace(name, entry=f"{name.entry}:errors"), keys, entries, self.WORDS)


def said(key: str, error: InsituError, privacy: Privacy) -> dict[str, str]:
    """Return what is listed of one row."""
    return {"key": key, "code": error.code, "message": privacy.text(str(error))}
