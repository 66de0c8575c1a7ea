"""Selecting: which rows of a part are scored at all: those without an answer, those with new features."""

from collections.abc import Mapping, Sequence
from math import inf

import orjson

from models.assembly import Plan
from models.encoding import encoded
from models.errors import BadRequest, InsituError, listed
from models.jobs import JobSpec
from models.sources import JsonSource, StreamSource, json_path
from models.stream_source import id_seconds
from models.templates import KeyTemplate
from models.text_sources import first
from models.values import Raw, unix_time
from server.batch.targets.target import Target
from server.inference.reading.reads import Ask, awaited


class Selection:
    """What a job passes over."""

    def __init__(self, spec: JobSpec, plan: Plan, target: Target, ask: Ask) -> None:
        """Take a job and its first target.

        Raises: BadRequest, the features say no time.
        """
        self._target = target if spec.only_missing else None
        self._written = None if spec.newer_than is None else Written(plan, spec.newer_than, ask)

    async def of(self, keys: Sequence[str]) -> list[str]:
        """Return the keys that are scored.

        Raises: RedisUnavailable, RedisRefused.
        """
        left = list(keys)
        if self._target is not None:
            there = await self._target.present(left)
            if there is None:
                raise RuntimeError(
                    "a first target that cannot tell was to be refused by JobSpec.check_places"
                )
            left = [key for key, present in zip(left, there, strict=True) if not present]
        return left if self._written is None else await self._written.since(left)


class Written:
    """When features were written, as the first source says that carries a time."""

    def __init__(self, plan: Plan, since: float, ask: Ask) -> None:
        """Take a view and the earliest time that is new, in Unix seconds.

        Raises: BadRequest, no source has a time, or the one that has lies under a key that a row's does not tell.
        """
        self._source = plan.view.timed
        self._template = KeyTemplate(self._source.key)
        if beyond := [name for name in self._template.placeholders if name not in plan.template.placeholders]:
            raise BadRequest(
                f"newer_than needs {listed(beyond)} to find {self._where} in {self._source.key!r}, "
                f"which a row's key, {plan.template.text!r}, does not tell",
                field="newer_than",
            )
        self._key = plan.template
        self._since, self._ask = since, ask

    async def since(self, keys: Sequence[str]) -> list[str]:
        """Return the keys whose features are new, or say no time.

        Raises: RedisUnavailable, RedisRefused.
        """
        if not keys:
            return []
        values = {key: found for key in keys if (found := self._key.match(key)) is not None}
        replies = await awaited(self._ask, [*map(self._command, values.values())]) if values else []
        old = {key for key, reply in zip(values, replies, strict=True) if not self._new(reply)}
        # A key that the model does not read stays: scoring says so.
        return [key for key in keys if key not in old]

    @property
    def _where(self) -> str:
        """What has the time, in words."""
        return "the newest entry" if isinstance(self._source, StreamSource) else repr(self._source.time_field)

    def _command(self, values: Mapping[str, str]) -> bytes:
        at = self._template.fill(values)
        if isinstance(self._source, StreamSource):
            return encoded(("XREVRANGE", at, "+", "-", "COUNT", 1))
        field = self._source.time_field or ""
        if isinstance(self._source, JsonSource):
            return encoded(("JSON.GET", at, json_path(field)))
        return encoded(("HGET", at, field))

    def _new(self, reply: Raw) -> bool:
        if isinstance(reply, Exception) or reply is None:
            return True  # scoring the row says what is wrong with it
        try:
            return self._seconds(reply) >= self._since
        except InsituError:
            return True

    def _seconds(self, reply: Raw) -> float:
        """Return when features were written, in Unix seconds; what says no time was never old.

        Raises: NotANumber.
        """
        if isinstance(self._source, StreamSource):
            added = id_seconds(reply[0][0].decode()) if reply else None
            return inf if added is None else added
        value = first(orjson.loads(reply)) if isinstance(self._source, JsonSource) else reply
        return unix_time(value, self._source.time_unit, "the time")
