"""jobs: scoring jobs that are kept in Redis, listed, shown, watched and cancelled without a server."""

import asyncio
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from redis import Redis as Plain
from redis.asyncio import Redis

from cli import jobs
from models.jobs import JobSpec
from models.keys import Keys
from models.ledger import Ledger
from models.tallies import Tally
from tests.integration.cli.conftest import Result

Insitu = Callable[..., Result]


@pytest.fixture
def kept(redis_url: str) -> None:
    """A job that is done, and one at half its rows that nobody works on any more."""
    asyncio.run(keep(redis_url))


async def keep(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        for name, share in (("done", 1.0), ("half", 0.5)):
            one = Ledger(redis, Keys(), name, "test")
            await one.begin(JobSpec(model="churn", version=1))
            await one.lead()
            await one.add([b"1"] if name == "done" else [b"1", b"2"], "p", share)
            (part,) = await one.take(1, 10)
            tally = Tally(scored=4)
            tally.add_numbers(np.array([0.1, 0.2, 0.2, 0.9]))
            tally.add_labels(Counter({"stays": 3, "leaves": 1}))
            await one.settle(part, tally.to_json())
            if name == "done":
                await one.walked()
            await redis.delete(Keys().job_working(name))


async def end(redis_url: str, name: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        await asyncio.sleep(0.7)
        await Ledger(redis, Keys(), name, "test").end("failed", "it broke")


def test_jobs_are_listed_the_newest_first(insitu: Insitu, kept: None) -> None:
    told, shown = insitu("jobs", "--json"), insitu("jobs")

    assert [(one["job"], one["state"], one["share"]) for one in told.json] == [
        ("half", "running", 0.5),
        ("done", "done", 1.0),
    ]
    assert shown.code == 0
    assert [line.split()[:4] for line in shown.out.splitlines()[1:]] == [
        ["half", "waiting", "50%", "4"],
        ["done", "done", "100%", "4"],
    ]


def test_one_job_is_shown_with_how_its_numbers_are_spread(insitu: Insitu, kept: None) -> None:
    shown, told = insitu("jobs", "half"), insitu("jobs", "half", "--json")

    assert "waiting, 50% of its rows done" in shown.out
    assert "churn version 1: 4 rows scored into score:{key}" in shown.out
    assert "0.1 to 0.9, mean 0.35" in shown.out
    assert "█" in shown.out
    assert (told.json["scored"], told.json["labels"]) == (4, {"stays": 3, "leaves": 1})


def test_a_job_is_cancelled_once(insitu: Insitu, kept: None) -> None:
    cancelled, done = (
        insitu("jobs", "half", "--cancel", "--json"),
        insitu("jobs", "done", "--cancel", "--json"),
    )

    assert (cancelled.code, cancelled.json["state"]) == (0, "cancelled")
    assert (done.code, done.json["state"]) == (0, "done")


def test_a_job_is_watched_until_it_has_ended(insitu: Insitu, kept: None, redis_url: str) -> None:
    async def both() -> Result:
        watching = asyncio.create_task(asyncio.to_thread(insitu, "jobs", "half", "--watch", "--json"))
        await end(redis_url, "half")
        return await watching

    failed, done = asyncio.run(both()), insitu("jobs", "done", "--watch")

    assert (failed.code, failed.json["state"], failed.json["reason"]) == (1, "failed", "it broke")
    assert done.code == 0


def test_a_job_that_is_not_kept_is_named(insitu: Insitu, kept: None) -> None:
    missing, odd, none = insitu("jobs", "nope"), insitu("jobs", "no pe"), insitu("jobs", "--prefix", "other")

    assert (missing.code, odd.code, none.code) == (1, 2, 0)
    assert "there is no scoring job 'nope'" in missing.error
    assert "no scoring jobs are kept" in none.out


def test_names_of_jobs_are_completed(kept: None, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSITU_REDIS_URL", redis_url)
    found = jobs.complete_job("ha")
    monkeypatch.setenv("INSITU_REDIS_URL", "redis://127.0.0.1:1")

    assert found == ["half"]
    assert jobs.complete_job("ha") == []


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_job_that_a_newer_version_began_is_cancelled(
    insitu: Insitu, kept: None, redis_url: str, words: tuple[str, ...]
) -> None:
    with Plain.from_url(redis_url) as redis:
        redis.hset(Keys().job("half"), "spec", '{"model": "churn", "shards": 3}')

        told = insitu("jobs", "half", "--cancel", *words)

        assert (told.code, told.err) == (0, "")
        assert told.json == {"job": "half", "ended": True} if words else "job half has ended" in told.out
        assert redis.hget(Keys().job("half"), "state") == b"cancelled"
