"""Publishing: an ONNX file is checked, tried in a process of its own, and stored as the next version; one at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from models.composing import Wording, compose_bundle
from models.errors import BundleCorrupt, ManifestUnreadable, ModelNotFound
from models.graph import inspect_graph
from models.manifest import Manifest
from models.store import PRODUCTION, ModelStore
from models.succession import inherited
from server.inference.errors import Overloaded
from server.inference.trials import Trials

SLOT_SECONDS = 30.0


@asynccontextmanager
async def taken(slot: asyncio.Lock, name: str) -> AsyncIterator[None]:
    """Hold a slot of those who bring files for a model.

    Raises: Overloaded, when another keeps it too long.
    """
    try:
        async with asyncio.timeout(SLOT_SECONDS):
            await slot.acquire()
    except TimeoutError:
        raise Overloaded(name, 0, SLOT_SECONDS) from None
    try:
        yield
    finally:
        slot.release()


class Publisher:
    """Publishes files for every door."""

    def __init__(self, store: ModelStore, trial: Trials, limit_bytes: int) -> None:
        """Take a store, what tries files, and how large one may be."""
        self._store = store
        self._trial = trial
        self._limit_bytes = limit_bytes
        self._slot = asyncio.Lock()  # each upload holds a whole model in memory

    def turn(self, name: str) -> AbstractAsyncContextManager[None]:
        """Hold the slot of uploads, from before the file is received until it is stored.

        Raises: Overloaded, when another upload keeps it too long.
        """
        return taken(self._slot, name)

    async def publish(self, name: str, onnx: bytes, wording: Wording, alias: str | None = PRODUCTION) -> int:
        """Check, try and store a model file, and return its version.

        Raises: BadName, BadModelFile, BadFeatureView, ModelTooLarge, RedisUnavailable, RedisRefused.
        """
        bundle = await asyncio.to_thread(compose_bundle, onnx, name, wording, self._limit_bytes)
        await self._trial.admit(bundle)
        return (await self._store.publish(bundle, alias)).version

    async def succeed(self, name: str, onnx: bytes) -> int:
        """Publish a file of which nothing is said: it goes on as the version that serves, where it fits.

        Raises: as `publish`.
        """
        previous = await self._previous(name)
        if previous is None:
            return await self.publish(name, onnx, Wording())
        graph = await asyncio.to_thread(inspect_graph, onnx, self._limit_bytes)
        return await self.publish(name, onnx, inherited(previous, graph))

    async def _previous(self, name: str) -> Manifest | None:
        """Return what production means, or the newest version; None where nothing readable is stored."""
        try:
            versions = await self._store.versions(name)
            serving = (await self._store.aliases(name)).get(PRODUCTION, versions[-1])
            return await self._store.manifest(name, serving)
        except (ModelNotFound, ManifestUnreadable, BundleCorrupt):
            return None
