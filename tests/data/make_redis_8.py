"""Write tests/data/redis-8.rdb with a Redis 8: the types that older servers do not write, hashes whose fields expire.

    python -m tests.data.make_redis_8 /path/to/redis-server

The file that lies here was written by Redis 8.2.3. It has 8 keys in databases 0 and 1.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

from redis import Redis

from tests.servers import RedisServer

FILE = Path(__file__).parent / "redis-8.rdb"
KEYS = 8
FIELDS: dict[Any, Any] = {"a": "1", "b": "2", "c": "3"}
LATER_MS = 4_102_444_800_000  # the year 2100


def fill(redis: Redis) -> None:
    """Write each form of a hash whose fields expire, and what else has a type of its own."""
    for entries, name in ((512, "few"), (1, "many")):
        redis.config_set("hash-max-listpack-entries", entries)
        redis.hset(name, mapping=FIELDS)
        redis.execute_command("HPEXPIREAT", name, LATER_MS, "FIELDS", 2, "a", "b")
    redis.sadd("members", "x", "y")
    redis.rpush("list", "x" * 100, "y")
    redis.zadd("sorted", {"x": 1.5})
    redis.xadd("stream", {"f": "v"}, id="1-0")
    redis.xgroup_create("stream", "group", "0")
    redis.xreadgroup("group", "me", {"stream": ">"})
    redis.set("expiring", "v", pxat=LATER_MS)
    redis.execute_command(
        "FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() return 1 end)"
    )


def main(binary: Path) -> None:
    """Write the file."""
    server = RedisServer(binary).start()
    try:
        with server.connect() as redis:
            fill(redis)
            with Redis(unix_socket_path=str(server.socket), db=1) as other:
                other.set("other", "v")
            redis.save()
        shutil.copy(server.directory / "dump.rdb", FILE)
    finally:
        server.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
