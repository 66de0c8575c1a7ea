"""Features are read in few round trips; a Redis that is away is told at once and found when it is back."""

import asyncio
import time
from collections.abc import Callable

import pytest
from redis.exceptions import ResponseError

from models.errors import RedisRefused, RedisUnavailable
from server.inference import reader as reading
from server.inference.errors import Overloaded
from tests.integration.server.conftest import MakeReader, until
from tests.servers import RedisNodes, RedisServer

Start = Callable[..., RedisServer]


def command(number: int) -> tuple[str, str, str]:
    return ("HGET", f"k:{number}", "x")


@pytest.fixture
def filled(redis_server: Start) -> RedisServer:
    """A Redis of the test's own with a thousand hashes; its data outlive a kill."""
    server = redis_server(aof=True)
    with server.connect() as client, client.pipeline() as pipeline:
        for number in range(1000):
            pipeline.hset(f"k:{number}", "x", number)
        pipeline.execute()
    return server


async def test_each_of_many_readers_gets_its_own_replies(reader: MakeReader, filled: RedisServer) -> None:
    one = reader(filled.url)

    answers = await asyncio.gather(
        *(one.read([command(number), command(999 - number)]) for number in range(500))
    )

    assert answers == [[b"%d" % number, b"%d" % (999 - number)] for number in range(500)]


async def test_readers_that_come_together_share_round_trips(reader: MakeReader, filled: RedisServer) -> None:
    trips: list[int] = []
    one = reader(filled.url, observe=lambda commands, _seconds: trips.append(commands))

    await asyncio.gather(*(one.read([command(number)]) for number in range(500)))

    assert sum(trips) == 500
    assert len(trips) <= 2 * reading.IN_FLIGHT


async def test_a_request_of_many_commands_is_sent_in_bounded_parts(
    reader: MakeReader, filled: RedisServer
) -> None:
    trips: list[int] = []
    one = reader(filled.url, observe=lambda commands, _seconds: trips.append(commands))

    replies = await one.read([command(number % 1000) for number in range(20_000)])

    assert replies == [b"%d" % (number % 1000) for number in range(20_000)]
    assert sum(trips) == 20_000
    assert max(trips) == reading.PIPELINE_COMMANDS


async def test_nothing_to_read_asks_nobody(reader: MakeReader, redis_server: Start) -> None:
    server = redis_server()
    one = reader(server.url)
    server.kill()

    assert await one.read([]) == []


async def test_a_command_that_redis_refuses_is_its_own_reply(reader: MakeReader, filled: RedisServer) -> None:
    with filled.connect() as client:
        client.set("text", "no hash")

    one = reader(filled.url)

    replies = await one.read([command(1), ("HGET", "text", "x"), command(2)])

    assert [replies[0], replies[2]] == [b"1", b"2"]
    assert isinstance(replies[1], ResponseError)
    assert str(replies[1]).startswith("WRONGTYPE")
    assert one.reason is None


async def test_reads_that_arrive_as_others_end_are_never_left_behind(
    reader: MakeReader, filled: RedisServer
) -> None:
    one = reader(filled.url)

    async def chain(number: int) -> None:
        for step in range(40):
            assert await one.read([command(number + step)]) == [b"%d" % (number + step)]

    async with asyncio.timeout(20):
        await asyncio.gather(*(chain(number) for number in range(16)))


async def test_redis_killed_is_told_at_once_and_found_when_it_is_back(
    reader: MakeReader, filled: RedisServer
) -> None:
    one = reader(filled.url)
    await one.read([command(1)])
    filled.kill()

    for _ in range(20):
        started = time.perf_counter()
        with pytest.raises(RedisUnavailable):
            await one.read([command(1)])
        assert time.perf_counter() - started < 0.5
    assert one.reason is not None

    filled.start()
    await until(lambda: one.reason is None)
    assert await one.read([command(1)]) == [b"1"]


async def test_a_redis_that_hangs_costs_its_timeout_and_then_nothing(
    reader: MakeReader, filled: RedisServer
) -> None:
    one = reader(filled.url, timeout_seconds=0.3)
    await one.read([command(1)])
    filled.pause()

    started = time.perf_counter()
    gone = asyncio.create_task(one.read([command(1)]))
    await asyncio.sleep(0.05)
    gone.cancel()
    faults = await asyncio.gather(*(one.read([command(n)]) for n in range(50)), return_exceptions=True)
    first = time.perf_counter() - started
    await until(lambda: one.reason is not None)
    started = time.perf_counter()
    with pytest.raises(RedisUnavailable, match=r"no reply within 0\.3 s"):
        await one.read([command(1)])
    then = time.perf_counter() - started

    assert {type(fault) for fault in faults} == {RedisUnavailable}
    assert first < 3 * 0.3
    assert then < 0.1
    filled.resume()
    await until(lambda: one.reason is None)
    assert await one.read([command(1)]) == [b"1"]


async def test_one_slow_pipeline_is_no_redis_that_is_away(reader: MakeReader, filled: RedisServer) -> None:
    one = reader(filled.url, timeout_seconds=0.3)

    slow = asyncio.create_task(one.read([("BLPOP", "nothing", "2")]))
    await asyncio.sleep(0.05)
    replies = await one.read([command(1)])
    with pytest.raises(RedisUnavailable):
        await slow

    assert replies == [b"1"]
    await asyncio.sleep(0.1)
    assert one.reason is None


async def test_a_redis_busy_with_a_script_is_away_and_comes_back(
    reader: MakeReader, redis_server: Start
) -> None:
    server = redis_server()
    one = reader(server.url, timeout_seconds=0.3)
    with server.connect() as client, server.connect() as other:
        client.config_set("busy-reply-threshold", 20)
        script = asyncio.create_task(asyncio.to_thread(client.eval, "while true do end", 0))
        await asyncio.sleep(0.2)

        for _ in range(5):
            with pytest.raises(RedisUnavailable):
                await one.read([command(1)])
            await asyncio.sleep(0.15)

        await asyncio.to_thread(other.script_kill)
        with pytest.raises(ResponseError, match="killed"):
            await script
    await until(lambda: one.reason is None)
    assert await one.read([command(1)]) == [None]


async def test_a_user_who_may_not_read_is_refused_and_redis_is_not_away(
    reader: MakeReader, redis_server: Start
) -> None:
    server = redis_server()
    with server.connect() as client:
        client.execute_command("ACL", "SETUSER", "weak", "on", ">secret", "~other:*", "+@all")
    one = reader(f"unix://weak:secret@{server.socket}")

    with pytest.raises(RedisRefused, match="No permissions"):
        await one.read([command(1)])

    assert one.reason is None


async def test_too_much_that_waits_is_refused_at_once(
    reader: MakeReader, filled: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "WAITING_COMMANDS", 10)
    one = reader(filled.url, timeout_seconds=2.0)
    filled.pause()
    under_way = [asyncio.create_task(one.read([command(n)])) for n in range(reading.IN_FLIGHT)]
    await asyncio.sleep(0.05)
    waiting = asyncio.create_task(one.read([command(1)] * 8))
    await asyncio.sleep(0)

    with pytest.raises(Overloaded, match=r"is busy \(8 waiting\)"):
        await one.read([command(1)] * 3)

    filled.resume()
    assert await waiting == [b"1"] * 8
    assert await asyncio.gather(*under_way) == [[b"%d" % n] for n in range(reading.IN_FLIGHT)]


async def test_reads_whose_caller_left_are_not_sent(reader: MakeReader, filled: RedisServer) -> None:
    trips: list[int] = []
    one = reader(filled.url, timeout_seconds=2.0, observe=lambda commands, _seconds: trips.append(commands))
    filled.pause()
    under_way = [asyncio.create_task(one.read([command(n)])) for n in range(reading.IN_FLIGHT)]
    await asyncio.sleep(0.05)
    gone = asyncio.create_task(one.read([command(1)] * 100))
    kept = asyncio.create_task(one.read([command(2)]))
    await asyncio.sleep(0)

    gone.cancel()
    filled.resume()

    assert await kept == [b"2"]
    await asyncio.gather(*under_way)
    assert sum(trips) == reading.IN_FLIGHT + 1


async def test_a_caller_that_leaves_during_its_round_trip_disturbs_nobody(
    reader: MakeReader, filled: RedisServer
) -> None:
    one = reader(filled.url, timeout_seconds=2.0)
    filled.pause()
    gone, kept = (asyncio.create_task(one.read([command(n)])) for n in (1, 2))
    await asyncio.sleep(0.05)

    gone.cancel()
    filled.resume()

    assert await kept == [b"2"]


async def test_only_cancelled_reads_send_nothing(reader: MakeReader, filled: RedisServer) -> None:
    one = reader(filled.url)
    gone = asyncio.create_task(one.read([command(1)]))
    await asyncio.sleep(0)

    gone.cancel()

    assert await one.read([command(2)]) == [b"2"]


async def test_a_fault_of_ours_fails_its_read_and_no_other(reader: MakeReader, filled: RedisServer) -> None:
    one = reader(filled.url)

    with pytest.raises(Exception, match="Invalid input of type"):
        await one.read([("HGET", "k:1", object())])  # type: ignore[list-item]  # what no source makes

    assert await one.read([command(1)]) == [b"1"]


async def test_every_node_of_a_cluster_is_read(reader: MakeReader, redis_cluster: RedisNodes) -> None:
    one = reader(redis_cluster.url.replace("redis://", "redis+cluster://"))

    replies = await asyncio.gather(
        *(one.read([command(number), command(number + 1)]) for number in range(50))
    )

    assert replies == [[None, None]] * 50


async def test_a_node_of_a_cluster_that_is_away_is_named(
    reader: MakeReader, redis_cluster: RedisNodes
) -> None:
    one = reader(redis_cluster.url.replace("redis://", "redis+cluster://"))
    await one.read([command(1)])
    for node in redis_cluster.nodes:
        node.kill()

    with pytest.raises(RedisUnavailable):
        await one.read([command(number) for number in range(50)])


async def test_close_ends_the_search_for_a_redis_that_is_away(
    reader: MakeReader, filled: RedisServer
) -> None:
    one = reader(filled.url)
    filled.kill()
    with pytest.raises(RedisUnavailable):
        await one.read([command(1)])

    await asyncio.wait_for(one.close(), 1)
