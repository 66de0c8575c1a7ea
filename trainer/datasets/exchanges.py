"""Many commands in one trip to Redis, their bytes written once; replies as they come, refusals among them.

redis-py packs every argument of every command anew, which for rows of fifty fields costs more than
all the rest of reading them. A cluster is asked through its own pipeline, which knows the nodes.
"""

from collections.abc import Sequence
from typing import Any

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ResponseError

from models.assembly import Prepared
from models.encoding import Form
from models.store import Client

Asked = tuple[Form, str]


def features(prepared: Prepared) -> list[Asked]:
    """Return what is asked for the features of rows, a block of commands a row."""
    return [(form, key) for row in prepared.keys for form, key in zip(prepared.forms, row, strict=True)]


async def exchange(redis: Client, asked: Sequence[Asked]) -> list[Any]:
    """Send commands, each a form and the key to put in, and return a reply each.

    Raises: RedisError, OSError, when the connection breaks.
    """
    if isinstance(redis, RedisCluster):
        pipeline: Any = redis.pipeline(transaction=False)
        for form, key in asked:
            pipeline.execute_command(*form.of(key))
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        return replies
    pool: Any = redis.connection_pool
    connection = await pool.get_connection()
    try:
        await connection.send_packed_command(b"".join([form.encoded(key) for form, key in asked]))
        return [await reply(connection) for _ in asked]
    except BaseException:
        await connection.disconnect()  # replies that nobody has read must not answer what comes next
        raise
    finally:
        await pool.release(connection)


async def reply(connection: Any) -> Any:
    """Return one reply, or the error that it is."""
    try:
        return await connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error
