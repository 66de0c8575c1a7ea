"""Identity: which Redis and prefix kept files are of, so that no server ever takes another's."""

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from redis.asyncio.connection import parse_url

from models.connecting import Kind, named

FOLDER = re.compile(r"[0-9a-f]{32}")
REDIS_PORT = 6379
SENTINEL_PORT = 26_379


@dataclass(frozen=True, slots=True)
class Identity:
    """A Redis as its URL names it, without user, password and options, and the prefix of keys in it."""

    redis: str
    prefix: str

    @classmethod
    def of(cls, url: str, prefix: str) -> "Identity":
        """Return the identity of what a URL leads to; two ways to write one URL have the same.

        Raises: BadName, no URL of Redis.
        """
        found = named(url)
        options = parse_url(found.redis)
        database = options.get("db", 0)
        if "path" in options:
            return cls(f"unix://{Path(options['path']).absolute()}?db={database}", prefix)
        if found.kind is Kind.CLUSTER:
            return cls(f"redis+cluster://{hosts(found.nodes, REDIS_PORT)}", prefix)
        if found.kind is Kind.SENTINEL:
            place = f"{hosts(found.sentinels, SENTINEL_PORT)}/{found.service}/{database}"
            return cls(f"redis+sentinel://{place}", prefix)
        return cls(f"redis://{hosts((found.redis,), REDIS_PORT)}/{database}", prefix)

    @property
    def folder(self) -> str:
        """The name of the folder of its files."""
        return sha256(f"{self.redis} {self.prefix}".encode()).hexdigest()[:32]


def hosts(urls: tuple[str, ...], usual_port: int) -> str:
    """Return the hosts and ports of URLs of one server each, whatever their order."""
    every = [urlsplit(url) for url in urls]
    return ",".join(sorted(f"{one.hostname or 'localhost'}:{one.port or usual_port}" for one in every))
