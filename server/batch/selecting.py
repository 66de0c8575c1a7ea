"""Selecting: which rows of a part are scored at all: those without an answer, those with new features."""

from collections.abc import Mapping, Sequence
from math import inf

from models.assembly import Plan
from models.encoding import Form
from models.errors import BadRequest, InsituError, listed
from models.feast_keys import EntityForm, EntityTemplate, template_of, time_field
from models.feast_values import Malformed, seconds_of
from models.jobs import JobSpec
from models.sources import FeastSource, JsonSource, StreamSource, Timed, TimedSource
from models.stream_source import id_seconds
from models.values import Raw, unix_time
from server.batch.one_field import Kind, form_of, value_in
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
        self._template = template_of(self._source)
        where, self._form = asked_for(self._source)
        if beyond := [name for name in self._template.placeholders if name not in plan.template.placeholders]:
            raise BadRequest(
                f"newer_than needs {listed(beyond)} to find {where} in {self._source.key!r}, "
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

    def _command(self, values: Mapping[str, str]) -> bytes:
        return self._form.encoded(self._template.fill(values))

    def _new(self, reply: Raw) -> bool:
        if isinstance(reply, Exception) or reply is None:
            return True  # scoring the row says what is wrong with it
        try:
            return seconds(self._source, reply) >= self._since
        except (InsituError, Malformed):
            return True


def asked_for(source: Timed) -> tuple[str, Form]:
    """Return what has the time of a source's features, in words, and what is asked to read it."""
    if isinstance(source, StreamSource):
        return "the newest entry", Form("XREVRANGE", "+", "-", "COUNT", 1)
    if isinstance(source, FeastSource):
        stamp = time_field(source.view)
        return repr(stamp.decode()), EntityForm(EntityTemplate(source), "HGET", stamp)
    field = source.time_field or ""
    return repr(field), form_of(kind_of(source), field)


def seconds(source: Timed, reply: Raw) -> float:
    """Return when features were written, in Unix seconds, as a reply says it; what says no time was never old.

    Raises: NotANumber, Malformed.
    """
    if isinstance(source, StreamSource):
        added = id_seconds(reply[0][0].decode()) if reply else None
        return inf if added is None else added
    if isinstance(source, FeastSource):
        return seconds_of(reply)
    return unix_time(value_in(kind_of(source), reply), source.time_unit, "the time")


def kind_of(source: TimedSource) -> Kind:
    """Return what a source with a time in a field is."""
    return "json" if isinstance(source, JsonSource) else "hash"
