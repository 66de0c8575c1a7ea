"""A job in Redis: every part is settled once, whoever dies, and every process sees the same."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from redis.asyncio import Redis

from models import ledger as ledger_module
from models.errors import RedisRefused
from models.job_errors import JobNotFound, JobUnderWay, JobUnreadable
from models.job_names import SERVER, Waiting, job_names, jobs_kept
from models.jobs import JobSpec
from models.keys import Keys
from models.ledger import CANCELLED, DONE, FAILED, KEPT_SECONDS, RUNNING, Ledger
from models.tallies import Tally

SPEC = JobSpec(model="m", version=1)

Change = Callable[[str, object], None]


@pytest.fixture(autouse=True)
def _short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "SILENT_SECONDS", 0.2)


def ledger(redis: Redis, process: str = "a", name: str = "job") -> Ledger:
    return Ledger(redis, Keys(), name, process)


async def leading(redis: Redis) -> Ledger:
    """A job whose rows this process finds."""
    one = ledger(redis)
    assert await one.begin(SPEC)
    assert await one.lead()
    return one


def counted(rows: int) -> bytes:
    tally = Tally(scored=rows)
    tally.add_numbers(np.ones(rows, np.float32))
    tally.add_labels(Counter({"yes": rows}))
    return tally.to_json()


async def begun(redis: Redis, *parts: bytes) -> Ledger:
    """A job whose rows are all found."""
    one = await leading(redis)
    assert await one.add(parts, "p", 0.5) == len(parts)
    assert await one.walked() == 1
    return one


async def test_parts_are_taken_settled_and_then_the_job_is_done(redis: Redis) -> None:
    one = await begun(redis, b"rows 1", b"rows 2")

    first, second = await one.take(5, 10)
    settled = [await one.settle(first, counted(3)), await one.settle(second, counted(7), counted(3))]

    now = await one.look()
    assert [first.rows, second.rows] == [b"rows 1", b"rows 2"]
    assert settled == [1, 2]
    assert (now.state, now.waiting, now.share, now.tally.scored, now.walked) == (DONE, 0, 1.0, 7, True)
    assert now.spec == SPEC
    assert now.ended >= now.begun
    with pytest.raises(JobNotFound):
        await one.take(1, 10)
    assert 0 < await redis.ttl(Keys().job("job")) <= 7 * 86_400


@pytest.mark.parametrize("ends", ["done", "cancelled"])
async def test_whoever_waits_for_a_part_hears_of_the_end_at_once(redis: Redis, ends: str) -> None:
    one = await begun(redis, b"rows")
    (part,) = await one.take(1, 10)
    waiting = asyncio.create_task(ledger(redis, "b").take(1, 60_000))
    await asyncio.sleep(0.1)

    await (one.settle(part, counted(3)) if ends == "done" else one.end(CANCELLED))

    async with asyncio.timeout(30):
        with pytest.raises(JobNotFound):
            await waiting


async def test_what_a_dead_process_had_is_taken_by_another_and_counted_once(redis: Redis) -> None:
    dead = await begun(redis, b"rows")
    other = ledger(redis, "b")
    (had,) = await dead.take(1, 10)

    assert await other.take(1, 10) == []
    await asyncio.sleep(0.25)
    (taken,) = await other.take(1, 10)
    assert await other.settle(taken, counted(4)) == 2
    assert await dead.settle(had, counted(4)) == 0

    assert (had.again, taken.again) == (False, True)
    assert replace(taken, again=False) == had
    assert (await other.look()).tally.scored == 4


async def test_a_process_that_lives_keeps_what_it_has(redis: Redis) -> None:
    one = await begun(redis, b"rows")
    (had,) = await one.take(1, 10)

    for _ in range(3):
        await asyncio.sleep(0.1)
        await one.beat([had.entry])
    assert await ledger(redis, "b").take(1, 10) == []
    assert (await one.look()).alive


async def test_settling_twice_because_the_reply_was_lost_counts_once(redis: Redis) -> None:
    one = await begun(redis, b"rows", b"more")
    first, second = await one.take(2, 10)

    assert [await one.settle(first, counted(4)) for _ in range(2)] == [1, 1]
    assert [await one.settle(second, counted(9), counted(4)) for _ in range(2)] == [2, 2]
    assert (await one.look()).tally.scored == 9


async def test_tallies_of_processes_add_up(redis: Redis) -> None:
    one, other = await begun(redis, b"rows", b"more"), ledger(redis, "b")
    (first,), (second,) = await one.take(1, 10), await other.take(1, 10)

    await one.settle(first, counted(4))
    await other.settle(second, counted(6))

    tally = (await one.look()).tally
    assert (tally.scored, tally.labels, tally.total) == (10, {"yes": 10}, 10.0)


async def test_one_process_finds_rows_and_another_goes_on_when_it_dies(redis: Redis) -> None:
    one, other = ledger(redis), ledger(redis, "b")
    await one.begin(SPEC)
    assert await one.lead()
    assert await one.add([b"rows"], "after 1", 0.25, passed_over=2) == 1

    assert not await other.lead()
    assert await other.add([b"never"], "x", 0.5) == -1
    await asyncio.sleep(0.25)
    assert await other.lead()
    assert not await one.lead()
    assert await one.walked() == -1
    now = await other.look()
    assert (now.position, now.share, now.passed_over) == ("after 1", 0.25, 2)


async def test_a_walk_that_begins_anew_has_a_number_of_its_own(redis: Redis) -> None:
    one = await leading(redis)

    await one.add([b"old"], "1", 0.5)
    await one.add([b"new"], "0", 0.0, anew=True)

    old, new = await one.take(2, 10)
    assert new.walk == old.walk + 1


async def test_a_walk_that_begins_anew_counts_everything_anew(redis: Redis) -> None:
    one = await leading(redis)
    await one.add([b"done", b"late"], "1", 0.5, passed_over=3, rows=2)
    done, late = await one.take(2, 10)
    assert await one.settle(done, counted(4)) == 1

    await one.add([b"new"], "0", 0.0, anew=True, passed_over=1, rows=1)
    now = await one.look()
    (new,) = await one.take(2, 10)
    await one.walked()

    assert (now.tally.scored, now.found, now.passed_over) == (0, 1, 1)
    assert await one.settle(late, counted(8), counted(4)) == 0
    assert await one.settle(new, counted(5)) == 2
    assert (await one.look()).tally.scored == 5


async def test_a_part_of_an_earlier_walk_may_be_the_last_one(redis: Redis) -> None:
    one = await leading(redis)
    await one.add([b"late"], "1", 0.5)
    await one.add([b"new"], "0", 0.0, anew=True)
    late, new = await one.take(2, 10)
    await one.walked()

    assert await one.settle(new, counted(5)) == 1
    assert await one.settle(late, counted(9), counted(5)) == 3
    now = await one.look()
    assert (now.state, now.tally.scored) == (DONE, 5)


async def test_a_tally_that_redis_has_lost_is_not_written_over(redis: Redis) -> None:
    one = await begun(redis, b"rows", b"more")
    first, second = await one.take(2, 10)

    assert await one.settle(first, counted(4)) == 1
    assert await one.settle(second, counted(9), counted(5)) == -1
    own = await one.own()
    assert Tally.from_json(own).scored == 4
    assert await one.settle(second, counted(8), own) == 2
    assert (await one.look()).tally.scored == 8


async def test_the_share_that_is_done_is_not_the_share_that_was_found(redis: Redis) -> None:
    one = await leading(redis)
    await one.add([b"rows", b"more"], "1", 0.5, rows=10)
    assert (await one.look()).done_share == 0.0
    (part, *_) = await one.take(1, 10)

    await one.settle(part, counted(4))

    assert (await one.look()).done_share == pytest.approx(0.5 * 4 / 10)


async def test_a_process_that_cannot_find_rows_lets_another_one(redis: Redis) -> None:
    one = ledger(redis)
    await one.begin(SPEC)
    assert await one.lead()
    other = ledger(redis, "b")
    assert not await other.lead()
    await other.leave()
    assert not await other.lead()

    await one.leave()

    assert await other.lead()


@pytest.mark.parametrize("done", [True, False])
async def test_a_job_that_is_done_may_be_said_to_have_failed(redis: Redis, done: bool) -> None:
    one = await begun(redis, b"rows")
    (part,) = await one.take(1, 10)
    await one.settle(part, counted(4))

    assert await one.end(FAILED, "too many errors", done=done) is done
    assert (await one.look()).state == (FAILED if done else DONE)


async def test_a_job_with_no_rows_is_done_when_it_was_walked(redis: Redis) -> None:
    one = await leading(redis)

    assert await one.walked() == 2
    assert (await one.look()).state == DONE


async def test_the_same_job_begins_anew_unless_somebody_works_on_it(redis: Redis) -> None:
    one = await begun(redis, b"rows")

    with pytest.raises(JobUnderWay, match="--resume"):
        await ledger(redis, "b").begin(SPEC)
    assert not await ledger(redis, "b").begin(SPEC, anew=False)
    await asyncio.sleep(0.25)
    walk = (await one.look()).walk
    assert await ledger(redis, "b").begin(SPEC)
    now = await one.look()
    assert (now.waiting, now.walked, now.position) == (0, False, "")
    assert now.walk > walk


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
async def test_who_works_on_a_job_does_not_depend_on_the_clocks_of_machines(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    one, true = ledger(redis), time.time
    monkeypatch.setattr("time.time", lambda: true() + ahead)  # of the machine that began it
    await one.begin(SPEC, host=SERVER)
    await one.beat([])
    monkeypatch.undo()
    monkeypatch.setattr(ledger_module, "SILENT_SECONDS", 0.2)

    now = await one.look()
    assert now.alive
    assert now.seconds >= 0
    assert await Waiting(redis, Keys()).names() == []
    with pytest.raises(JobUnderWay):
        await ledger(redis, "b").begin(SPEC)
    await asyncio.sleep(0.25)  # and now its process is dead
    assert not (await one.look()).alive
    assert await Waiting(redis, Keys()).names() == ["job"]
    assert await ledger(redis, "b").begin(SPEC)


async def test_a_job_that_cannot_be_listed_is_not_begun(redis: Redis) -> None:
    await redis.set("insitu:jobs", "no list")

    with pytest.raises(RedisRefused):
        await ledger(redis).begin(SPEC)

    assert await redis.keys("insitu:{job:*") == []


async def test_a_job_is_ended_once_and_takes_nothing_more(redis: Redis) -> None:
    one = await begun(redis, b"rows")
    (had,) = await one.take(1, 10)

    assert await one.end(CANCELLED, "no longer wanted")
    assert not await one.end(FAILED)

    now = await one.look()
    assert (now.state, now.reason, now.waiting) == (CANCELLED, "no longer wanted", 0)
    assert await one.settle(had, counted(1)) == 0
    assert not await one.lead()
    assert await one.add([b"more"], "x", 1.0) == -2
    with pytest.raises(JobNotFound):
        await one.take(1, 10)
    assert (await one.look()).state == CANCELLED


async def test_a_job_is_ended_where_redis_has_no_memory_left(
    redis: Redis, shared_server_settings: Change
) -> None:
    one = await begun(redis, b"rows")

    shared_server_settings("maxmemory", 1)
    with pytest.raises(RedisRefused, match="maxmemory"):
        await one.beat([])
    assert await one.end(FAILED, "there is no room")

    now = await one.look()
    assert (now.state, now.reason, now.waiting) == (FAILED, "there is no room", 0)


async def test_a_job_that_is_not_there_is_told(redis: Redis) -> None:
    one = ledger(redis, name="nightly")

    for asked in (one.look, lambda: one.take(1, 10), lambda: one.end(FAILED)):
        with pytest.raises(JobNotFound, match="nightly"):
            await asked()
    await one.beat(["1-1"])
    assert not await redis.exists(Keys().job("nightly"))


async def test_jobs_are_listed_newest_first_and_those_gone_are_forgotten(redis: Redis) -> None:
    for name in ("old", "gone", "new"):
        await ledger(redis, name=name).begin(SPEC)
    await redis.delete(Keys().job("gone"))

    assert [one.name for one in await jobs_kept(redis, Keys())] == ["new", "old"]
    assert await redis.zrange(Keys().jobs(), 0, -1) == [b"old", b"new"]
    assert {one.state for one in await jobs_kept(redis, Keys())} == {RUNNING}


async def test_what_names_no_job_hides_none(redis: Redis) -> None:
    await ledger(redis).begin(SPEC, host=SERVER)
    alien = (b"\xff\xfe", b"$(reboot)", b'a"; b', b"", b"x" * 161)
    await redis.zadd(Keys().jobs(), {name: 2e9 + at for at, name in enumerate(alien)})

    assert await job_names(redis, Keys()) == ["job"]
    assert [one.name for one in await jobs_kept(redis, Keys())] == ["job"]
    await asyncio.sleep(0.3)
    assert await Waiting(redis, Keys()).names() == ["job"]


@pytest.mark.parametrize("part", ["job", "job_parts", "job_tallies"])
async def test_a_job_that_was_written_over_is_named_and_hides_no_other(redis: Redis, part: str) -> None:
    for name in ("whole", "job"):
        await ledger(redis, name=name).begin(SPEC, host=SERVER)
    key = getattr(Keys(), part)("job")
    await redis.delete(key)
    await redis.lpush(key, "alien")

    with pytest.raises(JobUnreadable, match=f"job 'job' cannot be read.*'{key}' is a list and no") as told:
        await ledger(redis).look()
    assert "newer" not in str(told.value)
    if part == "job":
        with pytest.raises(RedisRefused, match=f"'{key}' is a list and no"):
            await ledger(redis).end(CANCELLED)
    assert [one.name for one in await jobs_kept(redis, Keys())] == ["whole"]
    await asyncio.sleep(0.3)
    assert set(await Waiting(redis, Keys()).names()) - {"job"} == {"whole"}
    assert await job_names(redis, Keys()) == ["job", "whole"]


async def test_the_oldest_of_many_jobs_waits_for_a_server_as_the_others_do(redis: Redis) -> None:
    waiting = Waiting(redis, Keys())
    await ledger(redis, name="first").begin(SPEC, host=SERVER)
    later = time.time() + 1
    await redis.zadd(Keys().jobs(), {f"job{number}": later + number for number in range(1500)})
    for number in range(1500):
        await redis.hset(Keys().job(f"job{number}"), mapping={"state": DONE, "host": SERVER})

    assert await waiting.names() == ["first"]
    assert len(await job_names(redis, Keys())) == 1501


async def test_a_server_forgets_the_names_of_jobs_that_are_gone(redis: Redis) -> None:
    waiting = Waiting(redis, Keys())
    week_ago = time.time() - KEPT_SECONDS - 60
    await redis.zadd(Keys().jobs(), {"gone": 1, "begins": time.time(), "expires": week_ago})
    await redis.hset(Keys().job("expires"), mapping={"state": DONE, "host": SERVER})

    await waiting.names()
    assert await redis.zrange(Keys().jobs(), 0, -1) == [b"expires", b"begins"]

    await redis.delete(Keys().job("expires"))
    await waiting.names()
    assert await redis.zrange(Keys().jobs(), 0, -1) == [b"begins"]
