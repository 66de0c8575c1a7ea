"""Shared keys: one hash, one sorted set or one stream for the answers of all rows."""

from collections.abc import Sequence

from models.assembly import Plan
from models.encoding import bulk
from models.errors import BadRequest
from models.jobs import ToHash, ToSortedSet, ToStream
from models.manifest import Manifest
from server.batch.scored import Ranking, Scored, beginning
from server.batch.targets.appending import Appending
from server.batch.targets.sending import SharedKey, bulks, encoded_keys
from server.batch.targets.target import JobRun, PartName, Refused
from server.inference.reading.reads import Ask


class InHash:
    """HSET: the row's key -> its answer."""

    def __init__(self, spec: ToHash, ask: Ask, plan: Plan, manifest: Manifest) -> None:
        """Take the hash.

        Raises: BadRequest, the model reads it as features.
        """
        self._hash = SharedKey(ask, spec.key, plan.templates, "hash")
        self._beginning = beginning(manifest)

    async def write(self, name: PartName, scored: Sequence[Scored]) -> Refused:
        """Set the answers."""
        for one in scored:
            await self._hash.ask(self._hash.commands("HSET", encoded_keys(one.keys), one.answers))
        return {}

    async def present(self, keys: Sequence[str]) -> list[bool]:
        """Whether each row's answer there is one of this version."""
        found = await self._hash.ask(self._hash.commands("HMGET", encoded_keys(keys)))
        return [
            answer is not None and answer.startswith(self._beginning) for some in found for answer in some
        ]

    async def finish(self) -> None:
        """Nothing is left to do."""


class InSortedSet:
    """ZADD: the row's key, at its number."""

    def __init__(self, spec: ToSortedSet, ask: Ask, plan: Plan, ranking: Ranking) -> None:
        """Take the sorted set.

        Raises: BadRequest, the model reads it, or its answers have no number to rank by.
        """
        self._set = SharedKey(ask, spec.key, plan.templates, "sorted set")
        if ranking.name is None:
            why = "output tensors have" if ranking.outputs else "the answers of this model have"
            raise BadRequest(
                f"{why} no single number to rank rows by in sorted set {spec.key!r}; let them go to a hash"
            )

    async def write(self, name: PartName, scored: Sequence[Scored]) -> Refused:
        """Rank the rows; one without a number is refused."""
        refused: Refused = {}
        for one in scored:
            numbered, bad = one.numbered()
            refused |= bad
            await self._set.ask(self._set.commands("ZADD", numbered.exact, encoded_keys(numbered.keys)))
        return refused

    async def present(self, keys: Sequence[str]) -> list[bool]:
        """Whether each row is ranked, by whichever version: a sorted set does not say."""
        found = await self._set.ask(self._set.commands("ZMSCORE", encoded_keys(keys)))
        return [score is not None for some in found for score in some]

    async def finish(self) -> None:
        """Nothing is left to do."""


class InStream:
    """XADD: an entry a row, `key` and `answer`; a part that is done again adds none."""

    WORDS = 4  # of an entry

    def __init__(self, spec: ToStream, ask: Ask, plan: Plan, job: JobRun) -> None:
        """Take the stream.

        Raises: BadRequest, the model reads it as features.
        """
        self._stream = Appending(ask, spec.key, plan.templates, job, spec.max_entries)

    async def write(self, name: PartName, scored: Sequence[Scored]) -> Refused:
        """Append the answers."""
        keys = [key for one in scored for key in one.keys]
        answers = [answer for one in scored for answer in one.answers]
        before, between = bulk("key"), bulk("answer")
        pairs = zip(bulks(encoded_keys(keys)), bulks(answers), strict=True)
        entries = [b"".join((before, key, between, answer)) for key, answer in pairs]
        await self._stream.append(name, keys, entries, self.WORDS)
        return {}

    async def present(self, keys: Sequence[str]) -> None:
        """Nobody can tell without reading all of it."""

    async def finish(self) -> None:
        """Nothing is left to do."""
