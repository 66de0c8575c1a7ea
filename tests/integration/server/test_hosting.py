"""Jobs worked on by real processes beside real servers, which are killed, stopped and started in the middle."""

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from redis import Redis as Client
from redis.asyncio import Redis

from models import ledger as ledger_module
from models.jobs import JobSpec
from models.keys import Keys
from models.ledger import FAILED, RUNNING, Ledger
from models.store import ModelStore
from server.batch.hosting import Hosting
from server.metrics import Metrics
from server.settings import ServerSettings
from tests.integration.rest.graphs import churn
from tests.integration.server.processes import load
from tests.servers import wait_until
from tests.serving import ServeCommand

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc")

ROWS = 12_000
SLOW = {"max_rate": 3000}  # so that a job is still at work when something happens to it
STEP_SECONDS = 60.0
BEGINS = re.compile(r"job (\S+): begins \(pid (\d+)\)")


@pytest.fixture
async def stored(redis: Redis, redis_url: str) -> str:
    """A Redis with a model and many rows of it, each tenth of them different."""
    await ModelStore(redis).publish(churn())
    pipeline = redis.pipeline(transaction=False)
    for row in range(ROWS):
        pipeline.hset(f"customer:{row}", mapping={"age": 20 + row % 10, "spend": 40 - row % 10})
    await pipeline.execute()
    return redis_url


@dataclass
class Served:
    """A server, and what is asked of it."""

    process: ServeCommand
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.process.start().url, timeout=30, trust_env=False)

    def begin(self, **body: Any) -> str:
        answer = self.http.post("/v1/models/churn/jobs", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["job"])

    def job(self, name: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.http.get(f"/v1/jobs/{name}").json()
        return shown

    def pids(self, name: str) -> list[int]:
        """The processes that were started for a job, the last one last."""
        return [int(pid) for job, pid in BEGINS.findall(self.process.log) if job == name]

    def until(self, name: str, true: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """Wait until a job is so, and return it."""
        last: dict[str, Any] = {}

        def reached() -> bool:
            time.sleep(0.1)
            last.update(self.job(name))
            return true(last)

        try:
            wait_until(reached, what, STEP_SECONDS)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{last}\n{self.process.log}") from error
        return last

    def done(self, name: str) -> dict[str, Any]:
        ended = self.until(name, lambda job: job["state"] != "running", "the job did not end")
        assert ended["state"] == "done", f"{ended}\n{self.process.log}"
        return ended

    def at_work(self, name: str) -> dict[str, Any]:
        """Wait until some rows are scored and many are not."""
        now = self.until(name, lambda job: job["scored"] > 0, "nothing was scored")
        assert now["scored"] < ROWS, "the job was too fast to be disturbed"
        return now

    def close(self) -> None:
        self.http.close()
        self.process.stop()


Serve = Callable[..., Served]


@pytest.fixture
def serve(stored: str) -> Any:
    """A factory: a server on the Redis with rows; keywords are settings of the environment."""
    started: list[Served] = []

    def start(**settings: str) -> Served:
        started.append(Served(ServeCommand(stored, settings)))
        return started[-1]

    yield start
    for one in started:
        one.close()


def answers(url: str) -> dict[bytes, dict[str, Any]]:
    """Every answer that a job wrote, by the key it is for."""
    with Client.from_url(url) as client:
        keys = list(client.scan_iter("score:*", count=5000))
        values = client.mget(keys) if keys else []
    return {key.removeprefix(b"score:"): orjson.loads(value) for key, value in zip(keys, values, strict=True)}


def alive(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_job_is_begun_followed_and_done_and_its_answers_are_those_of_a_prediction(
    serve: Serve, stored: str
) -> None:
    server = serve()

    name = server.begin(label="leaves")
    ended = server.done(name)

    written = answers(stored)
    keys = [f"customer:{row}" for row in range(0, ROWS, 997)]
    told = server.http.post("/v1/models/churn/predict", json={"keys": keys}).json()["predictions"]
    assert len(written) == ended["scored"] == ended["numbers"] == ROWS
    assert (ended["share"], ended["waiting"], ended["eta_seconds"]) == (1.0, 0, None)
    assert sum(count for _, _, count in ended["histogram"]) == ROWS
    for one in told:
        mine = written[one["key"].encode()]
        assert mine["label"] == one["label"]
        assert mine["probabilities"] == pytest.approx(one["probabilities"], rel=1e-6)
    assert ended["labels"] == {
        label: sum(1 for one in written.values() if one["label"] == label) for label in ended["labels"]
    }
    wait_until(lambda: "insitu_jobs_running 0.0" in server.http.get("/metrics").text, "its process goes on")
    assert (
        f'insitu_job_rows_total{{model="churn",version="1"}} {float(ROWS)}'
        in server.http.get("/metrics").text
    )
    assert f"job {name}: done, {ROWS} rows scored" in server.process.log


def test_a_job_is_cancelled_in_the_middle(serve: Serve, stored: str) -> None:
    server = serve()
    name = server.begin(**SLOW)
    server.at_work(name)
    (pid,) = server.pids(name)

    cancelled = server.http.delete(f"/v1/jobs/{name}").json()

    assert cancelled["state"] == "cancelled"
    wait_until(lambda: not alive(pid), "its process did not end")
    assert 0 < len(answers(stored)) < ROWS
    assert server.http.post("/v1/models/churn/jobs", json=SLOW).status_code == 201


def test_a_job_whose_process_is_killed_goes_on_in_another(serve: Serve, stored: str) -> None:
    server = serve()
    name = server.begin(**SLOW)
    server.at_work(name)

    os.kill(server.pids(name)[0], signal.SIGKILL)
    ended = server.done(name)

    assert len(server.pids(name)) == 2
    assert "its process died (SIGKILL)" in server.process.log
    assert len(answers(stored)) == ended["scored"] == ROWS


def test_a_job_outlives_its_server(serve: Serve, stored: str) -> None:
    first = serve()
    name = first.begin(**SLOW)
    before = first.at_work(name)
    (pid,) = first.pids(name)

    began = time.monotonic()
    first.process.terminate()
    first.process.wait()
    took = time.monotonic() - began
    wait_until(lambda: not alive(pid), "its process did not end", 1)
    second = serve()
    ended = second.done(name)

    assert took < 20
    assert "did not end in time" not in first.process.log
    assert ended["began"] == before["began"]
    assert len(answers(stored)) == ended["scored"] == ROWS


def test_a_job_ends_with_a_server_that_is_killed_and_goes_on_in_the_next(serve: Serve, stored: str) -> None:
    first = serve()
    name = first.begin(**SLOW)
    first.at_work(name)
    (pid,) = first.pids(name)

    assert first.process.process is not None
    first.process.process.kill()
    first.process.process.wait()
    wait_until(lambda: not alive(pid), "its process did not end")
    ended = serve().done(name)

    assert len(answers(stored)) == ended["scored"] == ROWS


def test_two_servers_share_the_jobs_out(serve: Serve, stored: str) -> None:
    servers = [serve(INSITU_MAX_JOBS="1"), serve(INSITU_MAX_JOBS="1")]

    names = [
        servers[0].begin(job=job, to=[{"kind": "hash", "key": job}], **SLOW)
        for job in ("one", "two", "three")
    ]
    servers[0].at_work("one")
    servers[1].at_work("two")
    waiting = servers[0].job("three")
    ended = [servers[1].done(name) for name in names]

    assert (waiting["state"], waiting["working"], waiting["scored"]) == ("running", False, 0)
    assert [one["scored"] for one in ended] == [ROWS] * 3
    with Client.from_url(stored) as client:
        assert [client.hlen(name) for name in names] == [ROWS] * 3


def test_a_job_that_cannot_be_done_has_failed_and_says_why(serve: Serve) -> None:
    server = serve()

    name = server.begin(rows={"kind": "redis", "key": "nobody"})
    ended = server.until(name, lambda job: job["state"] != "running", "the job did not end")

    assert ended["state"] == "failed"
    assert "'nobody' is not in Redis" in ended["reason"]
    assert "set, sorted set, list or stream" in ended["reason"]
    assert len(server.pids(name)) == 1
    assert "Fatal Python error" not in server.process.log


def test_of_several_workers_one_works_on_jobs(stored: str) -> None:
    server = ServeCommand(stored, {"INSITU_WORKERS": "2"})
    try:
        with httpx.Client(base_url=server.start().url, timeout=30, trust_env=False) as client:
            name = client.post("/v1/models/churn/jobs", json={}).json()["job"]
            wait_until(lambda: client.get(f"/v1/jobs/{name}").json()["state"] == "done", "not done", 60)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        log = server.log
    finally:
        server.close()

    assert [job for job, _ in BEGINS.findall(log)] == [name]
    assert re.findall(r"(worker \d) server.batch.hosting: job", log) == ["worker 1"]
    assert len(answers(stored)) == ROWS


async def test_predictions_go_on_while_a_job_runs(serve: Serve, stored: str) -> None:
    server = await asyncio.to_thread(serve)
    name = await asyncio.to_thread(server.begin, **SLOW)
    await asyncio.to_thread(server.at_work, name)

    async with load(server.process.url, "/v1/models/churn/predict", {"keys": ["customer:1"]}) as made:
        await made.until(200)
        running = await asyncio.to_thread(server.job, name)

    assert made.statuses() == {200}
    assert running["state"] == RUNNING
    await asyncio.to_thread(server.done, name)


@pytest.fixture
async def hopeless(redis: Redis, redis_url: str) -> AsyncIterator[Hosting]:
    """A host whose processes cannot even begin: CUDA was asked for, and is not there."""
    settings = ServerSettings(redis_url=redis_url, provider="cuda")
    hosting = Hosting(ModelStore(redis), settings, Metrics())
    yield hosting
    await hosting.stop()


async def test_a_job_whose_processes_die_at_once_is_given_up(
    redis: Redis, hopeless: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "SILENT_SECONDS", 0.1)
    one = Ledger(redis, Keys(), "doomed", "test")
    await one.begin(JobSpec(model="churn", version=1), host="server")

    hopeless.start()
    async with asyncio.timeout(2 * STEP_SECONDS):  # three processes, one after the other
        while (standing := await one.look()).state == RUNNING:  # noqa: ASYNC110  # nobody tells a test
            await asyncio.sleep(0.1)

    assert standing.state == FAILED
    assert standing.reason.startswith("3 processes in a row died of it (status 1)")


async def test_a_job_that_a_command_began_is_left_to_it(redis: Redis, hopeless: Hosting) -> None:
    one = Ledger(redis, Keys(), "own", "test")
    await one.begin(JobSpec(model="churn", version=1))
    await redis.delete(Keys().job_working("own"))  # the command has died long ago

    hopeless.start()
    await asyncio.sleep(1.5)

    standing = await one.look()
    assert (standing.state, standing.alive) == (RUNNING, False)


async def test_jobs_of_a_newer_version_keep_no_place_from_others(
    redis: Redis, serve: Serve, stored: str
) -> None:
    for name in ("newer", "newest"):
        await Ledger(redis, Keys(), name, "test").begin(JobSpec(model="churn", version=1), host="server")
        await redis.hset(Keys().job(name), "spec", orjson.dumps({"model": "churn", "shards": 3}))
    server = await asyncio.to_thread(serve)

    name = await asyncio.to_thread(server.begin)
    done = await asyncio.to_thread(server.done, name)

    assert done["scored"] == ROWS
    async with httpx.AsyncClient(base_url=server.process.url, trust_env=False) as client:
        listed = (await client.get("/v1/jobs")).json()["jobs"]
        shown = await client.get("/v1/jobs/newer")
    assert [one["job"] for one in listed] == [name]
    assert (shown.status_code, shown.json()["error"]["code"]) == (500, "job_unreadable")
    assert await redis.hget(Keys().job("newer"), "state") == RUNNING.encode()
