"""A version that goes, alone or with the aliases that point to it."""

from models.errors import VersionInUse
from models.store import PRODUCTION, ModelStore


async def delete_version(store: ModelStore, name: str, version: int, *, with_aliases: bool) -> None:
    """Delete a version, and the aliases that point to it where they may go too.

    Raises: BadName, ModelNotFound, VersionNotFound, RedisUnavailable, RedisRefused; VersionInUse, aliases that may
            not go point to it, or it has traffic, which ends with production alone: then all of them stay.
    """
    try:
        await store.delete(name, version)
    except VersionInUse as error:
        aliases = [alias for alias, meant in (await store.aliases(name)).items() if meant == version]
        if not with_aliases or (error.details["traffic"] and PRODUCTION not in aliases):
            raise
        for alias in aliases:
            await store.remove_alias(name, alias)
        await store.delete(name, version)
