"""What a version's weights have gone through: the versions that it began with, each with the one before it."""

from collections.abc import Iterator
from dataclasses import dataclass

from models.errors import BundleCorrupt, ManifestUnreadable, ModelNotFound, VersionNotFound, listed
from models.keys import as_version
from models.manifest import Manifest
from models.recipe_training import start_of
from models.store import ModelStore

GONE = (ModelNotFound, VersionNotFound, BundleCorrupt, ManifestUnreadable)


@dataclass(frozen=True, slots=True)
class Lineage:
    """A version and those that it began with, the newest first; `lost` is one that cannot be read, as it was named."""

    manifests: tuple[Manifest, ...] = ()
    lost: str | None = None

    @property
    def before(self) -> "Lineage":
        """Without the version itself."""
        return Lineage(self.manifests[1:], self.lost)


async def lineage_of(store: ModelStore, manifest: Manifest) -> Lineage:
    """Return a version and those that it began with.

    Raises: RedisUnavailable, RedisRefused.
    """
    found, followed, lost = [manifest], set[str](), begun_with(manifest)
    while lost is not None and lost not in followed:
        followed.add(lost)
        name, version = start_of(lost)
        number = as_version(version)
        if number is None:  # an alias has moved on since
            break
        try:
            found.append(await store.manifest(name, number))
        except GONE:
            break
        lost = begun_with(found[-1])
    return Lineage(tuple(found), lost)


def begun_with(manifest: Manifest) -> str | None:
    """Return the version whose weights one began with, as its recipe names it."""
    training = (manifest.recipe or {}).get("training") or {}
    reference: str | None = training.get("from")
    return reference


def words_of(before: Lineage, whose: str) -> Iterator[str]:
    """Say of what came before a version that its rows do not count, and what of it is not known."""
    if before.manifests:
        names = listed(f"{one.name} version {one.version}" for one in before.manifests)
        yield f"those do not count that {names} may have learned from, which {whose} began with"
    if before.lost is not None:
        yield f"what {before.lost} learned from, which {whose} began with, is not known: it cannot be read"
