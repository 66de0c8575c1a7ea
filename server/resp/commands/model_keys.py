"""Keys that point to a model: all in the database of a client, however they came there; Redis has no list of them.

Redis looks at some keys in each of many short scripts, so that nobody waits for all of them.
"""

from redis.exceptions import ResponseError

from models.model_pointers import POINTER_BYTES, START, ModelPointer
from server.resp.caller import Redis, Script, run

MOST_KEYS = 100_000  # a database of more is not looked through, it would take seconds
KEYS_AT_ONCE = 200  # for each Redis takes a few microseconds, and others wait meanwhile
# ARGV: cursor, how many keys, how a pointer begins, how long one is.  Returns the next cursor, then keys and values.
FIND = Script("""
local scanned = redis.call('SCAN', ARGV[1], 'COUNT', ARGV[2], 'TYPE', 'string')
local found = {scanned[1]}
for _, key in ipairs(scanned[2]) do
    local value = redis.pcall('GETRANGE', key, 0, ARGV[4])
    if type(value) == 'string' and string.sub(value, 1, #ARGV[3]) == ARGV[3] then
        found[#found + 1] = key
        found[#found + 1] = value
    end
end
return found
""")

Pointers = dict[bytes, ModelPointer]


async def pointers(redis: Redis) -> Pointers | None:
    """Return the keys of a client's database that point to a model, those that it may read.

    None where there are too many keys to look at, or Redis lets the client look at none. A key that is
    renamed meanwhile may be missed.

    Raises: RedisUnavailable.
    """
    (size,) = await redis([("DBSIZE",)])
    if not isinstance(size, int) or size > MOST_KEYS:
        return None
    found: Pointers = {}
    cursor = b"0"
    while True:
        reply = await run(redis, FIND, [], [cursor, KEYS_AT_ONCE, START, POINTER_BYTES])
        if isinstance(reply, ResponseError):
            return None
        cursor, *pairs = reply
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            pointer = ModelPointer.parse(value)
            if pointer is not None:
                found[key] = pointer
        if cursor == b"0":
            return found
