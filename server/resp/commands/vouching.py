"""Whether Redis lets a client change what a server then changes by its own account."""

from collections.abc import Sequence

from redis.exceptions import ResponseError

from server.resp.caller import Caller
from server.resp.refusals import Refused

# KEYS: hashes of Insitu, none of which has a field without a name: nothing is changed.
# It is sent whole, as a publisher's rights in docs/redis-keys.md have EVAL alone.
WRITES = "for i = 1, #KEYS do redis.call('HDEL', KEYS[i], '') end"


async def check_writes(caller: Caller, keys: Sequence[str] = ()) -> None:
    """Go on where Redis lets a client run a script that writes to these keys, or a token lets them do everything.

    Raises: Refused, in the words of Redis; RedisUnavailable.
    """
    if caller.by_token:
        return
    (reply,) = await caller.redis([("EVAL", WRITES, len(keys), *keys)])
    if isinstance(reply, ResponseError):
        raise Refused(str(reply))
