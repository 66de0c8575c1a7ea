"""The URL of a master behind sentinels, taken apart into URLs of one server each; pure.

redis+sentinel://[user:password@]host:26379[,host:26379...]/SERVICE[/DB][?sentinel_password=...]

User, password, database and client name are the master's; `sentinel_username` and
`sentinel_password` are the sentinels'. With rediss+sentinel:// both are spoken to over TLS.
"""

from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

SENTINEL_PORT = 26379
ANYWHERE = "master"  # stands for the host that only the sentinels know
OF_MASTER = {"username", "password", "client_name", "db"}


@dataclass(frozen=True, slots=True)
class Guarded:
    """A service, its sentinels, and how its master is spoken to; the URLs are plain ones."""

    service: str
    master: str
    sentinels: tuple[str, ...]


def guarded(url: str) -> Guarded:
    """Return what a sentinel URL names.

    Raises: ValueError.
    """
    scheme, _, rest = url.partition("+sentinel://")
    before_query, _, query = rest.partition("?")
    authority, _, path = before_query.partition("/")
    credentials, at, hosts = authority.rpartition("@")
    service, _, db = path.strip("/").partition("/")
    if not service:
        raise ValueError("the service's name is missing: redis+sentinel://HOST:26379/SERVICE")
    options = parse_qsl(query, keep_blank_values=True)
    master = [(name, value) for name, value in options if not name.startswith("sentinel_")]
    return Guarded(
        unquote(service),
        f"{scheme}://{credentials}{at}{ANYWHERE}/{db}?{urlencode(master)}",
        tuple(sentinel(scheme, host, options) for host in hosts.split(",")),
    )


def sentinel(scheme: str, place: str, options: list[tuple[str, str]]) -> str:
    """Return the URL of one sentinel.

    Raises: ValueError, no host and port.
    """
    parts = urlsplit(f"//{place}")
    if not parts.hostname:
        raise ValueError(f"no host of a sentinel: {place!r}")
    known = dict(options)
    own = {name: known[name] for name in known if not name.startswith("sentinel_") and name not in OF_MASTER}
    user, password = (quote(known.get(f"sentinel_{name}", ""), safe="") for name in ("username", "password"))
    credentials = f"{user}:{password}@" if user or password else ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{scheme}://{credentials}{host}:{parts.port or SENTINEL_PORT}?{urlencode(own)}"
