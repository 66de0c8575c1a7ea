"""The databases of one Redis: a client for each, opened when it is first asked for."""

from urllib.parse import parse_qsl, urlencode

from redis.asyncio import Redis

from cli.errors import WrongUsage
from models.connecting import Kind, connect, named
from models.store import Client


def with_database(url: str, db: int) -> str:
    """Return the URL of another database of the same Redis."""
    before, _, query = url.partition("?")
    scheme, _, rest = before.partition("://")
    options = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "db"]
    if scheme == "unix":
        return f"{before}?{urlencode([*options, ('db', str(db))])}"
    place, _, path = rest.partition("/")
    service = path.partition("/")[0] + "/" if named(url).kind is Kind.SENTINEL else ""
    return f"{scheme}://{place}/{service}{db}" + (f"?{urlencode(options)}" if options else "")


def database_of(client: Client) -> int:
    """Return the database that a client works in."""
    return int(client.connection_pool.connection_kwargs.get("db") or 0) if isinstance(client, Redis) else 0


class Databases:
    """Clients of one Redis; `home` is that of the URL itself and belongs to whoever gave it."""

    def __init__(self, url: str, home: Client) -> None:
        self._url = url
        self._clients: dict[int, Client] = {database_of(home): home}
        self._home = home
        self._one = named(url).kind is Kind.CLUSTER

    def of(self, db: int) -> Client:
        """Return the client of a database.

        Raises: WrongUsage, a cluster has database 0 alone.
        """
        if db not in self._clients:
            if self._one:
                raise WrongUsage(
                    f"a Redis Cluster has database 0 alone, and keys of database {db} are to be written; "
                    "add --db 0 to leave them out"
                )
            self._clients[db] = connect(with_database(self._url, db))
        return self._clients[db]

    async def close(self) -> None:
        """Close every client that was opened here."""
        for client in self._clients.values():
            if client is not self._home:
                await client.aclose()
