"""A data set put into Redis as an application would have it, without touching anything else.

The names are plain ones (`patient:17`) and the Redis may be somebody's own. So everything is looked
at before anything is written: what is there as it should be stays, and a key that holds something
else stops the work, unless told to overwrite.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from redis.exceptions import ResponseError

from models.errors import SourceUnsupported
from models.redis_failures import redis_errors
from models.sources import json_path
from models.store import Client
from trainer.datasets.dataset import Dataset, Entries, JsonDocument, Stored
from trainer.errors import DatasetConflict

WRONG_TYPE = ("WRONGTYPE", "wrong Redis type")  # Redis's own words, and those of its JSON module
KEYS_A_TRIP = 256  # bounds what is in flight to a few hundred kilobytes

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many rows of a data set lie in Redis now, and how many keys had to be written for it."""

    rows: int
    written: int


def unheard(_done: int, _total: int) -> None:
    """Tell nobody how far it is."""


async def load_into(
    redis: Client, dataset: Dataset, progress: Progress = unheard, *, overwrite: bool = False
) -> Loaded:
    """Put a data set into Redis; doing it again changes nothing.

    `progress` is told how many keys are looked at or written, and how many that will be in all.

    Raises: DatasetConflict, a key holds something else, and nothing was written; SourceUnsupported, a
        document belongs there and this Redis has none; RedisUnavailable.
    """
    there: list[bytes] = []  # one byte a key: a row is made again rather than kept
    seen = 0
    async with redis_errors():
        for part in trips(dataset):
            found = await look(redis, part)
            for stored, same in zip(part, found, strict=True):
                if same is False and not overwrite:
                    raise DatasetConflict(dataset.name, stored.key)
            there.append(bytes(bool(same) for same in found))
            seen += len(part)
            progress(seen, 2 * seen)
        written, done = 0, seen
        for part, same_ones in zip(trips(dataset), there, strict=True):
            absent = [stored for stored, same in zip(part, same_ones, strict=True) if not same]
            if absent:
                await write(redis, absent)
            written, done = written + len(absent), done + len(part)
            progress(done, 2 * seen)
    return Loaded(dataset.count, written)


def trips(dataset: Dataset) -> Iterator[Sequence[Stored]]:
    """Give the keys in parts that go over the wire together."""
    every = (stored for row in dataset.rows() for stored in row)
    while part := list(islice(every, KEYS_A_TRIP)):
        yield part


async def look(redis: Client, part: Sequence[Stored]) -> list[bool | None]:
    """Return for each key whether it holds what it should; None when there is no such key.

    Raises: SourceUnsupported, a document belongs there and this Redis has none.
    """
    pipeline: Any = redis.pipeline(transaction=False)
    for stored in part:
        pipeline.exists(stored.key)
        pipeline.execute_command(*reading(stored))
    replies = await pipeline.execute(raise_on_error=False)
    for stored, found in zip(part, replies[1::2], strict=True):
        if isinstance(stored.value, JsonDocument) and "unknown command" in str(found):
            raise SourceUnsupported("JSON.SET")
    return [
        holds(stored, found) if exists else None
        for stored, exists, found in zip(part, replies[::2], replies[1::2], strict=True)
    ]


def reading(stored: Stored) -> tuple[str | int, ...]:
    """Return the command that reads a key, never more of it than is compared and one beyond."""
    if isinstance(stored.value, bytes):
        return ("GETRANGE", stored.key, 0, len(stored.value))
    if isinstance(stored.value, tuple):
        return ("LRANGE", stored.key, 0, len(stored.value))
    if isinstance(stored.value, JsonDocument):
        return ("JSON.GET", stored.key, *map(json_path, stored.value.members))
    if isinstance(stored.value, Entries):
        return ("XRANGE", stored.key, "-", "+", "COUNT", len(stored.value.steps) + 1)
    return ("HMGET", stored.key, *stored.value)


def holds(stored: Stored, found: Any) -> bool:
    """Whether a key holds what it should; a hash may have other fields beside, a document other members.

    Entries of a stream are told by their fields: an id says when they were added.

    Raises: ResponseError, Redis refused for another reason than the type of the key.
    """
    if isinstance(found, ResponseError) and any(words in str(found) for words in WRONG_TYPE):
        return False
    if isinstance(found, Exception):
        raise found
    if isinstance(stored.value, bytes):
        return bool(found == stored.value)
    if isinstance(stored.value, JsonDocument):
        return members_of(stored.value, found) == stored.value.members
    if isinstance(stored.value, Entries):
        wanted_steps = [
            {name.encode(): text.encode() for name, text in one.items()} for one in stored.value.steps
        ]
        return [fields for _, fields in found] == wanted_steps
    wanted = stored.value if isinstance(stored.value, tuple) else [v.encode() for v in stored.value.values()]
    return list(found) == list(wanted)


def members_of(document: JsonDocument, reply: Any) -> Mapping[str, Any]:
    """Return what a key has in place of a document's members; a member that is not there is left out.

    One path is answered by its matches, several by an object path -> matches.
    """
    found = json.loads(reply)
    names = list(document.members)
    matches = {json_path(names[0]): found} if isinstance(found, list) else found
    paths = {name: json_path(name) for name in names}
    return {name: matches[path][0] for name, path in paths.items() if matches.get(path)}


async def write(redis: Client, part: Sequence[Stored]) -> None:
    """Write keys anew, each whole."""
    pipeline: Any = redis.pipeline(transaction=False)
    for stored in part:
        pipeline.delete(stored.key)
        if isinstance(stored.value, bytes):
            pipeline.set(stored.key, stored.value)
        elif isinstance(stored.value, tuple):
            pipeline.rpush(stored.key, *stored.value)
        elif isinstance(stored.value, JsonDocument):
            pipeline.execute_command("JSON.SET", stored.key, "$", json.dumps(stored.value.members))
        elif isinstance(stored.value, Entries):
            for step in stored.value.steps:
                pipeline.xadd(stored.key, dict(step))
        else:
            pipeline.hset(stored.key, mapping=dict(stored.value))
    await pipeline.execute()
