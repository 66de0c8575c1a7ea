"""Refusals: why servers did not load a version, kept beside it for everybody who looks."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from models.keys import Keys
from models.redis_failures import connected
from models.scripts import REFUSE

SHOWN_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a version was not loaded, when, and by which runtime: another one may load it."""

    reason: str
    time: str
    runtime: str

    @classmethod
    def now(cls, reason: str, runtime: str) -> "Refusal":
        """Return a refusal of this moment."""
        return cls(reason[:SHOWN_CHARACTERS], datetime.now(UTC).isoformat(timespec="seconds"), runtime)

    @classmethod
    def from_json(cls, data: bytes) -> "Refusal":
        """Read the stored form; what somebody else wrote there is shown as it is."""
        text = data.decode("utf-8", "replace")[: 2 * SHOWN_CHARACTERS]
        try:
            facts = json.loads(text)
            return cls(*(str(facts[name])[:SHOWN_CHARACTERS] for name in ("reason", "time", "runtime")))
        except (ValueError, TypeError, KeyError):
            return cls(text[:SHOWN_CHARACTERS], "", "")

    def __str__(self) -> str:
        where = ", ".join(filter(None, (self.runtime, self.time)))
        return f"{self.reason} ({where})" if where else self.reason


class Refusals:
    """The refusals as they lie in Redis."""

    def __init__(self, redis: Any, keys: Keys) -> None:  # Redis or RedisCluster
        self._redis = redis
        self._keys = keys

    async def note(self, name: str, version: int, refusal: Refusal) -> None:
        """Keep a refusal, in the place of an earlier one; nothing is kept of a version that is gone.

        Raises: BadName, RedisUnavailable, RedisRefused.
        """
        keys = (self._keys.manifest(name, version), self._keys.refused(name, version))
        async with connected(self._redis):
            await self._redis.eval(REFUSE, len(keys), *keys, json.dumps(asdict(refusal)))

    async def clear(self, name: str, version: int) -> None:
        """Forget the refusal of a version that was loaded; nothing is written where there is none.

        Raises: BadName, RedisUnavailable, RedisRefused.
        """
        key = self._keys.refused(name, version)
        async with connected(self._redis):
            if await self._redis.exists(key):
                await self._redis.unlink(key)

    async def among(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Refusal]:
        """Return the refusals among versions of any models.

        Raises: BadName, RedisUnavailable, RedisRefused.
        """
        if not places:
            return {}
        pipeline = self._redis.pipeline(transaction=False)
        for name, version in places:
            pipeline.get(self._keys.refused(name, version))
        async with connected(self._redis):
            found = await pipeline.execute()
        return {
            place: Refusal.from_json(data)
            for place, data in zip(places, found, strict=True)
            if data is not None
        }

    async def of(self, name: str, versions: Iterable[int]) -> dict[int, Refusal]:
        """Return the refusals among some versions of a model.

        Raises: BadName, RedisUnavailable, RedisRefused.
        """
        asked = list(versions)
        if not asked:
            return {}
        async with connected(self._redis):
            found = await self._redis.mget([self._keys.refused(name, version) for version in asked])
        return {
            version: Refusal.from_json(data)
            for version, data in zip(asked, found, strict=True)
            if data is not None
        }
