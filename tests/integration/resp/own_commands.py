"""Commands of a test's own, answered by the door beside Redis' commands.

T.SAY word       the word; nothing beside it
T.WAIT ms word   the word, a while later; several side by side
T.GET key        what Redis has, by the client's own connection; several side by side
T.PUT key value  written by the client's own connection; queued in MULTI
T.BIG bytes      so many
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError

from server.resp.caller import Caller
from server.resp.commands.command import Command, Queued
from server.resp.wire.replies import OK, bulk


async def say(_caller: Caller, words: Sequence[bytes]) -> bytes:
    await asyncio.sleep(0)
    return bulk(words[0])


async def wait(_caller: Caller, words: Sequence[bytes]) -> bytes:
    await asyncio.sleep(int(words[0]) / 1000)
    return bulk(words[1])


async def get(caller: Caller, words: Sequence[bytes]) -> bytes:
    (reply,) = await caller.redis([("GET", words[0])])
    if isinstance(reply, ResponseError):
        raise reply
    return caller.wire.null if reply is None else bulk(reply)


async def put(caller: Caller, words: Sequence[bytes]) -> bytes:
    await caller.redis([("SET", words[0], words[1])])
    return OK


async def big(_caller: Caller, words: Sequence[bytes]) -> bytes:
    return bulk(b"b" * int(words[0]))


def put_queued(_caller: Caller, words: Sequence[bytes]) -> Queued:
    return Queued(("SET", words[0], words[1], "GET"), turned)


def turned(reply: Any) -> bytes:
    return bulk(b"put instead of " + (reply or b"nothing"))


OWN = {
    one.name.encode(): one
    for one in (
        Command("T.SAY", 2, say, "says"),
        Command("T.WAIT", 3, wait, "waits", alongside=True),
        Command("T.GET", 2, get, "gets", alongside=True),
        Command("T.PUT", 3, put, "puts", queued=put_queued),
        Command("T.BIG", 2, big, "says much", alongside=True),
        Command("T.PREDICT", 2, say, "says to whoever may predict", alongside=True, scope="predict"),
    )
}
