"""The same bytes sent to Redis itself and to the door bring the same bytes back."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.integration.resp.doors import OpenedDoor, command, line
from tests.servers import RedisServer


def C(text: str, *more: bytes | str | int) -> bytes:  # noqa: N802  # short, for the tables below
    """A command of the words of a text, and more words."""
    return command(*text.split(), *more)


HELLO_3 = C("HELLO 3")
BIG = b"v" * 300_000
# What differs by nature: ids, addresses, times.
OWN = re.compile(rb"(:|id=|addr=|laddr=|fd=|age=|idle=)(\d{1,19}|[\d.]+:\d+|/[^ ]*:0)(?=\r\n| )")

CASES: dict[str, Sequence[bytes]] = {
    "nothing": [b""],
    "strings": [C("SET a 1"), C("GET a"), C("APPEND a", "\x00\xff"), C("GETRANGE a 0 -1"), C("GET b")],
    "numbers": [C("INCR n"), C("INCRBY n 41"), C("INCRBYFLOAT n 0.5"), C("INCR n")],
    "hashes": [C("HSET h f 1 g 2"), C("HGETALL h"), C("HMGET h f x"), C("HGETALL no")],
    "hashes in RESP3": [HELLO_3, C("HSET h f 1 g 2"), C("HGETALL h"), C("HRANDFIELD h 0")],
    "lists": [C("RPUSH l", *range(100)), C("LRANGE l 0 -1"), C("LPOP l 3"), C("LINDEX l 500")],
    "sets": [C("SADD s x"), C("SMEMBERS s"), C("SISMEMBER s y"), HELLO_3, C("SMEMBERS s")],
    "sorted sets": [C("ZADD z 1.5 a 2 b"), C("ZRANGE z 0 -1 WITHSCORES"), HELLO_3, C("ZSCORE z a"),
                    C("ZRANGE z 0 -1 WITHSCORES")],
    "streams": [C("XADD st 1-1 f v"), C("XRANGE st", "-", "+"), C("XREAD COUNT 1 STREAMS st 0")],
    "streams in RESP3": [HELLO_3, C("XADD st 1-1 f v"), C("XREAD STREAMS st 0"), C("XINFO STREAM st")],
    "geo": [C("GEOADD g 13.36 38.11 p"), C("GEOPOS g p q"), HELLO_3, C("GEOPOS g p q")],
    "bits and logs": [C("SETBIT bits 7 1"), C("BITCOUNT bits"), C("PFADD hll a"), C("PFCOUNT hll")],
    "expiry": [C("SET e 1 EX 100"), C("PERSIST e"), C("TTL e"), C("EXPIRE none 1")],
    "errors": [C("NOSUCH x"), C("GET"), C("SET l 1"), C("LPUSH l 1"), C("INCR l"), C("EVAL", "return x", 0)],
    "scripts": [C("EVAL", "return {1,2,{3,'four',false},redis.status_reply('S')}", 0), C("EVALSHA", "0" * 40, 0),
                C("EVAL", "return redis.call('SET',KEYS[1],ARGV[1])", 1, "k", "v"), C("EVAL", "error('x')", 0)],
    "scripts in RESP3": [HELLO_3, C("EVAL", "redis.setresp(3); return {map={a=1},double=1.5}", 0),
                         C("EVAL", "redis.setresp(3); return {double=1.5}", 0), C("EVAL", "return true", 0)],
    "debug replies": [HELLO_3, *(C("DEBUG", "PROTOCOL", kind) for kind in
                      ("string", "integer", "double", "null", "array", "set",
                    "map", "attrib", "push", "verbatim", "true", "bignum"))],
    "debug replies in RESP2": [*(C("DEBUG", "PROTOCOL", kind) for kind in
                               ("double", "null", "set", "map", "attrib", "verbatim", "false", "bignum"))],
    "databases": [C("SELECT 3"), C("SET x 3"), C("SELECT 15"), C("GET x"), C("SELECT 16"), C("SELECT y"),
                  C("SELECT"), C("SWAPDB 3 15"), C("GET x"), C("MOVE x 0"), C("DBSIZE")],
    "a transaction": [C("MULTI"), C("SET a 1"), C("INCR a"), C("EXEC"), C("GET a")],
    "a transaction in one go": [C("MULTI") + C("SELECT 2") + C("SET a 1") + C("EXEC") + C("GET a")],
    "a discarded one": [C("MULTI"), C("SET a 1"), C("DISCARD"), C("GET a"), C("DISCARD"), C("EXEC")],
    "a spoiled one": [C("MULTI"), C("NOSUCH"), C("SET a 1"), C("EXEC"), C("GET a")],
    "a failing one": [C("SET a x"), C("MULTI"), C("INCR a"), C("LPUSH a 1"), C("GET a"), C("EXEC")],
    "nested": [C("MULTI"), C("MULTI"), C("WATCH a"), C("GET a"), C("EXEC"), C("PING")],
    "watched": [C("WATCH a"), C("SET a 1"), C("MULTI"), C("GET a"), C("EXEC"), C("GET a")],
    "watched in RESP3": [HELLO_3, C("WATCH a"), C("SET a 1"), C("MULTI"), C("GET a"), C("EXEC"), C("GET a")],
    "unwatched": [C("WATCH a"), C("SET a 1"), C("UNWATCH"), C("MULTI"), C("GET a"), C("EXEC")],
    "reset in a transaction": [C("MULTI"), C("SET a 1"), C("RESET"), C("GET a"), C("EXEC")],
    "subscribed": [C("SUBSCRIBE c d c"), C("PSUBSCRIBE p*"), C("PING"), C("PING x"), C("GET a"), C("PUBLISH c 1"),
                   C("UNSUBSCRIBE c"), C("UNSUBSCRIBE"), C("PUNSUBSCRIBE"), C("GET a"), C("PUBLISH c 1")],
    "unsubscribed from nothing": [C("UNSUBSCRIBE"), C("PUNSUBSCRIBE x"), C("SUNSUBSCRIBE"), C("GET a"),
                    C("SUBSCRIBE")],
    "sharded": [C("SSUBSCRIBE c"), C("SUNSUBSCRIBE c"), C("SPUBLISH c 1"), C("GET a")],
    "subscribed in RESP3": [HELLO_3, C("SUBSCRIBE c"), C("GET a"), C("PUBLISH c m"), C("PUBLISH c", BIG), C("GET a"),
                            C("UNSUBSCRIBE"), C("GET a")],
    "lists that look like messages": [HELLO_3, C("RPUSH l message c x"), C("SUBSCRIBE c"), C("LRANGE l 0 -1"),
                                      C("LRANGE l 0 -1"), C("UNSUBSCRIBE"), C("LRANGE l 0 -1"), C("SELECT 1"),
                    C("GET a")],
    "reset without a reply": [C("CLIENT REPLY SKIP") + C("RESET") + C("GET none") + C("PING")],
    "reset of silence": [C("CLIENT REPLY OFF") + C("GET none") + C("RESET") + C("PING")],
    "reset while subscribed": [C("SUBSCRIBE c"), C("RESET"), C("GET a"), C("PUBLISH c 1")],
    "subscribed inside a transaction": [C("MULTI"), C("SUBSCRIBE c"), C("EXEC"), C("UNSUBSCRIBE"), C("GET a")],
    "tracking": [HELLO_3, C("CLIENT TRACKING ON"), C("GET a"), C("SET a 1"), C("GET a"), C("MSET a 2 b 3"),
                 C("CLIENT TRACKING OFF"), C("GET a")],
    "greetings": [C("HELLO 2"), C("HELLO 4"), C("HELLO x"), C("HELLO 3 SETNAME n"), C("CLIENT GETNAME"), C("HELLO"),
                  C("HELLO 2"), C("HELLO 3 AUTH a b"), C("HELLO 3 AUTH"), C("HELLO 3 SETNAME")],
    "passwords": [C("AUTH x"), C("AUTH default x"), C("AUTH"), C("AUTH 1 2 3"), C("GET a")],
    "replies off": [C("CLIENT REPLY OFF"), C("SET a 1"), C("GET a"), C("CLIENT REPLY SKIP"), C("GET a"),
                    C("CLIENT REPLY ON"), C("GET a")],
    "one reply skipped": [C("CLIENT REPLY SKIP"), C("GET a"), C("PING"),
                    C("CLIENT REPLY SKIP") + C("PING 1") + C("PING 2")],
    "one reply skipped for an empty line": [C("CLIENT REPLY SKIP") + b"\r\n" + C("GET a"), C("CLIENT REPLY SKIP"),
                    b"\r\n", C("GET a"), C("CLIENT REPLY SKIP") + b"*0\r\n" + C("GET a") + C("PING"),
                    C("CLIENT REPLY SKIP") + C("GET a") + b"\r\n" + C("PING")],
    "replies": [C("CLIENT REPLY x"), C("CLIENT REPLY"), C("CLIENT REPLY ON x"), C("CLIENT REPLY ON")],
    "a name": [C("CLIENT SETNAME me"), C("CLIENT GETNAME"), C("CLIENT SETINFO LIB-NAME x"), C("CLIENT NO-EVICT ON")],
    "inline": [b"PING\r\n", b"SET  in 'a b'\n", b'GET "in"\r\n', b"\r\n", b"\n", b'ECHO "\\x41\\n\\"" \r\n',
                    b"get in\r\n", b"'PING' x\r\n"],
    "inline and quoted": [b'"SELECT" 3\r\n', b"SET a 1\r\n", b"\"MULTI\"\r\n'GET' a\r\nEXEC\r\n"],
    "empty commands": [b"*0\r\n", b"*-1\r\n", C("PING"), b"*0\r\n*0\r\n" + C("PING")],
    "an empty name": [b"*1\r\n$0\r\n\r\n", b"*2\r\n$0\r\n\r\n$1\r\na\r\n"],
    "long names": [C("X" * 63), C("Y" * 64), C("Z" * 65), C("W" * 200, "x"), C("V" * 20_000)],
    "lower case": [C("ping"), C("sEt a 1"), C("select 2"), C("get a"), C("multi"), C("Exec")],
    "cut anywhere": [bytes([one]) for one in C("SET cut value") + C("GET cut") + b"PING\r\n" + C("SELECT 1")],
    "large values": [C("SET big", BIG), C("GET big"), C("APPEND big", BIG) + C("STRLEN big") + C("GET big")],
    "many words": [C("RPUSH l", *range(50_000)), C("LLEN l"), C("DEL", *range(30_000))],
    "a long pipeline": [b"".join(C("INCR n") + C("GET n") for _ in range(2_000))],
    "blocking with something there": [C("RPUSH l 1 2"), C("BLPOP l 1"), C("BRPOPLPUSH l m 1"), C("BLPOP l 0.01")],
    "in one go": [C("SELECT 1") + C("SET a 1") + C("SUBSCRIBE x") + C("PING") + C("UNSUBSCRIBE") + C("GET a")
                  + C("HELLO 3")
                  + C("GET none") + C("CLIENT REPLY SKIP") + C("GET a") + C("GET a") + C("RESET") + C("GET a")],
}  # fmt: skip

# After which Redis ends the connection.
ENDING: dict[str, Sequence[bytes]] = {
    "quit": [C("SET a 1") + C("QUIT")],
    "quit inline": [b"quit\r\n"],
    "no number of words": [C("PING"), b"*x\r\n$4\r\nPING\r\n"],
    "too many words": [b"*2147483648\r\n"],
    "blank in a number": [b"* 1\r\n$4\r\nPING\r\n"],
    "a leading zero": [b"*01\r\n$4\r\nPING\r\n"],
    "no bulk string": [b"*1\r\n+PING\r\n"],
    "no bulk string later": [C("PING") + b"*2\r\n$4\r\nPING\r\n:1\r\n"],
    "a negative length": [b"*2\r\n$4\r\nPING\r\n$-1\r\n"],
    "no length": [b"*2\r\n$4\r\nPING\r\n$x\r\n"],
    "an empty length": [b"*1\r\n$\r\n"],
    "too long a word": [b"*2\r\n$3\r\nGET\r\n$536870913\r\n"],
    "a number that does not end": [b"*" + b"1" * 70_000],
    "a length that does not end": [b"*1\r\n$" + b"1" * 70_000],
    "a length that does not end, later": [b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$" + b"1" * 70_000],
    "mistaken inside a large command": [b"*4\r\n$4\r\nMSET\r\n$1\r\na\r\n$%d\r\n%b\r\n:x\r\n" % (len(BIG), BIG)],
    "a line that does not end": [b"x" * 70_000],
    "open quotes": [b"SET a 'b\r\n"],
    "open quotes around a name": [b"'SELECT 3\r\n"],
    "open quotes after SELECT": [b"SELECT '3\r\n"],
    "mistaken after a reply that is awaited": [C("BLPOP none 0.05") + b"*x\r\n"],
    "mistaken after what was asked": [C("SET a 1") + C("GET a") + C("SELECT 1") + C("GET a") + b"*1\r\n?\r\n"],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
async def test_what_redis_says_comes_back_unchanged(
    name: str, door: OpenedDoor, redis: Redis, place: str
) -> None:
    async with line(place, 0) as direct:
        await direct.say(*CASES[name])
        expected = told(await direct.until_quiet())
    await redis.flushall()
    through = await door.line()

    await through.say(*CASES[name])

    assert told(await through.until_quiet()) == expected


@pytest.mark.parametrize("name", ENDING)
async def test_the_end_is_as_redis_ends(name: str, door: OpenedDoor, redis: Redis, place: str) -> None:
    async with line(place, 0) as direct:
        await direct.say(*ENDING[name])
        expected = await direct.until_end()
    await redis.flushall()
    through = await door.line()

    await through.say(*ENDING[name])

    assert await through.until_end() == expected


@pytest.fixture(scope="module")
def speaking_freely(redis_binary: Path) -> Iterator[RedisServer]:
    """A server whose DEBUG PROTOCOL says every kind of reply."""
    server = RedisServer(redis_binary, ("--enable-debug-command", "yes"))
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def redis_url(speaking_freely: RedisServer) -> str:
    with speaking_freely.connect() as client:
        client.flushall()
    return speaking_freely.url


@pytest.fixture
def place(speaking_freely: RedisServer) -> str:
    return str(speaking_freely.socket)


TEXTS = """
    PING|ECHO x|SET a 1|GET a|GET none|INCR a|DEL a l|RPUSH l 1 2|LRANGE l 0 -1|HSET h f 1|HGETALL h|HGETALL l
    |NOSUCH|GET|SELECT 1|SELECT 0|SELECT 99|MULTI|EXEC|DISCARD|WATCH a|UNWATCH|SUBSCRIBE c|SUBSCRIBE c d
    |PSUBSCRIBE c*|UNSUBSCRIBE|UNSUBSCRIBE c|PUNSUBSCRIBE|SSUBSCRIBE s|SUNSUBSCRIBE|PUBLISH c m|PUBLISH d m
    |SPUBLISH s m|RESET|HELLO 3|HELLO 2|HELLO 9|AUTH x|CLIENT REPLY ON|CLIENT REPLY SKIP|CLIENT TRACKING ON
    |CLIENT TRACKING OFF|CLIENT GETNAME|EXPIRE a 9|BLPOP l 0.01|BLPOP none 0.01|EVAL x 0|DEBUG PROTOCOL attrib
    |DEBUG PROTOCOL map|DEBUG PROTOCOL push
"""
LINES = [b"PING\r\n", b"set a 'b c'\n", b"\r\n", b"*0\r\n", b'"select" 1\r\n']
MORE = [C("SET b", BIG), C("GET b"), C("EVAL", "return {1,{2,'x'}}", 0)]
ANYTHING = st.sampled_from([*(C(text) for text in TEXTS.split("|")), *LINES, *MORE])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(ANYTHING, min_size=1, max_size=14), cuts=st.lists(st.floats(0, 1), max_size=5))
async def test_any_commands_in_any_pieces_are_answered_as_redis_answers(
    door: OpenedDoor, redis: Redis, place: str, parts: list[bytes], cuts: list[float]
) -> None:
    data = b"".join(parts) + C("CLIENT REPLY ON") + C("DISCARD")
    places = sorted({0, len(data), *(int(one * len(data)) for one in cuts)})
    heard = []
    for host, port in ((place, 0), (door.host, door.port)):
        await redis.flushall()
        async with line(host, port) as one:
            await one.say(*(data[start:end] for start, end in pairwise(places)))
            heard.append(told(await one.until_quiet()))

    assert heard[1] == heard[0]


def told(heard: bytes) -> bytes:
    """What was heard, less what differs by nature."""
    return OWN.sub(rb"\1N", heard)
