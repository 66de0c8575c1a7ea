"""Meanings: what the aliases and the traffic rule of each model mean in this process.

What is stored counts here once it is loaded: an alias moves, and a rule is in force, when every
version it needs is ready beside the ones that serve. What does not load leaves what was before, and
what changes again while it loads counts no more: a rollback waits for nothing that it leaves behind.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, KeysView, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from models.errors import BadTraffic, InsituError, ModelNotFound, RedisUnavailable
from models.redis_failures import in_time
from models.store import PRODUCTION, SHADOW, ModelStore, Pointers
from models.traffic import Traffic
from server.inference.ending import ended
from server.inference.loading import Loader

log = logging.getLogger(__name__)

OVERTAKEN = "it was changed again meanwhile"
LOOK_UP_SECONDS = 5.0  # a small reply; loading a version may take longer


@dataclass(slots=True)
class Meaning:
    """What aliases mean, the rule in force, the stored rule that could not be, and the shadow without room."""

    aliases: dict[str, int] = field(default_factory=dict)
    rule: Traffic | None = None
    refused: bytes | None = None
    too_large: int | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What is stored as it was looked at; `overtaken` is set once it was changed again."""

    stored: Pointers
    overtaken: asyncio.Event


class Refreshing:
    """The turns of those who look at one model; a Redis that one found away in theirs is away for who waited for it."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._away: tuple[float, str] = (0.0, "")  # when it was found, time.monotonic, and why

    @asynccontextmanager
    async def taken(self, asked: float) -> AsyncIterator[None]:
        """Have a turn, asked for at a time of time.monotonic.

        Raises: RedisUnavailable, of one's own turn or of one since then: each takes seconds to find that out.
        """
        async with self._lock:
            at, reason = self._away
            if at > asked:
                raise RedisUnavailable(reason)
            try:
                yield
            except RedisUnavailable as error:
                self._away = time.monotonic(), str(error.details["reason"])
                raise


class Meanings:
    """The models that were met; `changed` hears the name of each model of which something changed."""

    def __init__(self, store: ModelStore, loader: Loader, changed: Callable[[str], None]) -> None:
        self._store = store
        self._loader = loader
        self._changed = changed
        self._met: dict[str, Meaning] = {}
        self._refreshing: dict[str, Refreshing] = {}
        self._overtaken: dict[str, asyncio.Event] = {}  # of the refresh that is under way
        self._warming: dict[str, asyncio.Task[None]] = {}

    def names(self) -> KeysView[str]:
        """Return the names of the models that were met."""
        return self._met.keys()

    def get(self, name: str) -> Meaning | None:
        """Return what is known of a model."""
        return self._met.get(name)

    def meet(self, name: str) -> None:
        """Follow a model from now on."""
        self._met.setdefault(name, Meaning())

    def restore(self, name: str, aliases: Mapping[str, int], rule: Traffic | None) -> None:
        """Let a model that was not met mean what it meant when it was served last, while Redis cannot be asked."""
        meaning = self._met.setdefault(name, Meaning(dict(aliases), rule))
        self._changed(name)
        self._warm_shadow(name, meaning)

    def forget(self, name: str) -> None:
        """Follow a model no longer, as if it had never been met."""
        self._met.pop(name, None)
        if name in self._warming:
            self._warming[name].cancel()
        self._changed(name)

    async def refresh(self, name: str, meet: bool = True) -> None:
        """Take over aliases and traffic of a model, what they need loaded before they count.

        Without `meet` something has changed: a refresh that waits for a version to load waits no longer, and one
        that is forgotten meanwhile stays forgotten, and nothing of it is loaded.

        Raises: BadName, ModelNotFound, RedisUnavailable.
        """
        turn, asked = self._refreshing.setdefault(name, Refreshing()), time.monotonic()
        if not meet and name in self._overtaken:
            self._overtaken[name].set()
        try:
            overtaken: asyncio.Event | None = None
            while overtaken is None or (meet and overtaken.is_set()):  # who asks is told of the newest change
                async with turn.taken(asked):
                    self._overtaken[name] = overtaken = asyncio.Event()
                    await self._refresh(name, meet, overtaken)
        finally:
            if name not in self._met:
                self._refreshing.pop(name, None)
                self._overtaken.pop(name, None)

    async def _refresh(self, name: str, meet: bool, overtaken: asyncio.Event) -> None:
        async with in_time(LOOK_UP_SECONDS):
            stored = await self._store.pointers(name)
        if not stored.aliases:
            await self.stored_versions(name)
        meaning = self._met.setdefault(name, Meaning()) if meet else self._met.get(name)
        if meaning is None:
            return
        for alias in meaning.aliases.keys() - stored.aliases.keys() - {PRODUCTION}:
            del meaning.aliases[alias]
            self._changed(name)
        look = Look(stored, overtaken)
        await self._take_production(name, meaning, look)
        for alias, version in stored.aliases.items():
            if alias != PRODUCTION and meaning.aliases.get(alias) != version:
                await self._move(name, meaning, alias, look)
        self._warm_shadow(name, meaning)

    async def stored_versions(self, name: str) -> set[int]:
        """Return what is stored of a model; without anything it is forgotten.

        Raises: ModelNotFound.
        """
        try:
            async with in_time(LOOK_UP_SECONDS):
                return set(await self._store.versions(name))
        except ModelNotFound:
            self._met.pop(name, None)
            self._changed(name)
            self._loader.keep(name, set())
            raise

    async def _move(self, name: str, meaning: Meaning, alias: str, look: Look) -> None:
        """Load a version, then let the alias mean it; on failure the alias stays where it was.

        An alias that is new here moves at once: nothing serves yet that could go on serving.
        """
        version = look.stored.aliases[alias]
        if alias not in meaning.aliases or await self._fault(name, (version,), look.overtaken) is None:
            meaning.aliases[alias] = version
            self._changed(name)

    async def _take_production(self, name: str, meaning: Meaning, look: Look) -> None:
        """Take over production and the rule between two requests; who moves production ends the rule."""
        before, now = meaning.aliases.get(PRODUCTION), look.stored.aliases.get(PRODUCTION)
        moved = now != before
        fault = None
        if moved and before is not None and now is not None:
            fault = await self._fault(name, (now,), look.overtaken)
        if fault is not None:
            return
        rule = await self._rule(name, meaning, look, None if moved else meaning.rule)
        if now is None:
            meaning.aliases.pop(PRODUCTION, None)
        else:
            meaning.aliases[PRODUCTION] = now
        if moved or rule != meaning.rule:
            meaning.rule = rule
            self._changed(name)

    async def _rule(self, name: str, meaning: Meaning, look: Look, before: Traffic | None) -> Traffic | None:
        """Return the stored rule when all its versions are loaded, else the one before; told once.

        Raises: RedisUnavailable.
        """
        fault: InsituError | str | None = None
        rule, stored = None, look.stored.rule
        try:
            rule = None if stored is None else Traffic.from_json(name, stored)
            if rule is not None and rule != meaning.rule:
                fault = await self._rule_fault(name, rule, look.overtaken)
        except BadTraffic as error:
            fault = error
        if fault is None:
            meaning.refused = None
            return rule
        if fault is OVERTAKEN:
            return before
        if meaning.refused != stored:
            log.warning("%s: its traffic stays as it was: %s", name, fault)
        meaning.refused = stored
        return before

    async def _rule_fault(
        self, name: str, rule: Traffic, overtaken: asyncio.Event | None = None
    ) -> InsituError | str | None:
        """Load the versions of a rule; return what keeps them from being loaded together.

        Those that are known not to fit are not tried again: other models would leave for nothing.
        """
        if not self._loader.fit(name, rule.weights):
            return too_large(rule.weights)
        for version in rule.weights:  # none leaves for another one of the rule
            if (one := self._loader.find(name, version)) is not None:
                one.used_at = time.monotonic()
        fault = await self._fault(name, rule.weights, overtaken)
        if fault is not None or all(self._loader.find(name, version) for version in rule.weights):
            return fault
        return too_large(rule.weights)

    async def reload(self, name: str, rule: Traffic) -> None:
        """Load the versions of a rule in force that had to leave; when that fails it ends here.

        Raises: RedisUnavailable.
        """
        fault = await self._rule_fault(name, rule)
        meaning = self._met.get(name)
        if fault is not None and meaning is not None and meaning.rule is rule:
            log.warning("%s: its traffic rule is in force no longer: %s", name, fault)
            meaning.rule = None
            self._changed(name)

    async def _fault(
        self, name: str, versions: Iterable[int], overtaken: asyncio.Event | None = None
    ) -> InsituError | str | None:
        """Load versions; return why one cannot be, or OVERTAKEN: then it goes on loading, and nobody waits for it.

        Raises: RedisUnavailable.
        """
        try:
            for version in versions:
                if name not in self._met:
                    return "it was unloaded meanwhile"
                if not await done_before(self._loader.load(name, version), overtaken):
                    return OVERTAKEN
        except RedisUnavailable:
            raise
        except InsituError as error:  # the loader told why
            return error
        return None

    def _warm_shadow(self, name: str, meaning: Meaning) -> None:
        """Load the shadow beside everything else: no request waits for it, and nothing that answers leaves for it."""
        version = meaning.aliases.get(SHADOW)
        if version is None or name in self._warming or self._loader.find(name, version) is not None:
            return
        if name not in self._met:  # unloaded meanwhile
            return
        answering = (
            meaning.rule.weights if meaning.rule is not None else [meaning.aliases.get(PRODUCTION, version)]
        )
        beside = dict.fromkeys((*answering, version))
        if not self._loader.fit(name, beside):
            if meaning.too_large != version:
                log.warning("%s has no shadow: %s", name, too_large(beside))
            meaning.too_large = version
            return
        task = asyncio.create_task(self._warm(name, version))
        self._warming[name] = task
        task.add_done_callback(lambda _: self._warming.pop(name, None))

    async def _warm(self, name: str, version: int) -> None:
        try:
            await self._loader.load(name, version)
        except InsituError as error:
            log.warning("%s has no shadow for now: %s", name, error)
        self._changed(name)

    async def close(self) -> None:
        """Stop loading shadows."""
        await ended(list(self._warming.values()))


async def done_before(work: Coroutine[Any, Any, Any], overtaken: asyncio.Event | None) -> bool:
    """Wait for work, but no longer than until it is overtaken; whether it was done.

    Raises: what the work raises.
    """
    if overtaken is None:
        await work
        return True
    tasks = doing, _ = asyncio.ensure_future(work), asyncio.ensure_future(overtaken.wait())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            return False
        await doing
    finally:
        await ended(tasks)
    return True


def too_large(versions: Iterable[int]) -> str:
    """Return what keeps versions from being loaded together."""
    return f"the memory for models does not hold versions {', '.join(map(str, versions))} together"
