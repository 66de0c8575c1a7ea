"""AI.DAGEXECUTE and its relatives over real models and a real Redis."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from models.model_pointers import ModelPointer
from models.store import ModelStore
from models.tensor_strings import of_array, pack, unpack
from server.inference.errors import DeadlineExceeded
from server.resp.caller import Caller
from server.resp.commands import dag, lookups
from server.resp.wire.replies import RESP3
from tests.graphs import bundle, f32, looked_up, looping, scaled
from tests.integration.resp.callers import Asker, OwnConnection
from tests.integration.resp.conftest import WAIT_SECONDS, MakeCaller, StartEngine

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
EMPTY = "ERR tensor key is empty or in a different shard"
SET = "AI.TENSORSET a FLOAT 1 2 VALUES 1 2"


def stored(*values: Any, dtype: str = "<f4") -> bytes:
    return pack(of_array(np.array(values, dtype)))


def double(source: str, target: str, key: str = "m") -> str:
    return f"AI.MODELEXECUTE {key} INPUTS 1 {source} OUTPUTS 1 {target}"


def find(source: str, target: str) -> str:
    return double(source, target, "table")


def slow(turns: str, target: str) -> str:
    return f"AI.MODELEXECUTE slow INPUTS 2 x {turns} OUTPUTS 1 {target}"


async def numbers_at(redis: Redis, key: str) -> Any:
    data = await redis.get(key)
    assert isinstance(data, bytes)
    tensor = unpack(data)
    assert tensor is not None
    return np.frombuffer(tensor.data, "<f4").reshape(tensor.shape).tolist()


class Dags(Asker):
    """DAGs written as one text."""

    async def execute(self, text: str, name: str = "AI.DAGEXECUTE") -> Any:
        return await self(name, *text.split())


@pytest.fixture
async def dags(store: ModelStore, redis: Redis, caller: Caller) -> Dags:
    """m doubles, table has two rows, slow loops; t is a tensor, no a text, list a list."""
    await store.publish(bundle(scaled(), "m"))
    await store.publish(bundle(looked_up(f32([[1, 2], [3, 4]])), "table"))
    await store.publish(bundle(looping(), "slow"))
    await redis.mset({"t": stored([1, 2]), "no": "no tensor", "x": stored([1.0])})
    await redis.mset({"good": stored(1, dtype="<i8"), "bad": stored(7, dtype="<i8")})
    await redis.mset({"few": stored(2, dtype="<i8"), "many": stored(1 << 40, dtype="<i8")})
    await redis.rpush("list", "x")
    return Dags(caller, dag.COMMANDS)


async def test_set_execute_and_get_answer_each_in_its_place(dags: Dags, redis: Redis) -> None:
    before = sorted(await redis.keys())

    reply = await dags.execute(
        f"ROUTING r |> {SET} |> {double('a', 'b')} |> AI.TENSORGET b VALUES", "AI.DAGEXECUTE_RO"
    )

    assert reply == [b"OK", b"OK", [b"2", b"4"]]
    assert sorted(await redis.keys()) == before


async def test_a_deprecated_dag_runs_deprecated_commands(dags: Dags) -> None:
    text = f"|> {SET} |> AI.MODELRUN m INPUTS a OUTPUTS b |> AI.TENSORGET b META"

    for name in ("AI.DAGRUN", "AI.DAGRUN_RO"):
        assert await dags.execute(text, name) == [b"OK", b"OK", [b"dtype", b"FLOAT", b"shape", [1, 2]]]


async def test_what_is_loaded_and_what_is_kept(dags: Dags, redis: Redis) -> None:
    text = f"LOAD 1 t PERSIST 2 b c |> {double('t', 'b')} |> {double('b', 'c')} |> {double('c', 'd')}"

    assert await dags.execute(text) == [b"OK"] * 3
    assert await numbers_at(redis, "b") == [[2, 4]]
    assert await numbers_at(redis, "c") == [[4, 8]]
    assert not await redis.exists("d")


async def test_one_round_trip_reads_all_and_one_keeps_all(dags: Dags) -> None:
    own = dags.caller.redis
    assert isinstance(own, OwnConnection)
    text = f"LOAD 2 t good PERSIST 2 b f |> {double('t', 'b')} |> {double('b', 'c')} |> {find('good', 'f')}"
    await dags.execute(text)
    before = own.trips

    assert await dags.execute(text) == [b"OK"] * 3

    assert own.trips - before == 2


async def test_a_dag_without_keys_asks_redis_nothing(dags: Dags) -> None:
    own = dags.caller.redis
    assert isinstance(own, OwnConnection)
    before = own.trips

    assert await dags.execute(f"ROUTING r |> {SET} |> AI.TENSORGET a BLOB") == [b"OK", f32(1, 2).tobytes()]

    assert own.trips == before


async def test_a_name_that_is_set_again_keeps_what_came_before(dags: Dags, redis: Redis) -> None:
    get = "AI.TENSORGET t VALUES"
    text = f"LOAD 1 t PERSIST 1 t |> {get} |> {double('t', 't')} |> {get} |> {double('t', 't')} |> {get}"

    assert await dags.execute(text) == [[b"1", b"2"], b"OK", [b"2", b"4"], b"OK", [b"4", b"8"]]
    assert await numbers_at(redis, "t") == [[4, 8]]


async def test_an_input_that_is_kept_as_it_was_loaded_is_stored_again(dags: Dags, redis: Redis) -> None:
    assert await dags.execute(f"LOAD 1 t PERSIST 1 t |> {double('t', 'b')}") == [b"OK"]
    assert await numbers_at(redis, "t") == [[1, 2]]


async def test_a_pointer_says_which_version_runs(dags: Dags, store: ModelStore, redis: Redis) -> None:
    await store.publish(bundle(scaled(3), "m"))
    await redis.set("old", ModelPointer("m", 1).pack())
    text = f"LOAD 1 t |> {double('t', 'b', 'old')} |> {double('t', 'c')}"

    reply = await dags.execute(f"{text} |> AI.TENSORGET b VALUES |> AI.TENSORGET c VALUES")

    assert reply == [b"OK", b"OK", [b"2", b"4"], [b"3", b"6"]]


async def test_runs_that_need_nothing_of_one_another_share_a_run(dags: Dags, redis: Redis) -> None:
    count = 8
    await dags.execute(f"LOAD 1 t |> {double('t', 'b')}")
    await dags.execute(f"LOAD 1 t |> {double('t', 'b')} |> {double('t', 'c')}")
    runs = 'insitu_batch_rows_count{model="m",version="1"}'
    before = counted(dags, runs)

    reply = await dags.execute(" |> ".join(["LOAD 1 t", *[double("t", f"b{at}") for at in range(count)]]))

    assert reply == [b"OK"] * count
    assert counted(dags, runs) - before < count


def counted(dags: Dags, series: str) -> float:
    lines = dags.caller.engine.metrics.exposition().decode().splitlines()
    return float(next(line for line in lines if line.startswith(series)).rpartition(" ")[2])


async def test_after_a_failure_runs_are_not_run_and_their_outputs_are_not_there(
    dags: Dags, redis: Redis
) -> None:
    steps = (
        double("t", "b"),
        find("bad", "f"),
        "AI.TENSORGET b VALUES",
        "AI.TENSORGET f VALUES",
        double("t", "c"),
        "AI.TENSORGET c VALUES",
        SET,
        "AI.TENSORGET a VALUES",
    )

    reply = await dags.execute(" |> ".join(("LOAD 2 t bad PERSIST 1 b", *steps)))

    assert isinstance(reply[1], ResponseError)
    assert str(reply[1]).startswith("Gather: indices element out of data bounds")
    del reply[1]
    assert reply == [b"OK", [b"2", b"4"], b"NA", b"NA", b"NA", b"OK", [b"1", b"2"]]
    assert not await redis.exists("b")


async def test_the_first_failure_in_the_order_of_steps_is_told(dags: Dags) -> None:
    text = f"LOAD 3 x bad few |> {slow('few', 's')} |> {find('bad', 'f')} |> {find('bad', 'g')} |> {find('f', 'h')}"

    first, second, *others = await dags.execute(text)

    assert first == b"OK"
    assert isinstance(second, ResponseError)
    assert others == [b"NA", b"NA"]


async def test_what_does_not_fit_is_told_in_its_place(dags: Dags) -> None:
    reply = await dags.execute(
        f"LOAD 1 t |> AI.TENSORSET w DOUBLE 1 2 |> {double('w', 'b')} |> {double('t', 'c')}"
    )

    assert reply[0] == b"OK"
    assert str(reply[1]) == "Unexpected input data type. Actual: (tensor(double)) , expected: (tensor(float))"
    assert reply[2] == b"NA"


async def test_a_key_that_may_not_be_kept_is_one_error_more_and_nothing_is_kept(
    dags: Dags, redis: Redis
) -> None:
    reply = await dags.execute(f"LOAD 1 t PERSIST 2 b list |> {double('t', 'b')} |> {double('t', 'list')}")

    assert reply[:2] == [b"OK", b"OK"]
    assert [str(error) for error in reply[2:]] == [WRONG_TYPE]
    assert not await redis.exists("b")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("LOAD 1 gone BAD x y", EMPTY),
        ("LOAD 2 t no BAD x y", WRONG_TYPE),
        ("LOAD 2 t list BAD x y", WRONG_TYPE),
        ("LOAD 9 t gone x y", EMPTY),
        ("LOAD 9 t t t", "ERR number of keys to LOAD into DAG does not match the number of given arguments"),
        ("BAD LOAD 1 gone x", "ERR Invalid DAG command. Unexpected argument:  BAD"),
        (f"LOAD 1 gone |> {double('t', 'b', 'no')}", EMPTY),
        (f"LOAD 1 t |> {double('t', 'b', 'gone')} |> AI.NO", "ERR model key is empty"),
        (f"LOAD 1 t |> {double('t', 'b', 'no')} |> AI.NO", WRONG_TYPE),
        (f"LOAD 1 t |> {double('t', 'b')} |> AI.NO", "Unsupported command within DAG"),
        (f"LOAD 1 t |> AI.NO |> {double('t', 'b', 'no')}", "Unsupported command within DAG"),
        (
            "LOAD 1 t |> AI.MODELEXECUTE m INPUTS 2 t t OUT 1 b",
            "Number of keys given as INPUTS here does not match model definition",
        ),
        (
            "LOAD 1 t |> AI.MODELEXECUTE m INPUTS 1 q OUTPUTS 2 b c |> AI.TENSORGET",
            "Number of keys given as OUTPUTS here does not match model definition",
        ),
        (
            f"LOAD 1 t |> {double('q', 'b')} |> AI.TENSORGET",
            "wrong number of arguments for 'AI.TENSORGET' command",
        ),
        (f"LOAD 1 t PERSIST 1 z |> {double('q', 'b')}", "ERR INPUT key cannot be found in DAG"),
        (f"LOAD 1 t PERSIST 1 z |> {double('t', 'b')}", "ERR PERSIST key cannot be found in DAG"),
        (f"LOAD 1 t |> {double('t', 'b')} TIMEOUT 9", "ERR TIMEOUT not allowed within a DAG command"),
    ],
)
async def test_faults_are_told_in_the_order_of_redisai_and_nothing_is_run(
    dags: Dags, text: str, told: str
) -> None:
    error = await dags.execute(text)

    assert isinstance(error, ResponseError)
    assert str(error) == told


async def test_a_dag_that_is_not_run_within_its_timeout_is_told_as_timed_out(
    dags: Dags, redis: Redis
) -> None:
    started = time.monotonic()

    reply = await dags.raw(
        "AI.DAGEXECUTE",
        *f"LOAD 3 t x many TIMEOUT 20 PERSIST 1 b |> {double('t', 'b')} |> {slow('many', 's')}".split(),
    )

    assert reply == b"+TIMEDOUT\r\n"
    assert time.monotonic() - started < 5
    assert not await redis.exists("b")


async def test_a_timeout_is_told_as_one_where_the_clock_of_the_loop_is_coarse() -> None:
    # A timer of whole milliseconds comes too soon.
    seconds = [0.001 + 0.000005 * number for number in range(400)]

    for one in seconds:
        limit = lookups.Limit(time.monotonic() + one, one)
        with pytest.raises(DeadlineExceeded) as caught:
            await lookups.in_time(limit, asyncio.sleep(WAIT_SECONDS))
        assert lookups.timed_out(caught.value, limit)
    assert not lookups.timed_out(DeadlineExceeded(30.0), lookups.Limit.of(60_000))


async def test_dags_of_many_callers_fail_each_for_itself(
    dags: Dags, make_caller: MakeCaller, redis: Redis
) -> None:
    rows = [0, 7, 1, 9, 1, 0]
    others = [Dags(await make_caller(dags.caller.engine), dag.COMMANDS) for _ in rows]
    text = f"ROUTING r |> AI.TENSORSET i INT64 1 VALUES %d |> {find('i', 'o')} |> AI.TENSORGET o VALUES"

    replies = await asyncio.gather(
        *[one.execute(text % row, "AI.DAGEXECUTE_RO") for one, row in zip(others, rows, strict=True)]
    )

    assert [reply[2] for reply in replies] == [answer(row) for row in rows]
    assert [isinstance(reply[1], ResponseError) for reply in replies] == [row > 1 for row in rows]


def answer(row: int) -> bytes | Sequence[bytes]:
    return [[b"1", b"2"], [b"3", b"4"]][row] if row < 2 else b"NA"


async def test_resp3_has_numbers_of_its_own(dags: Dags, make_caller: MakeCaller) -> None:
    other = Dags(await make_caller(dags.caller.engine, RESP3), dag.COMMANDS)

    reply = await other.raw(
        "AI.DAGEXECUTE_RO", *f"LOAD 1 t |> AI.TENSORGET t VALUES |> {double('t', 'b')}".split()
    )

    assert reply == b"*2\r\n*2\r\n,1\r\n,2\r\n+OK\r\n"


async def test_large_runs_of_one_dag_do_not_fill_the_queue(
    store: ModelStore, redis: Redis, make_caller: MakeCaller, engine: StartEngine
) -> None:
    await store.publish(bundle(scaled(), "m"))
    await redis.set("t", pack(of_array(np.ones((400, 2), "<f4"))))
    dags = Dags(await make_caller(await engine(max_queue_rows=512)), dag.COMMANDS)

    reply = await dags.execute(" |> ".join(["LOAD 1 t", *[double("t", f"b{at}") for at in range(12)]]))

    assert reply == [b"OK"] * 12


async def test_a_caller_who_leaves_takes_the_runs_along(dags: Dags) -> None:
    text = f"LOAD 2 x many |> {slow('many', 's')} |> {slow('many', 't')} |> {slow('many', 'u')}"
    predictor = dags.caller.engine.predictor
    asked = asyncio.create_task(dags.execute(text))
    async with asyncio.timeout(WAIT_SECONDS):
        while predictor.under_way < 3:  # noqa: ASYNC110  # nobody tells a test
            await asyncio.sleep(0.01)

    asked.cancel()
    await asyncio.wait([asked])

    assert asked.cancelled()
    assert predictor.under_way == 0
