"""Sentinels say who the master is, and say it again after a failover."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from models.encoding import encoded
from models.errors import RedisUnavailable
from server.inference.reading.reader import Reader
from tests.guarded import SERVICE, Guard, start_guard
from tests.integration.server.asks import Tally, answers, command, repeated
from tests.integration.server.conftest import MakeReader, until
from tests.servers import RedisServer, free_port

PORT = encoded(("CONFIG", "GET", "port"))

StartGuard = Callable[..., Guard]


@pytest.fixture
def guard(redis_binary: Path) -> Iterator[StartGuard]:
    with ExitStack() as stack:

        def start(sentinels: int = 2, settings: str = "") -> Guard:
            one = start_guard(redis_binary, stack, sentinels, settings)
            with one.master.connect() as client:
                client.hset("k:1", "x", 1)
                client.execute_command("WAIT", 1, 5000)
            return one

        yield start


def port_of(replies: list[list[bytes]]) -> int:
    return int(replies[0][1])


async def test_the_master_is_read_and_after_a_failover_the_new_one(
    reader: MakeReader, guard: StartGuard
) -> None:
    one = guard()
    reading = reader(one.url)
    assert port_of(await answers(reading, PORT)) == one.master.port

    await asyncio.to_thread(one.fail_over)
    await repeated(lambda: answers(reading, PORT), lambda replies: port_of(replies) == one.replica.port)

    assert reading.reason is None
    assert await answers(reading, command(1)) == [b"1"]


async def test_a_master_that_dies_is_replaced_and_no_caller_is_lost(
    reader: MakeReader, guard: StartGuard
) -> None:
    one = guard()
    reading = reader(one.url, timeout_seconds=0.5)
    await answers(reading, command(1))
    tally = Tally(reading)

    one.master.kill()
    for _ in range(20):
        tally.ask(command(1))
    await until(lambda: reading.reason is not None)
    await until(lambda: reading.reason is None)
    tally.ask(PORT)
    results = await tally.all()

    assert {type(result) for result in results[:-1]} == {RedisUnavailable}
    assert port_of(results[-1]) == one.replica.port  # type: ignore[arg-type]  # the last one was answered


async def test_a_master_that_hangs_is_replaced(reader: MakeReader, guard: StartGuard) -> None:
    one = guard()
    reading = reader(one.url, timeout_seconds=0.5)
    await answers(reading, command(1))

    one.master.pause()
    with pytest.raises(RedisUnavailable):
        await answers(reading, command(1))
    await until(lambda: reading.reason is not None)
    await until(lambda: reading.reason is None)

    assert port_of(await answers(reading, PORT)) == one.replica.port


async def test_a_sentinel_that_is_away_is_passed_over(reader: MakeReader, guard: StartGuard) -> None:
    one = guard()
    one.sentinels[0].kill()

    assert port_of(await answers(reader(one.url), PORT)) == one.master.port


async def test_sentinels_that_are_all_away_are_told_and_found_again(
    reader: MakeReader, guard: StartGuard
) -> None:
    one = guard(sentinels=1)
    one.sentinels[0].kill()
    reading = reader(one.url)

    with pytest.raises(RedisUnavailable, match="no sentinel names master 'features'"):
        await answers(reading, command(1))

    one.sentinels[0].start()
    await until(lambda: reading.reason is None)
    assert await answers(reading, command(1)) == [b"1"]


async def test_sentinels_that_go_disturb_nobody_who_reads(reader: MakeReader, guard: StartGuard) -> None:
    one = guard()
    reading = reader(one.url)
    await answers(reading, command(1))

    for sentinel in one.sentinels:
        sentinel.kill()

    assert await answers(reading, command(1)) == [b"1"]


async def test_a_service_that_no_sentinel_knows_is_told(reader: MakeReader, guard: StartGuard) -> None:
    one = guard(sentinels=1)

    with pytest.raises(RedisUnavailable, match="no sentinel names master 'other': it is not known"):
        await answers(reader(one.url.replace(SERVICE, "other")), command(1))


async def test_a_reader_that_was_never_asked_is_closed() -> None:
    one = Reader("redis+sentinel://127.0.0.1:1/features", 1.0)
    one.start()

    await one.close()

    with pytest.raises(RedisUnavailable, match="shutting down"):
        one.ask([PORT], print)


async def test_a_redis_that_is_no_sentinel_is_told(reader: MakeReader, guard: StartGuard) -> None:
    one = guard(sentinels=1)
    url = f"redis+sentinel://127.0.0.1:{one.master.port}/{SERVICE}"

    with pytest.raises(RedisUnavailable, match="unknown command"):
        await answers(reader(url), command(1))


async def test_a_replica_that_a_sentinel_takes_for_the_master_is_not_read(
    reader: MakeReader, guard: StartGuard
) -> None:
    one = guard(sentinels=1)
    with one.sentinels[0].connect() as client:
        client.execute_command("SENTINEL", "MONITOR", "stale", "127.0.0.1", one.replica.port, 1)

    with pytest.raises(RedisUnavailable, match="is no master now"):
        await answers(reader(one.url.replace(SERVICE, "stale")), command(1))


@pytest.fixture
def impostor(redis_binary: Path) -> Iterator[Callable[[int], RedisServer]]:
    """A factory: a Redis that is no sentinel and answers its question, with one value that is not there."""
    with ExitStack() as stack:

        def start(port: int) -> RedisServer:
            one = RedisServer(redis_binary, ("--rename-command", "HMGET", "SENTINEL"), port)
            stack.callback(one.close)
            return one.start()

        yield start


async def test_a_sentinel_that_answers_no_place_is_passed_over(
    reader: MakeReader, guard: StartGuard, impostor: Callable[[int], RedisServer]
) -> None:
    one = guard(sentinels=1)
    place = f"127.0.0.1:{impostor(free_port()).port}"

    several = reader(one.url.replace("://", f"://{place},"))

    assert port_of(await answers(several, PORT)) == one.master.port
    with pytest.raises(RedisUnavailable, match="no sentinel names master 'features': no address"):
        await answers(reader(f"redis+sentinel://{place}/{SERVICE}"), command(1))


async def test_a_master_is_followed_after_its_sentinel_answered_no_place(
    reader: MakeReader, guard: StartGuard, impostor: Callable[[int], RedisServer]
) -> None:
    one = guard(sentinels=1)
    reading = reader(one.url)
    await answers(reading, PORT)

    one.sentinels[0].kill()
    other = impostor(one.sentinels[0].port)
    with other.connect() as client:
        await until(lambda: "cmdstat_hmget" in client.info("commandstats"))
    other.close()
    one.sentinels[0].start()
    with one.replica.connect() as client:
        client.execute_command("REPLICAOF", "NO", "ONE")
    # Not by a failover: the old master's connections stay as they are.
    with one.sentinels[0].connect() as client:
        client.execute_command("SENTINEL", "REMOVE", SERVICE)
        client.execute_command("SENTINEL", "MONITOR", SERVICE, "127.0.0.1", one.replica.port, 1)

    await repeated(
        lambda: answers(reading, PORT),
        lambda told: isinstance(told, list) and port_of(told) == one.replica.port,
    )


async def test_sentinels_have_a_password_of_their_own(reader: MakeReader, guard: StartGuard) -> None:
    one = guard(sentinels=1, settings="requirepass guarded")

    replies = await answers(reader(f"{one.url}?sentinel_password=guarded"), PORT)

    assert port_of(replies) == one.master.port
    with pytest.raises(RedisUnavailable, match="no sentinel names master"):
        await answers(reader(f"{one.url}?sentinel_password=wrong"), PORT)


async def test_the_password_in_the_url_is_the_masters(reader: MakeReader, guard: StartGuard) -> None:
    one = guard(sentinels=1)
    with one.master.connect() as client:
        client.execute_command("ACL", "SETUSER", "reads", "on", ">secret", "~k:*", "+hget", "+select")
    place = one.url.partition("://")[2]

    assert await answers(reader(f"redis+sentinel://reads:secret@{place}/0"), command(1)) == [b"1"]
