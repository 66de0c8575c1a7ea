"""Rows in Redis as a draft sees them: a sample of keys, what lies under them, and where the target is."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from models.errors import listed, shown
from models.redis_failures import connected, redis_errors, replies_by_type
from models.scanning import scan
from models.store import Client
from models.templates import KeyTemplate
from trainer.drafting.facts import Facts
from trainer.drafting.look import Looked, Vector
from trainer.drafting.look_json import Documents, Held
from trainer.errors import BadData, NoRows
from trainer.reading.columns import meant
from trainer.sampling import evenly

ROWS_SAMPLED = 5000
KEYS_A_TRIP = 256
DOCUMENTS_A_TRIP = 32
LIST_STEPS = 64
FORECAST = "task: forecasting and target: {as: following, steps: N} in a recipe"
STREAM_STEPS = 256  # a stream may be without an end: so many of its last entries are looked at
KINDS = {b"hash": "hash", b"string": "vector", b"list": "list", b"stream": "stream", b"ReJSON-RL": "json"}


async def look_at_redis(redis: Client, match: str, target: str, name: str) -> Looked:
    """Look at a sample of the keys that match a pattern.

    Raises: NoRows, BadData, RedisUnavailable.
    """
    key = template_of(match)
    rows = KeyTemplate(key)
    found: list[str] = []
    beside: Counter[str] = Counter()
    async for part in scan(redis, match, None):
        for raw in part.keys:
            text = raw.decode("utf-8", "surrogateescape")
            if rows.match(text) is not None:
                found.append(text)
            elif (after := suffix(text, rows)) is not None:
                beside[after] += 1
    if not found:
        raise NoRows(match, key, None)
    keys = sorted(found)
    places = [key, *(key + after for after, _ in beside.most_common(8))]
    sample = [keys[at] for at in evenly(len(keys), ROWS_SAMPLED)]
    words: dict[str, object] = {"source": "redis", "match": match}
    every, seen = len(sample) == len(found), len(sample)
    kind, sample = await of_one_kind(redis, sample)
    rows_there = round(len(found) * len(sample) / seen)
    if kind in ("hash", "json"):
        held = await (documents if kind == "json" else hashes)(redis, sample)
        own = held.named(target)
        truth, at = (
            await truth_beside(redis, sample, places, target, held.columns)
            if own is None
            else (held.truth(own), held.where(key, own))
        )
        others = features(held.columns, own)
        looked = Looked(name, words, key, scaled(truth, rows_there), at, others, every=every)
        return replace(looked, left_out=held.left_out, paths=held.paths)
    if kind not in ARRAYS:
        raise BadData(
            f"the keys that match {match!r} are of type {kind}; rows are hashes, JSON documents, strings, lists or "
            "streams"
        )
    vector = await ARRAYS[kind](redis, sample, name, key)
    check_apart(vector, target, beside)
    truth, at = await truth_beside(redis, sample, places, target, {})
    return Looked(name, words, key, scaled(truth, rows_there), at, [], [vector], every=every)


async def of_one_kind(redis: Client, keys: Sequence[str]) -> tuple[str, list[str]]:
    """Return what most keys hold, and those that do: training reads no others either."""
    types = await replies(redis, [("TYPE", one) for one in keys])
    kinds = [KINDS.get(one, one.decode()) for one in types]
    kind = Counter(kinds).most_common(1)[0][0]
    return kind, [key for key, other in zip(keys, kinds, strict=True) if other == kind]


def template_of(match: str) -> str:
    """Return the template that a pattern means: each `*` between colons is a placeholder.

    Raises: BadData.
    """
    if match.count("*") != 1 or any(one in match for one in "?[]\\{}"):
        raise BadData(f"--match {match!r}: write one `*` where the rows differ, as in 'patient:*'")
    return match.replace("*", "{id}")


def suffix(key: str, rows: KeyTemplate) -> str | None:
    """Return what stands behind a row's key: `:meta` of patient:17:meta."""
    for end in (at for at, letter in enumerate(key) if letter == ":"):
        if rows.match(key[:end]) is not None:
            return key[end:]
    return None


def scaled(facts: Facts, rows: int) -> Facts:
    """Return facts of a sample as they would be of all rows."""
    if facts.rows == rows or not facts.rows:
        return facts
    share = rows / facts.rows
    values = facts.values
    facts.missing = round(facts.missing * share)
    facts.values = (
        None if values is None else Counter({one: round(count * share) for one, count in values.items()})
    )
    facts.rows = rows
    return facts


async def replies(redis: Client, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Return the replies to some commands, None from a key of another type: it is no row, or says nothing of one."""
    result: list[Any] = []
    async with connected(redis), redis_errors():
        for start in range(0, len(commands), KEYS_A_TRIP):
            pipeline: Any = redis.pipeline(transaction=False)
            for command in commands[start : start + KEYS_A_TRIP]:
                pipeline.execute_command(*command)
            result += await replies_by_type(pipeline)
    return result


async def hashes(redis: Client, keys: Sequence[str]) -> Held:
    """Return what some hashes hold."""
    return Held(
        facts_of([fields_of(one) for one in await replies(redis, [("HGETALL", key) for key in keys])])
    )


def facts_of(rows: Sequence[Mapping[str, str]]) -> dict[str, Facts]:
    """Return what is known of each field of some hashes, or entries."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    facts = {name: Facts(name, stored=True) for name in names}
    for name in names:
        facts[name].add(pa.array([row.get(name) for row in rows], pa.string()))
    return facts


async def documents(redis: Client, keys: Sequence[str]) -> Held:
    """Return what some JSON documents hold, a few at a time: one may be large.

    Raises: BadData.
    """
    found = Documents()
    for start in range(0, len(keys), DOCUMENTS_A_TRIP):
        part = keys[start : start + DOCUMENTS_A_TRIP]
        for reply in await replies(redis, [("JSON.GET", key) for key in part]):
            found.add(reply)
    return found.held()


def features(columns: Mapping[str, Facts], target: str | None) -> list[Facts]:
    """Return the fields beside the target; of these only what is not there is missing."""
    others = [facts for field, facts in columns.items() if field != target]
    for facts in others:
        facts.missing -= facts.void.total()
    return others


def fields_of(reply: Any) -> dict[str, str]:
    """Return the fields of a hash as text; none of what is no hash."""
    if reply is None:
        return {}
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {
        name.decode("utf-8", "backslashreplace"): value.decode("utf-8", "backslashreplace")
        for name, value in pairs
    }


async def truth_beside(
    redis: Client, keys: Sequence[str], places: Sequence[str], target: str, own: Mapping[str, Facts]
) -> tuple[Facts, dict[str, object]]:
    """Return the facts of the target, and where a recipe says it is, among the hashes beside the rows.

    `places` are the templates of the rows' key and of those beside it, `own` the fields of the rows themselves.

    Raises: BadData.
    """
    seen = list(own)
    for place in places[1:]:
        after = place.removeprefix(places[0])
        held = await hashes(redis, [one + after for one in keys])
        if target in held.columns:
            return held.columns[target], held.where(place, target)
        seen += held.columns
    cure = meant(target, seen) if seen else "; name one with --target"
    raise BadData(f"nothing at {listed(places)} has a field {shown(target)!r}{cure}")


def check_apart(vector: Vector, target: str, beside: Collection[str]) -> None:
    """Refuse a target that is a field of the entries that are learned from, where no hashes lie beside the rows.

    Raises: BadData.
    """
    if not beside and target in (facts.name for facts in vector.fields):
        raise BadData(
            f"{shown(target)!r} is a field of the entries at {vector.key!r}, and a target says something of all of "
            f"them: write it to a hash beside each stream, {vector.key + ':meta'!r}, or forecast it ({FORECAST})"
        )


async def string_of(redis: Client, keys: Sequence[str], name: str, key: str) -> Vector:
    """Return the vector that strings of raw numbers hold: float32 where they read as such, else bytes.

    Raises: BadData, strings of different sizes, or none any more.
    """
    values = still_there(await replies(redis, [("GET", one) for one in keys[:200]]), key)
    sizes = Counter(len(one) for one in values)
    if len(sizes) > 1:
        raise BadData(
            f"the strings at {key!r} have different sizes ({listed(sorted(sizes))} bytes); a vector has one"
        )
    size = next(iter(sizes))
    if size % 4 == 0 and are_floats(b"".join(values)):
        return Vector(name, key, "vector", (size // 4,))
    side = round(size**0.5)
    return Vector(name, key, "vector", (side, side) if side * side == size and side > 1 else (size,), "uint8")


def still_there(values: Sequence[Any], key: str) -> list[Any]:
    """Return what was found; keys may go while they are looked at.

    Raises: BadData, nothing.
    """
    found = [one for one in values if one]
    if not found:
        raise BadData(f"the keys at {key!r} are empty, or went while they were looked at; try again")
    return found


def are_floats(data: bytes) -> bool:
    """Whether bytes read as float32 of ordinary size."""
    with np.errstate(invalid="ignore"):  # bytes of pixels may read as a signalling NaN
        numbers = np.abs(np.frombuffer(data, "<f4").astype(np.float64))
    ordinary = (numbers == 0) | ((numbers > 1e-9) & (numbers < 1e9))
    return bool(np.isfinite(numbers).all() and ordinary.mean() > 0.99)


async def list_of(redis: Client, keys: Sequence[str], name: str, key: str) -> Vector:
    """Return the sequence that lists of steps hold.

    Raises: BadData, steps of different sizes, or none any more.
    """
    every = still_there(await replies(redis, [("LRANGE", one, 0, -1) for one in keys[:200]]), key)
    sizes = {len(entry) for entries in every for entry in entries}
    size = next(iter(sizes))
    if len(sizes) > 1 or size % 4:
        raise BadData(
            f"the entries of the lists at {key!r} have {listed(sorted(sizes))} bytes; steps are float32 of one shape"
        )
    longest = max(len(entries) for entries in every)
    return Vector(name, key, "list", (size // 4,), "float32", max(LIST_STEPS, longest), free=True)


async def stream_of(redis: Client, keys: Sequence[str], name: str, key: str) -> Vector:
    """Return the sequence that the last entries of streams make, with what is known of their fields.

    Raises: BadData, no entries any more.
    """
    commands = [("XREVRANGE", one, "+", "-", "COUNT", STREAM_STEPS) for one in keys[:200]]
    every = still_there(await replies(redis, commands), key)
    steps = [fields_of(fields) for entries in every for _, fields in reversed(entries)]
    fields = tuple(features(facts_of(steps), None))
    longest = max(len(entries) for entries in every)
    return Vector(
        name, key, "stream", (len(fields),), steps=max(LIST_STEPS, longest), free=True, fields=fields
    )


ARRAYS = {"vector": string_of, "list": list_of, "stream": stream_of}
