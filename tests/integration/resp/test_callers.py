"""The harness of the commands gives what a client's own connection gives."""

from redis.exceptions import ResponseError

from server.resp.caller import Caller, Script
from server.resp.wire.replies import RESP3
from tests.integration.resp.callers import OwnConnection
from tests.integration.resp.conftest import MakeCaller

SUM = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
FAILS = Script("return redis.error_reply('WRONGTYPE no')")


async def test_replies_are_as_redis_sends_them_an_error_in_its_place(caller: Caller) -> None:
    replies = await caller.redis([("SET", "a", b"\xff"), ("GET", "a"), ("LPUSH", "a", 1), ("GET", "b")])

    assert replies[:2] == [b"OK", b"\xff"]
    assert isinstance(replies[2], ResponseError)
    assert str(replies[2]).startswith("WRONGTYPE ")
    assert replies[3] is None


async def test_a_script_is_sent_whole_once(caller: Caller) -> None:
    assert isinstance(caller.redis, OwnConnection)

    assert [await caller.script(SUM, ["n"], [2]) for _ in range(3)] == [2, 4, 6]
    assert caller.redis.sent == 4
    assert str(await caller.script(FAILS, [])).startswith("WRONGTYPE no")


async def test_each_caller_has_its_own_connection_and_database(
    make_caller: MakeCaller, caller: Caller
) -> None:
    other = await make_caller(caller.engine, RESP3, db=3)

    await other.redis([("SET", "a", "three")])

    assert await caller.redis([("GET", "a")]) == [None]
    assert await other.redis([("GET", "a")]) == [b"three"]
