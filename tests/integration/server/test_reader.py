"""What is asked in one tick leaves in one write; every caller is told exactly once, whatever Redis does."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop
from redis.exceptions import ResponseError

from models.encoding import encoded
from models.errors import BadName, RedisRefused, RedisUnavailable
from server.inference.errors import Overloaded
from server.inference.reading import link as linking
from server.inference.reading.connection import Connection
from server.inference.reading.places import Place
from server.inference.reading.reader import Reader
from tests.integration.server.asks import Tally, answers, command, good
from tests.integration.server.conftest import MakeReader, until
from tests.integration.server.relay import Relay, saying
from tests.servers import RedisServer

Start = Callable[..., RedisServer]
KEYS = 1000


@pytest.fixture
def filled(redis_server: Start) -> RedisServer:
    """A Redis of the test's own with a thousand hashes; its data outlive a kill."""
    server = redis_server(aof=True)
    with server.connect() as client, client.pipeline() as pipeline:
        for number in range(KEYS):
            pipeline.hset(f"k:{number}", "x", number)
        pipeline.execute()
    return server


def value(number: int) -> bytes:
    return b"%d" % (number % KEYS)


async def test_each_of_many_callers_gets_its_own_replies(reader: MakeReader, filled: RedisServer) -> None:
    tally = Tally(reader(filled.url))

    for number in range(500):
        tally.ask(command(number), command(999 - number))

    assert await tally.all() == [[value(number), value(999 - number)] for number in range(500)]


async def test_what_is_asked_in_one_tick_leaves_in_one_write(reader: MakeReader, filled: RedisServer) -> None:
    trips: list[tuple[int, float]] = []
    one = reader(filled.url, observe=lambda commands, seconds: trips.append((commands, seconds)))
    await answers(one, command(1))
    tally = Tally(one)

    for number in range(500):
        tally.ask(command(number))
    await tally.all()

    sent = [commands for commands, _ in trips[1:]]
    assert sent == [500]
    assert all(0 < seconds < 1 for _, seconds in trips)


async def test_a_fault_in_what_is_done_after_a_read_is_told_and_stops_no_other(
    reader: MakeReader, filled: RedisServer
) -> None:
    one = reader(filled.url)
    await answers(one, command(1))
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, fault: told.append(fault["exception"]))

    def failing() -> None:
        raise ValueError("of whoever waits")

    tally = Tally(one)
    tally.ask(command(2))
    one.after(failing)
    one.after(lambda: tally.ask(command(3)))
    one.after(failing)  # once, however often it is said

    await until(lambda: tally.asked == 2)
    assert await tally.all() == [[b"2"], [b"3"]]
    assert [str(fault) for fault in told] == ["of whoever waits"]


async def test_a_hundred_thousand_commands_are_one_ask(reader: MakeReader, filled: RedisServer) -> None:
    one = reader(filled.url)

    replies = await answers(one, *[command(number % KEYS) for number in range(100_000)])

    assert replies == [value(number) for number in range(100_000)]


async def test_a_caller_is_told_later_and_once(reader: MakeReader, filled: RedisServer) -> None:
    one = reader(filled.url)
    await answers(one, command(1))
    tally = Tally(one)

    tally.ask(command(1))
    tally.ask()
    at_once = dict(tally.told)

    assert at_once == {}
    assert await tally.all() == [[b"1"], []]


async def test_nothing_to_read_asks_nobody(reader: MakeReader, redis_server: Start) -> None:
    server = redis_server()
    one = reader(server.url)
    server.kill()

    assert await answers(one) == []


async def test_a_command_that_redis_refuses_is_its_own_reply(reader: MakeReader, filled: RedisServer) -> None:
    with filled.connect() as client:
        client.set("text", "no hash")
    one = reader(filled.url)

    replies = await answers(one, command(1), encoded(("HGET", "text", "x")), command(2))

    assert [replies[0], replies[2]] == [b"1", b"2"]
    assert isinstance(replies[1], ResponseError)
    assert str(replies[1]).startswith("WRONGTYPE")
    assert one.reason is None


async def test_callers_ask_on_from_where_they_are_told(reader: MakeReader, filled: RedisServer) -> None:
    one = reader(filled.url)
    told: list[Any] = []

    def asking(number: int) -> None:
        def done(result: Any) -> None:
            told.append(result)
            if number + 16 < 640:
                asking(number + 16)

        one.ask([command(number)], done)

    for number in range(16):
        asking(number)
    await until(lambda: len(told) == 640)

    assert sorted(told) == sorted([value(number)] for number in range(640))


async def test_a_caller_that_fails_disturbs_nobody(
    reader: MakeReader, filled: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    one = reader(filled.url)
    tally = Tally(one)

    def failing(_result: Any) -> None:
        raise RuntimeError("a fault of the caller")

    tally.ask(command(1))
    one.ask([command(2)], failing)
    one.ask([encoded(("GET", "k:1"))], failing)
    tally.ask(command(3))

    assert await tally.all() == [[b"1"], [b"3"]]
    assert caplog.text.count("a caller failed") == 2


@pytest.mark.parametrize("piece", [1, 2, 3, 7])
async def test_replies_that_come_in_pieces_are_put_together(
    reader: MakeReader, filled: RedisServer, tmp_path: Path, piece: int
) -> None:
    with filled.connect() as client:
        client.rpush("list", "", "a\r\nb", "$3\r\n")
        client.set("text", "no hash")
        client.xadd("stream", {"temp": "21.5", "": "a\r\nb"}, id="1-0")
        client.xadd("stream", {"temp": "$3"}, id="2-0")
    async with Relay(filled.socket, piece).running(tmp_path / "relay") as url:
        one = reader(url, 5.0)

        replies = await answers(
            one,
            command(1),
            encoded(("LRANGE", "list", 0, -1)),
            encoded(("HGET", "text", "x")),
            encoded(("XREVRANGE", "stream", "+", "-", "COUNT", 9)),
            encoded(("HMGET", "k:12", "x", "nothing")),
            command(999),
        )

        assert str(replies.pop(2)).startswith("WRONGTYPE")
        entries = [[b"2-0", [b"temp", b"$3"]], [b"1-0", [b"temp", b"21.5", b"", b"a\r\nb"]]]
        assert replies == [b"1", [b"", b"a\r\nb", b"$3\r\n"], entries, [b"12", None], b"999"]


async def test_redis_killed_is_told_at_once_and_found_when_it_is_back(
    reader: MakeReader, filled: RedisServer
) -> None:
    one = reader(filled.url)
    await answers(one, command(1))
    filled.kill()

    for _ in range(20):
        started = time.perf_counter()
        with pytest.raises(RedisUnavailable):
            await answers(one, command(1))
        assert time.perf_counter() - started < 0.5
    assert one.reason is not None

    filled.start()
    await until(lambda: one.reason is None)
    assert await answers(one, command(1)) == [b"1"]


async def test_a_redis_that_was_never_there_is_told_and_found_when_it_comes(
    reader: MakeReader, filled: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    filled.kill()
    one = reader(filled.url)
    one.start()
    await until(lambda: one.reason is not None)

    with pytest.raises(RedisUnavailable, match="No such file"):
        await answers(one, command(1))

    filled.start()
    with caplog.at_level("INFO"):
        await until(lambda: one.reason is None)
    assert await answers(one, command(1)) == [b"1"]
    assert "is back" in caplog.text


async def test_no_caller_is_lost_when_redis_is_killed_under_load(
    reader: MakeReader, filled: RedisServer
) -> None:
    one = reader(filled.url)
    await answers(one, command(1))
    tally, stop = Tally(one), time.monotonic() + 3
    expected: list[list[bytes]] = []
    kills = asyncio.create_task(kill_and_start(filled, 3))

    while time.monotonic() < stop or not kills.done():
        for number in range(50):
            before = tally.asked
            tally.ask(command(number), command(number + 1))
            if tally.asked > before:
                expected.append([value(number), value(number + 1)])
        await asyncio.sleep(0.001)
    results = await tally.all()
    await kills

    assert len(results) == tally.asked
    assert tally.refused > 0
    assert good(results, expected) > 1000
    assert {type(one) for one in results} <= {list, RedisUnavailable}


async def kill_and_start(server: RedisServer, times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(0.2)
        await asyncio.to_thread(server.start)


async def test_a_connection_killed_under_load_costs_nobody_a_reply(
    reader: MakeReader, filled: RedisServer
) -> None:
    with filled.connect() as client:
        client.rpush("long", *["x" * 1000] * 2000)
    one = reader(filled.url, 5.0)
    await answers(one, command(1))
    tally = Tally(one)
    long = encoded(("LRANGE", "long", 0, -1))

    with filled.connect() as client:
        for number in range(20):
            tally.ask(command(number), long, command(number + 1))
            await asyncio.sleep(0.002 * (number % 3))
            if number % 7 == 3:
                await asyncio.sleep(linking.PROBE_SECONDS)
                tally.ask(command(number), long)
                await asyncio.sleep(0.001)
                client.client_kill_filter(_type="normal", skipme=True)
    results = await tally.all()

    assert {type(one) for one in results} == {list}
    assert one.reason is None


async def test_a_reply_cut_off_in_the_middle_is_asked_for_once_more(
    reader: MakeReader, filled: RedisServer, tmp_path: Path
) -> None:
    relay = Relay(filled.socket, cuts=(150,))
    async with relay.running(tmp_path / "relay") as url:
        tally = Tally(reader(url))

        for number in range(40):
            tally.ask(command(number), command(number + 1))

        assert await tally.all() == [[value(number), value(number + 1)] for number in range(40)]
        assert relay.connections == 2


async def test_what_breaks_a_second_time_is_told_as_unavailable(
    reader: MakeReader, filled: RedisServer, tmp_path: Path
) -> None:
    cut = len(b"+PONG\r\n$")
    relay = Relay(filled.socket, cuts=(cut, cut))
    async with relay.running(tmp_path / "relay") as url:
        one = reader(url)

        with pytest.raises(RedisUnavailable, match="connection closed by Redis"):
            await answers(one, command(1))

        assert await answers(one, command(1)) == [b"1"]
        assert relay.connections == 3


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what came is no reply of Redis"),
        (b"+PONG\r\n+PONG\r\n", "a reply that nobody asked for"),
        (b"-ERR max number of clients reached\r\n", "max number of clients reached"),
        (b"-DENIED Redis is running in protected mode\r\n", "protected mode"),
    ],
)
async def test_what_is_no_redis_is_told_by_what_it_says(
    reader: MakeReader, tmp_path: Path, words: bytes, reason: str
) -> None:
    async with saying(tmp_path / "words", words) as url:
        one = reader(url)

        with pytest.raises((RedisUnavailable, RedisRefused), match=reason):
            await answers(one, command(1))


async def test_a_redis_that_takes_no_more_clients_is_told_however_soon_it_says_so(
    reader: MakeReader, redis_server: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = Place.reached

    async def late(place: Place, make: Callable[[], Connection]) -> Connection:
        spoken = await reached(place, make)
        await asyncio.sleep(0.05)  # until then it has said so and closed
        return spoken

    monkeypatch.setattr(Place, "reached", late)
    server = redis_server()
    with server.connect() as client:
        client.config_set("maxclients", 1)

        with pytest.raises(RedisUnavailable) as told:
            await answers(reader(server.url), command(1))

    assert told.value.details["reason"] == "max number of clients reached"


async def test_a_redis_that_hangs_costs_its_timeout_and_then_nothing(
    reader: MakeReader, filled: RedisServer
) -> None:
    one = reader(filled.url, timeout_seconds=0.3)
    await answers(one, command(1))
    filled.pause()

    started, tally = time.perf_counter(), Tally(one)
    for number in range(50):
        tally.ask(command(number))
    faults = await tally.all()
    first = time.perf_counter() - started
    await until(lambda: one.reason is not None)
    started = time.perf_counter()
    with pytest.raises(RedisUnavailable, match=r"no reply within 0\.3 s"):
        await answers(one, command(1))
    then = time.perf_counter() - started

    assert {type(fault) for fault in faults} == {RedisUnavailable}
    assert first < 3 * 0.3
    assert then < 0.1
    filled.resume()
    await until(lambda: one.reason is None)
    assert await answers(one, command(1)) == [b"1"]


async def test_one_slow_read_is_no_redis_that_is_away(reader: MakeReader, filled: RedisServer) -> None:
    one = reader(filled.url, timeout_seconds=0.3)
    await answers(one, command(1))
    tally = Tally(one)

    tally.ask(encoded(("BLPOP", "nothing", 2)))
    await asyncio.sleep(0.15)
    tally.ask(command(1))
    slow, quick = await tally.all()

    assert isinstance(slow, RedisUnavailable)
    assert quick == [b"1"]
    assert one.reason is None


async def test_replies_that_keep_coming_are_not_late(
    reader: MakeReader, filled: RedisServer, tmp_path: Path
) -> None:
    async with Relay(filled.socket, piece=1000, every=0.02).running(tmp_path / "relay") as url:
        one = reader(url, timeout_seconds=0.2)
        started = time.perf_counter()

        replies = await answers(one, *[command(number) for number in range(KEYS)] * 3)

        assert replies == [value(number) for number in range(KEYS)] * 3
        assert time.perf_counter() - started > 2 * 0.2


async def test_a_loop_that_stalls_blames_nobody(reader: MakeReader, filled: RedisServer) -> None:
    one = reader(filled.url, timeout_seconds=0.2)
    await answers(one, command(1))
    tally = Tally(one)

    tally.ask(command(1))
    await asyncio.sleep(0)
    time.sleep(0.5)  # noqa: ASYNC251  # what a long run on the loop does

    assert await tally.all() == [[b"1"]]


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
                await answers(one, command(1))
            await asyncio.sleep(0.15)

        await asyncio.to_thread(other.script_kill)
        with pytest.raises(ResponseError, match="killed"):
            await script
    await until(lambda: one.reason is None)
    assert await answers(one, command(1)) == [None]


async def test_a_connection_that_meets_a_script_is_told_by_name(
    reader: MakeReader, redis_server: Start
) -> None:
    server = redis_server()
    one = reader(server.url, timeout_seconds=5)
    await answers(one, command(1))
    with server.connect() as client, server.connect() as other:
        client.config_set("busy-reply-threshold", 20)
        script = asyncio.create_task(asyncio.to_thread(client.eval, "while true do end", 0))
        await asyncio.sleep(0.2)

        with pytest.raises(RedisUnavailable, match="BUSY"):
            await answers(one, command(1))
        await until(lambda: one.reason is not None)

        await asyncio.to_thread(other.script_kill)
        with pytest.raises(ResponseError, match="killed"):
            await script
    await until(lambda: one.reason is None)
    assert await answers(one, command(1)) == [None]


async def test_a_redis_that_loads_its_data_is_away_until_it_has_them(
    reader: MakeReader, filled: RedisServer
) -> None:
    one = reader(filled.url)
    await answers(one, command(1))
    with filled.connect() as client:
        client.bgrewriteaof()
        await until(lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0)
    filled.kill()
    filled.arguments += ("--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
    starting = asyncio.create_task(asyncio.to_thread(filled.start))

    reasons = set()
    while not starting.done():
        reasons.add(one.reason)
        await asyncio.sleep(0.01)
    await starting
    await until(lambda: one.reason is None)

    assert any(str(reason).startswith("LOADING") for reason in reasons)
    assert await answers(one, command(1)) == [b"1"]


async def test_a_replica_without_its_master_is_away(reader: MakeReader, redis_server: Start) -> None:
    server = redis_server()
    one = reader(server.url)
    await answers(one, command(1))
    with server.connect() as client:
        client.config_set("replica-serve-stale-data", "no")
        client.execute_command("REPLICAOF", "127.0.0.1", 1)

        with pytest.raises(RedisUnavailable, match="MASTERDOWN"):
            await answers(one, command(1))
        await until(lambda: one.reason is not None)

        client.execute_command("REPLICAOF", "NO", "ONE")
    await until(lambda: one.reason is None)
    assert await answers(one, command(1)) == [None]


async def test_too_many_commands_that_wait_are_refused_at_once(
    reader: MakeReader, filled: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "WAITING_COMMANDS", 10)
    one = reader(filled.url, timeout_seconds=2.0)
    await answers(one, command(1))
    filled.pause()
    tally = Tally(one)
    tally.ask(*[command(1)] * 8)
    await asyncio.sleep(0.05)

    with pytest.raises(Overloaded, match=r"is busy \(8 waiting\)"):
        await answers(one, *[command(1)] * 3)

    tally.ask(command(2))
    filled.resume()
    assert await tally.all() == [[b"1"] * 8, [b"2"]]
    assert await answers(one, *[command(3)] * 11) == [b"3"] * 11


@pytest.mark.parametrize("frozen", [True, False])
async def test_too_many_bytes_that_wait_are_refused_at_once(
    reader: MakeReader, filled: RedisServer, monkeypatch: pytest.MonkeyPatch, frozen: bool
) -> None:
    monkeypatch.setattr(linking, "WAITING_BYTES", 1 << 20)
    one = reader(filled.url, timeout_seconds=2.0)
    await answers(one, command(1))
    large = encoded(("HGET", b"x" * 100_000, "x"))
    tally = Tally(one)
    filled.pause()

    for _ in range(40):
        tally.ask(large)
        if frozen:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    with pytest.raises(Overloaded):
        await answers(one, large)
    filled.resume()

    assert await tally.all() == [[None]] * tally.asked
    assert tally.refused > 20
    assert await answers(one, command(1)) == [b"1"]


async def test_what_redis_takes_no_more_of_is_held_until_it_does(
    reader: MakeReader, filled: RedisServer
) -> None:
    trips: list[int] = []
    one = reader(filled.url, 5.0, observe=lambda commands, _seconds: trips.append(commands))
    await answers(one, command(1))
    tally = Tally(one)
    filled.pause()

    tally.ask(encoded(("HGET", b"x" * 5_000_000, "x")))
    await asyncio.sleep(0.05)
    for number in range(100):
        tally.ask(command(number))
        await asyncio.sleep(0)
    filled.resume()

    assert await tally.all() == [[None], *[[value(number)] for number in range(100)]]
    assert trips == [1, 1, 100]


async def test_one_connection_is_all_a_reader_has(reader: MakeReader, filled: RedisServer) -> None:
    one = reader(f"{filled.url}?client_name=features", 5.0)
    one.start()
    await answers(one, command(1))
    filled.pause()

    one.start()
    tally = Tally(one)
    for _ in range(20):
        tally.ask(encoded(("HGET", b"x" * 100_000, "x")))
        await asyncio.sleep(0.001)
    filled.resume()
    await tally.all()

    with filled.connect() as client:
        assert [entry["name"] for entry in client.client_list()].count("features") == 1


async def test_closing_lets_what_is_under_way_end(reader: MakeReader, filled: RedisServer) -> None:
    one = reader(filled.url)
    await answers(one, command(1))
    tally = Tally(one)
    tally.ask(command(1))
    await asyncio.sleep(0)
    tally.ask(command(2))

    await one.close()

    assert await tally.all() == [[b"1"], [b"2"]]
    with pytest.raises(RedisUnavailable, match="shutting down"):
        one.ask([command(1)], print)


async def test_closing_tells_whoever_waits_for_a_redis_that_hangs(
    reader: MakeReader, filled: RedisServer
) -> None:
    one = reader(filled.url, timeout_seconds=0.2)
    await answers(one, command(1))
    filled.pause()
    tally = Tally(one)
    tally.ask(command(1))

    await asyncio.wait_for(one.close(), 1)

    assert [type(told) for told in await tally.all()] == [RedisUnavailable]
    filled.resume()


async def test_closing_while_connecting_tells_whoever_waits(reader: MakeReader, filled: RedisServer) -> None:
    filled.pause()
    one = reader(filled.url, timeout_seconds=5)
    tally = Tally(one)
    tally.ask(command(1))
    await asyncio.sleep(0.05)

    await asyncio.wait_for(one.close(), 1)

    assert [type(told) for told in await tally.all()] == [RedisUnavailable]
    filled.resume()


async def test_close_ends_the_search_for_a_redis_that_is_away(
    reader: MakeReader, filled: RedisServer
) -> None:
    one = reader(filled.url)
    filled.kill()
    with pytest.raises(RedisUnavailable):
        await answers(one, command(1))

    await asyncio.wait_for(one.close(), 1)


async def test_a_connection_that_ends_at_once_is_not_made_again_without_pause(
    reader: MakeReader, filled: RedisServer, tmp_path: Path
) -> None:
    relay = Relay(filled.socket, cuts=(len(b"+PONG\r\n"),) * 1000)
    async with relay.running(tmp_path / "relay") as url:
        one = reader(url)
        one.start()

        await asyncio.sleep(5 * linking.PROBE_SECONDS)

        assert 2 <= relay.connections <= 7


def test_the_servers_own_loop_reads_as_well(filled: RedisServer) -> None:
    async def work() -> list[Any]:
        one = Reader(filled.url, 1.0)
        await answers(one, command(1))
        tally = Tally(one)
        for number in range(500):
            tally.ask(command(number))
        await asyncio.sleep(linking.PROBE_SECONDS)
        with filled.connect() as client:
            client.client_kill_filter(_type="normal", skipme=True)
        tally.ask(command(500))
        try:
            return await tally.all()
        finally:
            await one.close()

    assert uvloop.run(work()) == [[value(number)] for number in range(501)]


@pytest.mark.parametrize("url", ["", "http://localhost", "redis://h:port", "redis://h?no_such_option=1"])
def test_what_is_no_url_of_redis_is_refused(url: str) -> None:
    with pytest.raises(BadName, match="Redis URL"):
        Reader(url, 1.0)


@pytest.mark.alone  # the processor's time is measured
@pytest.mark.parametrize("seconds_near_awake", [(0.5, True, True), (0.0, True, False), (0.5, False, False)])
async def test_a_loop_stays_awake_over_one_answer_of_a_redis_that_is_near(
    reader: MakeReader,
    filled: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    seconds_near_awake: tuple[float, bool, bool],
) -> None:
    seconds, near, awake = seconds_near_awake
    monkeypatch.setattr(linking, "NEAR_SECONDS", 1.0 if near else 0.0)
    one = reader(filled.url, busy_poll_seconds=seconds)
    await answers(one, command(1))

    before = time.process_time()
    await answers(one, encoded(("BLPOP", "nothing", "0.2")))

    assert (time.process_time() - before > 0.1) is awake


async def test_a_loop_does_not_stay_awake_for_long_nor_over_several_answers(
    reader: MakeReader, filled: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "NEAR_SECONDS", 1.0)
    one = reader(filled.url, busy_poll_seconds=0.01)
    await answers(one, command(1))

    before = time.process_time()
    await answers(one, encoded(("BLPOP", "nothing", "0.3")))

    assert time.process_time() - before < 0.1
