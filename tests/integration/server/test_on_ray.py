"""A job on Ray: the answers of any job, from several processes, whatever becomes of one of them."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from importlib.util import find_spec
from typing import Any

import pytest
from redis.asyncio import Redis

from models.assembly import Plan
from models.errors import BadRequest, InsituError, RedisUnavailable, VersionNotFound
from models.features import FeatureView
from models.jobs import JobSpec
from models.ledger import DONE, RUNNING, Ledger, Standing
from models.store import ModelStore
from models.tallies import Tally
from server.batch.ray_workers import Job, PartScorer, packed, read, rows_of, unpacked
from server.batch.scoring import TooManyErrors, process_name, score
from server.building import build_engine
from server.settings import ServerSettings
from tests.conftest import missing
from tests.graphs import bundle, dense, f32
from tests.integration.server.conftest import StartEngine

ROWS = 8_000
RATE = 1000  # rows a second of one process, so that another one comes to help
VECTOR = {"inputs": [{"name": "x", "sources": [{"key": "v:{id}", "as": "vector", "shape": [2]}]}]}

# Ray warns of itself, which is an error here, and prints what it likes: it is used in a process of its own.
# That tells what each process has looked at whenever some rows are done, then what came of all of them.
PROGRAM = """
import asyncio, json, sys
from functools import partial
from cli.settings import quiet_ray

quiet_ray()
from models.jobs import JobSpec
from server.building import build_engine
from server.batch.on_ray import begun, score
from server.batch.ray_cluster import Cluster
from server.settings import ServerSettings

async def main():
    build = partial(build_engine, ServerSettings(redis_url=sys.argv[1], threads=1))
    engine = build()
    tell = lambda *what: print("told", json.dumps(what), flush=True)
    try:
        job = await begun(engine, build, JobSpec.parse(sys.argv[2]), "job")
        done = await score(engine, job, Cluster(cpus=2), lambda now: tell("by", *now.by_process))
        tell("end", done.standing.state, done.standing.tally.to_data())
    finally:
        await engine.stop()

asyncio.run(main())
"""


@asynccontextmanager
async def on_ray(url: str, **facts: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    if find_spec("ray") is None:
        missing("no Ray: pip install 'insitu[ray]'")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        url,
        json.dumps({"model": "m", **facts}),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.communicate()


async def fill(redis: Redis, count: int) -> None:
    """Vectors, one of them too short, a text, and a key that the model does not read."""
    pipeline = redis.pipeline(transaction=False)
    for number in range(count):
        pipeline.set(f"v:{number}", f32([number, 1]).tobytes())
    pipeline.set("v:short", b"\0\0\0\0")
    pipeline.hset("v:hash", "a", "1")
    pipeline.set("v:1:more", b"")
    await pipeline.execute()
    await ModelStore(redis).publish(bundle(dense(f32([[1], [0]])), view=VECTOR, task="regression"))


def places(name: str) -> dict[str, Any]:
    return {"to": [{"kind": "string", "key": name + ":{key}"}], "errors_to": f"redis:{name}-bad"}


async def written(redis: Redis, name: str) -> tuple[dict[str, Any], set[tuple[bytes, bytes]]]:
    """Answers but for their time, by row, and the rows that are listed as bad."""
    keys = [key async for key in redis.scan_iter(f"{name}:*", 1000)]
    answers = [json.loads(text or "") for text in await redis.mget(keys)]
    entries: Any = await redis.xrange(f"{name}-bad")
    for answer in answers:
        answer.pop("time")
    return {one["key"]: one for one in answers}, {(entry[b"key"], entry[b"code"]) for _, entry in entries}


async def plain(engine: StartEngine, **facts: Any) -> dict[str, Any]:
    """Do the same as any job is done, and return what came of it."""
    running = await engine()
    ledger = Ledger(running.store.redis, running.store.keys, "job", process_name())
    await ledger.begin(JobSpec.parse(json.dumps({"model": "m", "version": 1, **facts})))
    return (await score(running, ledger, lambda _now: None)).tally.to_data()


def told(line: bytes, what: str) -> list[Any]:
    """What the program says of one matter in a line, nothing where it says another one or Ray prints it."""
    said = json.loads(line.removeprefix(b"told ")) if line.startswith(b"told ") else [None]
    return list(said[1:]) if said[0] == what else []


async def shared(process: asyncio.subprocess.Process) -> tuple[int, int]:
    """Wait until two processes have looked at rows, of which the first stands still, and return their numbers."""
    assert process.stdout is not None
    first = None
    while line := await process.stdout.readline():
        numbers = [int(name.split("-")[-2]) for name in told(line, "by")]
        if first is None and numbers:
            first = numbers[0]
            os.kill(first, signal.SIGSTOP)  # or it might be done before another one has begun
        if len(numbers) == 2:
            return numbers[0], numbers[1]
    raise AssertionError("one process has done it all")


def here(facts: dict[str, Any], redis_url: str) -> Job:
    """A job as a process of Ray gets it."""
    build = partial(build_engine, ServerSettings(redis_url=redis_url, threads=1))
    spec = JobSpec.parse(json.dumps({"model": "m", "version": 1, **facts}))
    standing = Standing("job", spec, RUNNING, 0.0, 0, 0, Tally(), 0.0)
    return Job(build, standing, Plan(FeatureView.read(VECTOR)))


def told_of(job: Job) -> list[dict[str, Any]]:
    """What comes of a job whose rows are found and scored in this process, as Ray has it done."""
    with closing(PartScorer(job)) as scorer:
        return [row for found in read(None, job) for row in rows_of(scorer(found))]


async def test_each_part_is_told_of_and_then_how_many_there_were(redis: Redis, redis_url: str) -> None:
    await fill(redis, 10_000)

    *parts, last = await asyncio.to_thread(told_of, here({}, redis_url))

    assert last["parts"] == len(parts) >= 3
    assert {row["parts"] for row in parts} == {None}
    assert len({row["finder"] for row in (*parts, last)}) == 1
    tallies = [Tally.from_json(row["tally"]) for row in parts]
    assert sum(tally.scored for tally in tallies) == 10_000
    assert sum(row["passed_over"] for row in parts) == 1


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"rows": {"kind": "redis", "key": "nothing"}}, "'nothing' is not in Redis"),
        ({"label": "yes"}, "label 'yes' is none of model 'm'"),
    ],
)
async def test_what_is_wrong_with_a_job_is_told_in_its_own_words(
    redis: Redis, redis_url: str, facts: dict[str, Any], told: str
) -> None:
    await fill(redis, 1)

    first, *_ = await asyncio.to_thread(told_of, here(facts, redis_url))

    with pytest.raises(BadRequest, match=told):
        raise unpacked(first["fault"])


@pytest.mark.parametrize("error", [BadRequest("why"), VersionNotFound("m", 9, [1]), RedisUnavailable("away")])
def test_an_error_says_the_same_in_another_process(error: InsituError) -> None:
    there = unpacked(packed(error))

    assert (type(there), str(there), there.details) == (type(error), str(error), error.details)


@pytest.fixture
def outcome() -> Any:
    """A job of which nothing is known yet."""
    if find_spec("ray") is None:
        missing("no Ray: pip install 'insitu[ray]'")
    from server.batch.on_ray import Outcome  # noqa: PLC0415  # there may be no Ray

    return Outcome(here({"max_errors": 1}, "redis://nowhere").standing)


def part(**facts: Any) -> dict[str, Any]:
    row = {"finder": "a", "parts": None, "share": 0.5, "passed_over": 1, "fault": None, "process": "p"}
    return {**row, "tally": Tally(scored=3).to_json(), **facts}


def test_what_came_of_parts_is_added_up(outcome: Any) -> None:
    for row in (part(), part(process="q", share=0.25), part(parts=2, tally=None)):
        outcome.add(row)

    outcome.check_whole()
    now = outcome.standing
    assert (now.tally.scored, now.share, now.passed_over) == (6, 0.5, 2)
    assert outcome.by_process == {"p": 3, "q": 3}


def test_rows_that_another_process_finds_anew_are_not_mistaken_for_the_rest(outcome: Any) -> None:
    outcome.add(part())

    with pytest.raises(InsituError, match="the process that found the rows died"):
        outcome.add(part(finder="b"))


@pytest.mark.parametrize("rows", [[part()], [part(), part(parts=2)]], ids=["no end", "a part is missing"])
def test_a_job_that_lacks_parts_is_not_done(outcome: Any, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        outcome.add(row)

    with pytest.raises(InsituError, match="--only-missing passes over it"):
        outcome.check_whole()


def test_more_errors_than_are_allowed_end_a_job(outcome: Any) -> None:
    with pytest.raises(TooManyErrors, match="2 rows could not be scored, max_errors allows 1"):
        outcome.add(part(tally=Tally(skipped=Counter(key_missing=2)).to_json()))


async def test_processes_share_a_job_and_one_that_is_killed_costs_nothing(
    engine: StartEngine, redis: Redis, redis_url: str
) -> None:
    await fill(redis, ROWS)
    expected = await plain(engine, **places("plain"))

    async with on_ray(redis_url, max_rate=RATE, **places("ray")) as process:
        first, second = await shared(process)
        os.kill(first, signal.SIGKILL)
        out, _ = await process.communicate()

    ((state, tally),) = filter(None, (told(line, "end") for line in out.splitlines()))
    assert process.returncode == 0
    assert len({first, second, process.pid}) == 3
    assert state == DONE
    assert (tally["scored"], tally["skipped"]) == (ROWS, expected["skipped"])
    assert tally == expected
    answers, bad = await written(redis, "ray")
    assert len(answers) == ROWS
    assert (answers, bad) == await written(redis, "plain")
