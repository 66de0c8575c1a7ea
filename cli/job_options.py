"""The options of `insitu score` as a job: which rows, where to, and how."""

import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cli.errors import WrongUsage
from models.errors import BadRequest, listed, shown
from models.jobs import JobSpec

REDIS = "redis:"
AGE = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
AGE_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
MILLISECONDS = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s)?")
TABLES = (".csv", ".parquet")
WAYS = ("--match", "--keys-from", "--index", "--instances")
SAME = {  # what a job that is gone on with has in common with the command, and how that is called
    "model": "model",
    "version": "--version",
    "rows": "rows",
    "to": "targets",
    "label": "--label",
    "missing": "--missing",
    "outputs": "--raw",
    "only_missing": "--only-missing",
    "errors_to": "--errors-to",
}


@dataclass(frozen=True, slots=True)
class RowOptions:
    """Which rows, as typed."""

    match: str | None = None
    keys_from: str | None = None
    index: str | None = None
    query: str | None = None
    instances: str | None = None

    def instead(self, where: str) -> "RowOptions":
        """Return other rows, named in the same way: another pattern, place, query or file."""
        if self.keys_from is not None:
            return RowOptions(keys_from=where)
        if self.index is not None:
            return RowOptions(index=self.index, query=where)
        return RowOptions(instances=where) if self.instances is not None else RowOptions(match=where)

    @property
    def example(self) -> str:
        """How others would be named, in a word."""
        named = {"WHERE": self.keys_from, "QUERY": self.index, "FILE": self.instances}
        return next((word for word, given in named.items() if given is not None), "PATTERN")

    def spec(self) -> dict[str, Any]:
        """Return the source of rows.

        Raises: WrongUsage, two of them.
        """
        given = dict(zip(WAYS, (self.match, self.keys_from, self.index, self.instances), strict=True))
        named = [way for way, value in given.items() if value is not None]
        if len(named) > 1:
            raise WrongUsage(f"{' and '.join(named)} both say which rows; give one of {', '.join(WAYS)}")
        if self.query is not None and self.index is None:
            raise WrongUsage("--query needs --index, the index it is asked of")
        if self.keys_from is not None:
            return keys_from(self.keys_from)
        if self.index is not None:
            return {"kind": "query", "index": self.index, "query": self.query or "*"}
        if self.instances is not None:
            return {"kind": "instances", "path": self.instances}
        return {"kind": "match", "pattern": self.match}


def keys_from(text: str) -> dict[str, Any]:
    """Return the source that --keys-from names: redis:KEY[#FIELD], FILE[#COLUMN] or -."""
    if text.startswith(REDIS):
        key, _, field = text.removeprefix(REDIS).partition("#")
        return {"kind": "redis", "key": key, "field": field or None}
    path, _, column = text.rpartition("#")
    if path.endswith(TABLES):
        return {"kind": "file", "path": path, "column": column}
    return {"kind": "file", "path": text}


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """Where to, as typed."""

    to: str | None = None
    ttl: int | None = None
    field: str | None = None
    hash_key: str | None = None
    sorted_set: str | None = None
    stream: str | None = None
    parquet: str | None = None
    csv: str | None = None

    def specs(self) -> list[dict[str, Any]]:
        """Return the targets, strings where none is named.

        Raises: WrongUsage, a time to live for what has none.
        """
        rest = [
            {"kind": "field", "field": self.field},
            {"kind": "hash", "key": self.hash_key},
            {"kind": "zset", "key": self.sorted_set},
            {"kind": "stream", "key": self.stream},
            {"kind": "parquet", "path": self.parquet},
            {"kind": "csv", "path": self.csv},
        ]
        named: list[dict[str, Any]] = [
            one for one in rest if all(value is not None for value in one.values())
        ]
        strings = self.to is not None or not named
        if self.ttl is not None and (not strings or self.to == "-"):
            raise WrongUsage("--ttl is for answers with a key of their own; give --to 'score:{key}' too")
        if self.to == "-":
            return [{"kind": "output"}, *named]
        if strings:
            named.insert(0, {"kind": "string", "key": self.to or "score:{key}", "ttl_seconds": self.ttl})
        return named


def job_of(facts: dict[str, Any]) -> JobSpec:
    """Return a job.

    Raises: WrongUsage, what is wrong with it.
    """
    import orjson

    try:
        json.dumps(
            facts, default=str, allow_nan=False
        )  # orjson makes null of NaN: what stands in would be none
        return JobSpec.parse(orjson.dumps(facts))
    except ValueError as error:
        raise WrongUsage(
            "no job keeps NaN or an infinite number; give --missing and limits as finite ones"
        ) from error
    except orjson.JSONEncodeError as error:
        raise WrongUsage(f"no job keeps half a character, as in one of its options ({error})") from error
    except BadRequest as error:
        raise WrongUsage(str(error)) from error


def check_same(asked: JobSpec, kept: JobSpec, name: str) -> None:
    """See that the job of a name is the one that is asked for; how fast it goes may differ.

    Raises: WrongUsage.
    """
    if not isinstance(asked.version, int):  # an alias may have moved: the job keeps what it meant then
        asked = asked.model_copy(update={"version": kept.version})
    if asked.label is None:  # nor does it matter which label goes without saying now
        asked = asked.model_copy(update={"label": kept.label})
    differing = [word for field, word in SAME.items() if getattr(asked, field) != getattr(kept, field)]
    if (asked.newer_than is None) != (kept.newer_than is None):  # two hours ago is another time by now
        differing.append("--newer-than")
    if differing:
        raise WrongUsage(
            f"job {name!r} was begun otherwise ({listed(differing)}); --resume takes the command that began "
            "it, another --job begins another, and without --resume this one is begun anew"
        )


def point_in_time(text: str | None) -> float | None:
    """Return Unix seconds of `2h` (ago), an ISO 8601 time or Unix seconds.

    Raises: WrongUsage.
    """
    if text is None:
        return None
    age = AGE.fullmatch(text)
    if age:
        return time.time() - float(age[1]) * AGE_SECONDS[age[2]]
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise WrongUsage(
            f"--newer-than is {shown(text)!r}; write an age (30m, 2h, 7d), a time (2026-11-28T06:00) or Unix seconds"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def milliseconds(text: str | None) -> float | None:
    """Return the milliseconds of `5ms`, `0.1s` or `5`.

    Raises: WrongUsage.
    """
    if text is None:
        return None
    found = MILLISECONDS.fullmatch(text)
    if not found:
        raise WrongUsage(f"--pause-above-latency is {shown(text)!r}; write it as in 5ms or 0.1s")
    return float(found[1]) * (1000 if found[2] == "s" else 1)
