"""Metrics of the two roads: the same requests leave the same numbers."""

import re
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from models.store import ModelStore
from tests.integration.rest import stock
from tests.integration.rest.conftest import Listen
from tests.integration.rest.exchanges import BODY_LIMIT, OPEN, PATH, Exchanges
from tests.integration.rest.speaking import head, line, post
from tests.integration.rest.wired import Wire

COUNTER = re.compile(r"^(insitu_\w+(?:_total|_count)(?:{[^}]*})?) (.+)$", re.MULTILINE)
READ = head("GET /metrics HTTP/1.1", "Host: 127.0.0.1", "Connection: close")


async def counters(wire: Wire) -> dict[str, float]:
    """Return every counter that a server tells."""
    async with line(wire.port) as one:
        await one.say(READ)
        (reply,) = await one.hear()
    return {name: float(value) for name, value in COUNTER.findall(reply.body.decode())}


async def said(wire: Wire, exchanges: Exchanges) -> None:
    """Say everything, one after the other."""
    for exchange in exchanges.values():
        async with line(wire.port) as one:
            await one.say(exchange.said)
            await one.hear(len(exchange.statuses))


@pytest.mark.usefixtures("stocked")
async def test_the_same_requests_leave_the_same_numbers(
    listen: Listen, redis: Redis, store: ModelStore
) -> None:
    await stock.spoil(redis, store)
    ours, plain = await listen(max_body_bytes=BODY_LIMIT), await listen(max_body_bytes=BODY_LIMIT, plain=True)

    alone = {name: one for name, one in OPEN.items() if name != "two at once"}  # they may share a run

    await said(ours, alone)
    await said(plain, alone)

    counted = await counters(ours)
    assert counted == await counters(plain)
    assert counted['insitu_requests_total{model="churn",version="1"}'] > 50
    assert counted["insitu_redis_round_trips_total"] > 50


@pytest.mark.usefixtures("stocked")
async def test_requests_of_one_moment_are_counted_one_by_one(listen: Listen) -> None:
    keys = ["customer:1", "customer:2", "customer:99", "customer:young", "order:1", "customer:nan"]
    counted: list[dict[str, float]] = []
    heard: list[list[bytes]] = []

    for plain in (False, True):
        wire = await listen(plain=plain)
        async with AsyncExitStack() as stack:
            lines = [await stack.enter_async_context(line(wire.port)) for _ in range(60)]
            for number, one in enumerate(lines):
                await one.say(post(b'{"keys": ["%b"]}' % keys[number % 6].encode(), path=PATH))
            replies = [(await one.hear())[0] for one in lines]
        heard.append([reply.body for reply in replies])
        counted.append(await counters(wire))

    assert heard[0] == heard[1]
    # What a moment costs is paid once, and who was refused in it waited with the others.
    shared = ("insitu_run_", "insitu_batch_", "insitu_redis_", "insitu_queue_", "insitu_feature_read_")
    ours, theirs = ({name: one[name] for name in one if not name.startswith(shared)} for one in counted)
    assert ours == theirs
