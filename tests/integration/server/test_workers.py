"""`insitu serve --workers N`: real processes that are killed, stopped and replaced under requests."""

import errno
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection, HTTPException
from json import dumps, loads
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis import Redis as Client
from redis.asyncio import Redis

from models.store import ModelStore
from server.cores import available_cores
from server.settings import ServerSettings
from server.workers.listeners import Listeners
from server.workers.processes import Worker
from server.workers.reports import Task
from tests.graphs import bundle, constant
from tests.integration.server.conftest import Serve
from tests.integration.server.processes import resident_bytes
from tests.servers import RedisServer, free_port, wait_until
from tests.serving import COMMAND, ROOT, WORDS, ServeCommand

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc")

REPLACED_SECONDS = 180.0  # each worker loads its code while others have the processors
PREDICT = "/v1/models/m/predict"
BODY = dumps({"keys": ["k:1"]})
JSON = {"content-type": "application/json"}
HASH = {"key": "k:{id}", "as": "hash", "fields": ["a", "b"]}
VIEW = {"inputs": [{"name": "x", "sources": [HASH]}]}
SUPERVISOR_BYTES = 60 << 20
STILL_SECONDS = 8.0  # longer than a worker may be silent, and its grace
CLIENTS = 24  # that all reach the same one of two workers: once in eight million times


class Caller:
    """One connection that is kept; `pid` is the process at its other end, `leaving` whether it said that it ends."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        self.leaving = False
        self._line = HTTPConnection(place.hostname or "", place.port, timeout=30)
        self.pid = self._asked("GET", "/health/live")[1]["pid"]

    def _asked(self, method: str, path: str, body: str | None = None) -> tuple[int, Any]:
        self._line.request(method, path, body, JSON)
        answer = self._line.getresponse()
        self.leaving = answer.getheader("connection") == "close"
        return answer.status, loads(answer.read())

    def predict(self) -> int:
        """Return the status of a prediction."""
        return self._asked("POST", PREDICT, BODY)[0]

    def close(self) -> None:
        self._line.close()


@pytest.fixture
async def stored(redis: Redis, redis_url: str) -> str:
    """A Redis with one model and a key of it."""
    await ModelStore(redis).publish(bundle(constant(1), view=VIEW, task="regression"))
    await redis.hset("k:1", mapping={"a": 1, "b": 2})
    return redis_url


@pytest.fixture
def callers() -> Iterator[Callable[[str, int], list[Caller]]]:
    """A factory: so many connections to a server."""
    with ExitStack() as stack:

        def connect(url: str, count: int) -> list[Caller]:
            made = [Caller(url) for _ in range(count)]
            for one in made:
                stack.callback(one.close)
            return made

        yield connect


Connect = Callable[[str, int], list[Caller]]


def workers_of(pid: int) -> list[int]:
    """The children of a process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return sorted(found)


def alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def gone(pids: list[int]) -> bool:
    return not any(map(alive, pids))


def counted(url: str, name: str) -> float:
    """The sum of a counter's series, as whichever worker is asked tells it."""
    place = urlsplit(url)
    line = HTTPConnection(place.hostname or "", place.port, timeout=30)
    line.request("GET", "/metrics")
    text = line.getresponse().read().decode()
    line.close()
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))


def metrics_folder(workers: list[int]) -> Path:
    """The directory whose files the workers of one server count in."""
    maps = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in workers)
    (folder,) = set(re.findall(r" (/\S*/insitu-metrics-[^/\s]+)/", maps))
    return Path(folder)


def ended_early(url: str, *words: str, **settings: str) -> tuple[int, str]:
    """The status and the error of a server that does not come up."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("INSITU_")}
    environment = inherited | {"INSITU_REDIS_URL": url, "INSITU_LOG_LEVEL": "error"} | settings
    command = [*COMMAND, *WORDS, *words]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, next(line for line in done.stderr.splitlines() if line.startswith("error: "))


def test_connections_are_dealt_out_among_the_workers(serve: Serve, stored: str, callers: Connect) -> None:
    server = serve(stored, INSITU_WORKERS="2")

    many = callers(server.url, 64)

    counts = Counter(one.pid for one in many)
    assert set(counts) == set(workers_of(server.pid))
    assert max(counts.values()) < 56  # six standard deviations over the 32 of chance
    assert {one.predict() for one in many} == {200}


def test_none_is_as_many_as_there_are_cores(serve: Serve, stored: str) -> None:
    server = serve(stored, INSITU_WORKERS="0")

    workers = workers_of(server.pid) or [server.pid]

    assert len(workers) == available_cores()


def test_the_supervisor_stays_small(serve: Serve, stored: str) -> None:
    server = serve(stored, INSITU_WORKERS="2")

    maps = Path(f"/proc/{server.pid}/maps").read_text()

    assert resident_bytes(server.pid) < SUPERVISOR_BYTES
    assert not [name for name in ("onnxruntime", "uvloop", "numpy", "httptools") if name in maps]


def test_a_worker_killed_costs_its_own_connections_only(serve: Serve, stored: str, callers: Connect) -> None:
    server = serve(stored, INSITU_WORKERS="2")
    before = workers_of(server.pid)
    many = callers(server.url, 24)
    victim = before[0]

    def outcome(one: Caller) -> set[int]:
        """The statuses of many requests, 0 for a connection that broke."""
        told = set()
        for turn in range(200):
            if turn == 50 and one is many[0]:
                os.kill(victim, signal.SIGKILL)
            try:
                told.add(one.predict())
            except (OSError, HTTPException):
                return told | {0}
        return told

    with ThreadPoolExecutor(len(many)) as threads:
        told = list(threads.map(outcome, many))
    fresh = callers(server.url, 8)

    assert {status for one, seen in zip(many, told, strict=True) if one.pid != victim for status in seen} == {
        200
    }
    assert {one.predict() for one in fresh} == {200}
    wait_until(lambda: len(workers_of(server.pid)) == 2, "nobody took the place of the dead worker")
    assert victim not in workers_of(server.pid)
    assert "ended after" in server.log
    assert "SIGKILL" in server.log


def test_a_worker_that_stands_still_is_replaced(serve: Serve, stored: str, callers: Connect) -> None:
    server = serve(stored, INSITU_WORKERS="2", INSITU_WORKER_TIMEOUT_SECONDS="1")
    before = workers_of(server.pid)
    time.sleep(STILL_SECONDS)
    assert workers_of(server.pid) == before  # they say that they live

    os.kill(before[0], signal.SIGSTOP)

    wait_until(lambda: not alive(before[0]), "it is there still")
    wait_until(lambda: len(workers_of(server.pid)) == 2, "nobody took its place")
    wait_until(
        lambda: len({one.pid for one in callers(server.url, 16)}) == 2, "the new worker got no connection"
    )
    assert before[1] in workers_of(server.pid)
    assert {one.predict() for one in callers(server.url, 8)} == {200}
    assert f"worker 1 (pid {before[0]}) did not say that it lives in time; it is killed" in server.log


def test_workers_that_were_stopped_with_their_supervisor_stay(
    serve: Serve, stored: str, callers: Connect
) -> None:
    server = serve(stored, INSITU_WORKERS="2", INSITU_WORKER_TIMEOUT_SECONDS="1")
    before = workers_of(server.pid)
    for pid in (server.pid, *before):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(STILL_SECONDS)

    for pid in (server.pid, *before):  # it looks first
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.1)
    time.sleep(1)

    assert workers_of(server.pid) == before
    assert {one.predict() for one in callers(server.url, 8)} == {200}


def test_a_new_worker_takes_connections_again(serve: Serve, stored: str, callers: Connect) -> None:
    server = serve(stored, INSITU_WORKERS="2")
    before = workers_of(server.pid)

    os.kill(before[0], signal.SIGKILL)

    def by_both() -> bool:
        pids = {one.pid for one in callers(server.url, 16)}
        return len(pids) == 2 and before[0] not in pids

    wait_until(by_both, "the new worker got no connection")
    assert {one.predict() for one in callers(server.url, 16)} == {200}


def test_a_worker_that_cannot_be_started_yet_costs_the_others_nothing(
    serve: Serve, stored: str, callers: Connect
) -> None:
    server = serve(stored, INSITU_WORKERS="2")
    before = workers_of(server.pid)
    most, held = (
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE),
        len([*Path(f"/proc/{server.pid}/fd").iterdir()]),
    )
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (held, most[1]))

    server.signal(signal.SIGHUP)
    wait_until(lambda: "worker 1 cannot be replaced" in server.log, "it was replaced")
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: server.log.count("cannot be started: [Errno 24]") > 1, "it was started")

    assert workers_of(server.pid) == before[1:]
    assert {one.predict() for one in callers(server.url, 8)} == {200}
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, most)
    wait_until(lambda: len(workers_of(server.pid)) == 2, "nobody took the place of the dead worker")


def test_what_a_dead_worker_counted_still_counts(serve: Serve, stored: str, callers: Connect) -> None:
    server = serve(stored, INSITU_WORKERS="2")
    many = callers(server.url, 16)
    for one in many:
        one.predict()

    os.kill(many[0].pid, signal.SIGKILL)
    wait_until(lambda: not alive(many[0].pid), "it lives")
    by_the_other = counted(server.url, "insitu_requests_total")
    wait_until(lambda: len(workers_of(server.pid)) == 2, "nobody took the place of the dead worker")

    assert by_the_other == 16
    assert counted(server.url, "insitu_requests_total") == 16
    assert counted(server.url, "nv_inference_request_success") == 16
    assert counted(server.url, "nv_inference_compute_infer_duration_us") > 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_requests_in_flight_end(
    serve: Serve, stored: str, callers: Connect, number: signal.Signals
) -> None:
    server = serve(stored, INSITU_WORKERS="2", INSITU_MAX_BATCH_WAIT_MS="1000")
    workers = workers_of(server.pid)
    folder = metrics_folder(workers)
    many = callers(server.url, 16)

    with ThreadPoolExecutor(len(many)) as threads:
        waiting = [threads.submit(one.predict) for one in many]
        time.sleep(0.4)
        unanswered = [one for one in waiting if not one.done()]
        server.signal(number)
        statuses = [one.result() for one in waiting]

    assert len(unanswered) == 16
    assert set(statuses) == {200}
    assert server.wait() == 0
    assert gone(workers)
    assert not folder.exists()


def test_a_request_that_does_not_end_does_not_keep_the_server(
    serve: Serve, stored: str, callers: Connect
) -> None:
    settings = {"INSITU_SHUTDOWN_SECONDS": "1", "INSITU_MAX_BATCH_WAIT_MS": "10000"}
    server = serve(stored, INSITU_WORKERS="2", **settings)
    workers = workers_of(server.pid)
    (one,) = callers(server.url, 1)

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(one.predict)
        time.sleep(0.4)
        server.signal(signal.SIGTERM)
        begun = time.monotonic()
        status = server.wait()
        seconds = time.monotonic() - begun
        with suppress(OSError, HTTPException, ValueError):
            waiting.result()

    assert status == 0
    assert seconds < 8
    assert gone(workers)


def refused(url: str) -> bool:
    """Whether nobody listens at an address."""
    place = urlsplit(url)
    with socket.socket() as one:
        return one.connect_ex((place.hostname, place.port)) == errno.ECONNREFUSED


def test_a_server_that_ends_refuses_connections_while_it_answers_what_it_has_accepted(
    serve: Serve, stored: str, callers: Connect
) -> None:
    server = serve(stored, INSITU_WORKERS="2", INSITU_MAX_BATCH_WAIT_MS="10000")
    (one,) = callers(server.url, 1)

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(one.predict)
        time.sleep(0.4)
        server.signal(signal.SIGTERM)
        wait_until(lambda: refused(server.url), "somebody still listens", 5.0)

        assert not waiting.done()
        assert waiting.result() == 200
    assert server.wait() == 0


def test_a_second_signal_ends_it_at_once(serve: Serve, stored: str, callers: Connect) -> None:
    server = serve(stored, INSITU_WORKERS="2", INSITU_MAX_BATCH_WAIT_MS="10000")
    workers = workers_of(server.pid)
    (one,) = callers(server.url, 1)

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(one.predict)
        time.sleep(0.4)
        server.signal(signal.SIGINT)
        time.sleep(0.4)
        server.signal(signal.SIGINT)
        begun = time.monotonic()
        server.wait()
        seconds = time.monotonic() - begun
        with suppress(OSError, HTTPException, ValueError):
            waiting.result()

    assert seconds < 3
    assert gone(workers)


def test_workers_end_when_their_supervisor_is_killed(serve: Serve, stored: str) -> None:
    server = serve(stored, INSITU_WORKERS="2")
    workers = workers_of(server.pid)
    folder = metrics_folder(workers)
    assert folder.is_dir()

    server.signal(signal.SIGKILL)

    wait_until(lambda: gone(workers), "a worker is left")
    wait_until(lambda: not folder.exists(), "the directory of metrics is left")


def test_workers_end_when_their_supervisor_is_killed_that_has_not_heard_all_they_said(
    serve: Serve, stored: str
) -> None:
    server = serve(stored, INSITU_WORKERS="2", INSITU_WORKER_TIMEOUT_SECONDS="1")
    workers = workers_of(server.pid)
    server.signal(signal.SIGSTOP)
    time.sleep(0.5)  # they say that they live, some times

    server.signal(signal.SIGKILL)

    wait_until(lambda: gone(workers), "a worker is left")


@pytest.mark.timeout(600)
def test_a_restart_one_after_the_other_fails_no_request(serve: Serve, stored: str, callers: Connect) -> None:
    server = serve(stored, INSITU_WORKERS="2")
    before = workers_of(server.pid)
    told: Counter[int] = Counter()
    until = [float("inf")]

    def call() -> None:
        """Ask on kept connections, leaving when the server says that it does."""
        line = Caller(server.url)
        while time.monotonic() < until[0]:
            told[line.predict()] += 1
            if line.leaving:
                line.close()
                line = Caller(server.url)
        line.close()

    def renewed() -> bool:
        now = workers_of(server.pid)
        return len(now) == 2 and not set(now) & set(before)

    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(call) for _ in range(4)]
        server.signal(signal.SIGHUP)
        wait_until(renewed, "the workers were not replaced", REPLACED_SECONDS)
        until[0] = time.monotonic() + 0.3
        for one in calls:
            one.result()

    assert set(told) == {200}
    assert sum(told.values()) > 50
    assert {one.pid for one in callers(server.url, 16)} == set(workers_of(server.pid))


def test_a_worker_that_cannot_load_its_models_takes_the_place_of_none(tmp_path: Path) -> None:
    settings = ServerSettings(redis_url=f"unix://{tmp_path}/away.sock", grpc_port=-1, resp_port=-1, workers=2)
    with closing(Listeners.reserve("127.0.0.1", 0, 1)) as listeners:
        worker = Worker.start(1, listeners.sockets[0], Task(settings, tmp_path, 10.0, follows=True))
        try:
            wait_until(worker.ended, "it serves without a model")
        finally:
            worker.process.kill()
            worker.process.wait()
            worker.channel.close()

    assert not worker.answering
    assert worker.why().startswith("Redis does not answer")


@pytest.mark.timeout(600)
def test_a_worker_that_dies_while_it_is_replaced_is_replaced_once(
    serve: Serve, stored: str, callers: Connect
) -> None:
    server = serve(stored, INSITU_WORKERS="2")
    before = workers_of(server.pid)

    server.signal(signal.SIGHUP)
    wait_until(lambda: len(workers_of(server.pid)) == 3, "nobody follows", REPLACED_SECONDS)
    os.kill(before[0], signal.SIGKILL)

    def renewed() -> bool:
        now = workers_of(server.pid)
        return len(now) == 2 and not set(now) & set(before)

    wait_until(renewed, "the workers were not replaced", REPLACED_SECONDS)
    assert {one.predict() for one in callers(server.url, 8)} == {200}
    assert server.log.count(" starts\n") == 4


@pytest.mark.parametrize("shared", [False, True])
def test_a_taken_port_is_told_before_anything_starts(stored: str, shared: bool) -> None:
    with socket.socket() as taken:
        if shared:  # somebody who would share the port with us is somebody else all the same
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        status, error = ended_early(stored, "--workers", "2", "--port", str(port), INSITU_LOG_LEVEL="info")

    assert status == 1
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use)" in error


def test_a_server_of_several_workers_does_not_share_its_port(serve: Serve, stored: str) -> None:
    port = urlsplit(serve(stored, INSITU_WORKERS="2").url).port

    status, error = ended_early(stored, "--workers", "2", "--port", str(port))

    assert status == 1
    assert "an Insitu server already answers there" in error


def test_what_redis_refuses_is_told_as_by_one_process(redis_server: Callable[..., RedisServer]) -> None:
    url = redis_server(port=free_port()).tcp_url.replace("redis://", "redis://nobody:wrong@")

    alone = ended_early(url)
    several = ended_early(url, "--workers", "2")

    assert several == alone
    assert several[0] != 0
    assert "wrong" not in several[1].partition("nobody")[2].partition(" ")[0]


def test_what_only_a_worker_can_judge_ends_all(redis_server: Callable[..., RedisServer]) -> None:
    url = redis_server().url + "?db=99"

    status, error = ended_early(url, "--workers", "2")

    assert status == 3
    assert "database" in error


def test_workers_that_die_at_every_start_are_given_up(stored: str, tmp_path: Path) -> None:
    program = "import os, sys\nif any('server.worker' in word for word in sys.orig_argv): os._exit(3)\n"
    (tmp_path / "sitecustomize.py").write_text(program)

    status, error = ended_early(stored, "--workers", "2", PYTHONPATH=str(tmp_path))

    assert status == 1
    assert "ended at 4 starts in a row, the last time with status 3" in error


def test_cuda_that_is_not_there_is_told_as_by_one_process(stored: str) -> None:
    alone = ended_early(stored, "--provider", "cuda")

    assert ended_early(stored, "--provider", "cuda", "--workers", "2") == alone


def test_log_lines_name_the_worker(serve: Serve, stored: str) -> None:
    server: ServeCommand = serve(stored, INSITU_WORKERS="2", INSITU_LOG_FORMAT="json")

    lines = [loads(line) for line in server.log.splitlines()]

    assert {line.get("worker") for line in lines} == {None, 1, 2}
    assert any(line["message"].startswith("2 workers answer on http://127.0.0.1:") for line in lines)


def test_what_a_redis_client_configures_holds_for_every_worker(serve: Serve, stored: str) -> None:
    port = free_port()
    serve(stored, INSITU_WORKERS="2", INSITU_RESP_PORT=str(port))
    said = ("AI.CONFIG", "GET", "MODEL_CHUNK_SIZE")

    with ExitStack() as stack:
        clients = [stack.enter_context(Client(port=port)) for _ in range(CLIENTS)]
        before = {client.execute_command(*said) for client in clients}
        clients[0].execute_command("AI.CONFIG", "MODEL_CHUNK_SIZE", 1234)
        after = {client.execute_command(*said) for client in clients}

    assert (before, after) == ({535_822_336}, {1234})
