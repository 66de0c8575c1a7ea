"""Catalogue: the loaded versions that each request goes to, by model and reference.

Where requests go is worked out once and kept until something changes about the model; on the way
of a request that is a look-up. What is loaded goes on serving while Redis is away.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from models.errors import AliasNotFound, BadTraffic, InsituError, RedisUnavailable
from models.keys import as_version
from models.nodes_away import Walk, names_to_walk
from models.redis_failures import in_time
from models.shards import lie_apart
from models.store import PRODUCTION, SHADOW, ModelStore
from models.traffic import Traffic
from server.inference.ending import ended
from server.inference.keeping.store import KeptStore
from server.inference.loading import Loader, LoadOptions, Serving
from server.inference.meanings import LOOK_UP_SECONDS, Meanings
from server.inference.routing import Route, Split

log = logging.getLogger(__name__)

Reference = str | int | None
PRELOADS_AT_ONCE = 4
PRELOAD_SECONDS = 3.0


class Catalogue:
    """The models that were met in Redis, and where their requests go."""

    def __init__(self, store: ModelStore, loader: Loader, kept: KeptStore | None = None) -> None:
        self._store = store
        self._kept = kept
        self._apart = lie_apart(store.redis)  # a model whose node is away is then none of the others' affair
        self._left: list[str] = []  # what could not be looked at the last time
        self._loader = loader
        self._meanings = Meanings(store, loader, self._forget_routes)
        self._routes: dict[str, dict[Reference, Route]] = {}
        loader.left = self._forget_routes

    @property
    def options(self) -> LoadOptions:
        """How versions are loaded."""
        return self._loader.options

    def loaded(self) -> list[Serving]:
        """Return the loaded versions, by name and number."""
        return self._loader.loaded()

    def find(self, name: str, version: int) -> Serving | None:
        """Return a version when it is loaded."""
        return self._loader.find(name, version)

    def failures(self, name: str) -> dict[int, str]:
        """Return what was wrong with the versions of a model that did not load."""
        return self._loader.failures(name)

    def knows(self, name: str) -> bool:
        """Whether a model of that name was met in Redis."""
        return name in self._meanings.names()

    def counted_as(self, name: str) -> str:
        """Return what a failure is counted under: no caller may make series of any text without end."""
        return name if self.knows(name) else "unknown"

    def route(self, name: str, reference: Reference = None) -> Route | None:
        """Return where a request goes, None when something has to be looked up or loaded first."""
        routes = self._routes.get(name)
        route = None if routes is None else routes.get(reference)
        return route or self._found(name, reference)

    def _found(self, name: str, reference: Reference) -> Route | None:
        """Make a route of what is loaded, and keep it until something changes about the model."""
        needed = list(self._needed(name, reference))
        loaded = {version: one for version in needed if (one := self._loader.find(name, version)) is not None}
        if not needed or len(loaded) < len(needed):
            return None
        route = self._made(name, reference, loaded)
        if not isinstance(reference, str) or as_version(reference) is None:  # 2 can be written 02, 002, ...
            self._routes.setdefault(name, {})[reference] = route
        return route

    def _made(self, name: str, reference: Reference, loaded: Mapping[int, Serving]) -> Route:
        meaning = self._meanings.get(name)
        if meaning is None or not is_production(reference):
            return Route(next(iter(loaded.values())))
        version = meaning.aliases.get(SHADOW)
        shadow = None if version is None else self._loader.find(name, version)
        if meaning.rule is not None:
            split = Split(meaning.rule, loaded)
            return Route(split.greatest, split, shadow)
        serving = next(iter(loaded.values()))
        return Route(serving, None, None if shadow is serving else shadow)

    def _needed(self, name: str, reference: Reference) -> Iterable[int]:
        """Return the versions that a request needs loaded; none when its reference means nothing here."""
        meaning = self._meanings.get(name)
        if meaning is not None and meaning.rule is not None and is_production(reference):
            return meaning.rule.weights
        version = self._version_of(name, reference)
        return () if version is None else (version,)

    def _version_of(self, name: str, reference: Reference) -> int | None:
        if isinstance(reference, int):
            return reference
        number = as_version(reference) if reference is not None else None
        if number is not None:
            return number
        meaning = self._meanings.get(name)
        return None if meaning is None else meaning.aliases.get(reference or PRODUCTION)

    def _forget_routes(self, name: str) -> None:
        """Make the routes of a model anew when they are asked for."""
        self._routes.pop(name, None)

    async def routed(self, name: str, reference: Reference = None) -> Route:
        """Return where a request goes, looking up and loading first what it needs.

        Raises: as `get`.
        """
        if not self._needed(name, reference):
            await self._meanings.refresh(name)
        meaning = self._meanings.get(name)
        if meaning is not None and meaning.rule is not None and is_production(reference):
            with suppress(RedisUnavailable):  # what is loaded goes on serving
                await self._meanings.reload(name, meaning.rule)
        route = self.route(name, reference)
        if route is None:
            serving = await self.get(name, reference)
            route = self.route(name, reference) or Route(serving)
        return route

    async def get(self, name: str, reference: Reference = None) -> Serving:
        """Return the version that an alias or a number means, loading it when it is not.

        Raises: BadName, ModelNotFound, VersionNotFound, AliasNotFound, BundleCorrupt,
                ManifestUnreadable, ModelNotLoadable, RedisUnavailable.
        """
        version = self._version_of(name, reference)
        if version is None:
            await self._meanings.refresh(name)
            version = self._version_of(name, reference)
        if version is None:
            meaning = self._meanings.get(name)
            aliases = sorted(meaning.aliases) if meaning else []
            raise AliasNotFound(name, str(reference or PRODUCTION), aliases)
        serving = self._loader.find(name, version)
        if serving is None:
            serving = await self._loader.load(name, version)
            self._meanings.meet(name)
        serving.used_at = time.monotonic()
        return serving

    async def load(self, name: str) -> Serving:
        """Load what is stored of a model: what production means, its newest version where that means none.

        Raises: as `get`, but for AliasNotFound.
        """
        await self._meanings.refresh(name)
        try:
            return (await self.routed(name)).serving
        except AliasNotFound:
            return await self.get(name, max(await self._meanings.stored_versions(name)))

    def unload(self, name: str) -> None:
        """Let every version of a model go; the next request, or `load`, loads it again."""
        self._meanings.forget(name)
        self._loader.unload(name)

    def unloaded(self, name: str) -> bool:
        """Whether a model was unloaded, and no version of it loaded since."""
        return self._loader.unloaded(name)

    def loading(self, name: str) -> set[int]:
        """Return the versions of a model that are being loaded now."""
        return self._loader.loading(name)

    async def changed(self, name: str) -> None:
        """Take over what changed about a model; a fault is logged and looked at again at the next sync.

        Raises: RedisUnavailable.
        """
        self._loader.look_again(name)
        if not self.knows(name):
            return  # nobody asked for it yet: the first request loads it
        try:
            await self._renew(name)
            await self._meanings.refresh(name, meet=False)
            self._loader.keep(name, await self._meanings.stored_versions(name))
            await self._note(name)
        except RedisUnavailable:
            raise
        except InsituError as error:
            log.warning("%s: %s", name, error)

    async def _note(self, name: str) -> None:
        """Keep what a model means, for a start without Redis."""
        meaning = self._meanings.get(name)
        if self._kept is not None and meaning is not None:
            rule = None if meaning.rule is None else meaning.rule.to_json()
            await self._kept.note(name, meaning.aliases, rule)

    async def _renew(self, name: str) -> None:
        """Load anew what is stored otherwise than it was loaded.

        A version never changes, but a Redis that has lost what it had gives its number to another.

        Raises: RedisUnavailable, RedisRefused.
        """
        loaded = self._loader.of(name)
        places = [(name, one.manifest.version) for one in loaded]
        async with in_time(LOOK_UP_SECONDS):
            stored = await self._store.manifests(places)
        for place, one, now in zip(places, loaded, stored, strict=True):
            if one.left or now is None or now == one.manifest:
                continue
            try:
                await self._loader.renew(*place)
            except RedisUnavailable:
                raise
            except InsituError:  # the loader told why; what serves goes on
                continue
            log.warning("%s v%d was stored anew, as another version; that one serves now", *place)

    async def sync(self) -> None:
        """Look at every model that was met; in a cluster not at one whose node is away, which is found out once.

        Raises: RedisUnavailable.
        """
        walk = Walk(self._store)
        for name in list(self._meanings.names()):
            await walk.at(name, self.changed)
        if walk.left and walk.left != self._left:
            log.warning("not looked at: %s", walk.told)
        self._left = walk.left
        if self._kept is not None:
            await self._kept.looked([one.manifest for one in self.loaded()])

    async def resume(self, most: int) -> str | None:
        """Serve what is kept of models that were not met; load those that were used last, `most` of them.

        Return when Redis was looked at for them, None where none can be loaded. One that takes long is not waited for.
        """
        if self._kept is None:
            return None
        known, looked_at = await self._kept.known()
        missing = [one for one in known if not self.knows(one.name)]
        newest = {one.name: one.versions[0] for one in missing[:most]}
        async with self._kept.alone():
            for one in missing:
                self._meanings.restore(one.name, one.aliases, as_rule(one.name, one.traffic))
            names = iter(newest)
            await asyncio.gather(*(self._resume(names, newest) for _ in range(PRELOADS_AT_ONCE)))
        loaded = [name for name in newest if self._loader.of(name) or self._loader.loading(name)]
        if not loaded:
            return None
        told = len(loaded), self._kept.place, looked_at
        log.warning("Redis is away: %d models are served from %s, as Redis had them at %s", *told)
        return looked_at

    async def _resume(self, names: Iterator[str], newest: Mapping[str, int]) -> None:
        """Load one kept model after the other: what production means, or else its newest version."""
        evicted = self._loader.evicted
        for name in names:
            try:
                async with asyncio.timeout(PRELOAD_SECONDS):
                    means = self._needed(name, None)
                    await (self.routed(name) if means else self.get(name, newest[name]))
            except TimeoutError:
                log.warning("%s takes long to load; it is not waited for", name)
            except InsituError as error:
                log.warning("%s is not loaded from what is kept: %s", name, error)
            if self._loader.evicted > evicted:
                return

    async def preload(self, most: int) -> None:
        """Load what production means for the first models stored, while there is memory for them.

        A few at a time, and one that takes long is not waited for: it goes on by itself. In a cluster one whose
        node is away is left to its first request.
        Raises: RedisUnavailable.
        """
        names = iter((await self.stored())[:most])
        walk = Walk(self._store)
        works = [asyncio.ensure_future(self._preload(names, walk)) for _ in range(PRELOADS_AT_ONCE)]
        try:
            await asyncio.gather(*works)
        finally:
            await ended(works)
        if walk.left:
            log.warning("not loaded: %s", walk.told)

    async def stored(self) -> list[str]:
        """Return the models to walk along; see `names_to_walk`.

        Raises: RedisUnavailable, RedisRefused.
        """
        async with in_time(LOOK_UP_SECONDS):
            return await names_to_walk(self._store)

    async def _preload(self, names: Iterator[str], walk: Walk) -> None:
        """Load one model after the other, but none whose node others have found away."""
        evicted = self._loader.evicted
        for name in names:
            await walk.at(name, self._preload_one)
            if self._loader.evicted > evicted:
                log.info("the memory for models is full; the others are loaded when they are asked for")
                return

    async def _preload_one(self, name: str) -> None:
        """Load a model, or say why it is not loaded.

        Raises: RedisUnavailable.
        """
        try:
            async with asyncio.timeout(PRELOAD_SECONDS):
                await self.get(name)
        except TimeoutError:
            if self._apart and not self.knows(name):  # its aliases did not come
                raise RedisUnavailable(f"no reply within {PRELOAD_SECONDS:g} s") from None
            log.warning("%s takes long to load; it is not waited for", name)
        except RedisUnavailable:
            raise
        except InsituError as error:
            log.warning("not loaded: %s", error)

    async def close(self) -> None:
        """Stop loading, and end what runs."""
        await self._meanings.close()
        await self._loader.close()


def as_rule(name: str, stored: str | None) -> Traffic | None:
    """Return a kept rule; None where there is none, or it cannot be read."""
    with suppress(BadTraffic):
        return None if stored is None else Traffic.from_json(name, stored.encode())
    return None


def is_production(reference: Reference) -> bool:
    """Whether a request means what production means, so that a traffic rule decides."""
    return reference is None or reference in ("", PRODUCTION)
