"""full-path: the same server with everything on, beside the bare one: tokens, a traffic rule, metrics scraped."""

import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from hashlib import sha256

import httpx

from benchmarks.agreement import agree
from benchmarks.claims import Claim, ratio
from benchmarks.contenders import INSITU, Server, insitu
from benchmarks.faults import BenchmarkFailed
from benchmarks.features import KINDS
from benchmarks.measurements import Series
from benchmarks.options import Options
from benchmarks.run import Case, Run, loads_seconds, warm_seconds
from benchmarks.stage import Stored
from benchmarks.wrk import Load

NAME = "full-path"
BARE, FULL = f"{INSITU}, bare", f"{INSITU}, full path"
PREFIX = "bench-full"
CONNECTIONS = 64
SCRAPE_SECONDS = 1.0
START_SECONDS = 6.0


def run(run: Run) -> None:
    """Serve twice on the same Redis and measure both in turns."""
    onnx = run.stage.model.read_bytes()
    run.watch.doing(f"{NAME}: starting the servers")
    for _ in range(2):  # two versions of the same network: the traffic rule has something to split
        run.stage.publish([Stored(kind, onnx, kind) for kind in KINDS], PREFIX)
    with ExitStack() as stack:
        servers = [stack.enter_context(insitu(run.stage, BARE)), *started(run, stack)]
        for server in servers:
            for kind in KINDS:
                agree(run.stage, server, kind)
                run.warm(Series(NAME, server.name, kind), load(run, server, kind))
        run.watch.done(START_SECONDS)
        for number in range(1, run.options.rounds + 1):
            for kind in KINDS:
                for server in servers:
                    run.time(Series(NAME, server.name, kind), number, load(run, server, kind))


def started(run: Run, stack: ExitStack) -> Iterator[Server]:
    """Give the server with everything on, scraped until the stack is closed."""
    predict, admin = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    tokens = ",".join(
        f"{scope}:{sha256(text.encode()).hexdigest()}"
        for scope, text in (("predict", predict), ("admin", admin))
    )
    settings = {"INSITU_TOKENS": tokens, "INSITU_PREFIX": PREFIX}
    server = stack.enter_context(insitu(run.stage, FULL, settings, bearer(predict)))
    for kind in KINDS:
        split(run, server, kind, bearer(admin))
    stack.enter_context(scraped(server, bearer(admin)))
    yield server


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def split(run: Run, server: Server, model: str, headers: Mapping[str, str]) -> None:
    """Give one request in twenty to the other version.

    Raises: BenchmarkFailed, the server takes no such rule.
    """
    rule = {"weights": {"1": 95, "2": 5}}
    answer = httpx.put(f"{server.root}/v1/models/{model}/traffic", json=rule, headers=dict(headers))
    if answer.status_code in (404, 405):
        run.notes.append(f"{NAME}: this server has no traffic rules; tokens and metrics only, model {model}")
    elif answer.status_code != 200:
        raise BenchmarkFailed(f"the traffic rule was answered with {answer.status_code}: {answer.text[:300]}")


@contextmanager
def scraped(server: Server, headers: Mapping[str, str]) -> Iterator[None]:
    """Read the metrics every second, as Prometheus would but oftener, until the block ends."""
    over = threading.Event()
    failed: list[str] = []

    def scrape() -> None:
        while not over.wait(SCRAPE_SECONDS):
            answer = httpx.get(f"{server.root}/metrics", headers=dict(headers), timeout=10.0)
            if answer.status_code != 200:
                failed.append(f"/metrics answered {answer.status_code}")

    thread = threading.Thread(target=scrape, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(15.0)
    if failed:
        raise BenchmarkFailed(f"{failed[0]} under load, {len(failed)} times")


def load(run: Run, server: Server, kind: str) -> Load:
    """Return the load of one kind of features."""
    return Load(server.url(kind), run.stage.bodies(kind), CONNECTIONS, run.options.seconds, server.headers)


def seconds(options: Options) -> float:
    """Return about how long the case takes."""
    return START_SECONDS + warm_seconds(options, 4) + loads_seconds(options, 4)


def claims() -> Iterator[Claim]:
    """Give the claims."""
    for kind in KINDS:
        both = [(Series(NAME, who, kind), "rate") for who in (FULL, BARE)]
        yield Claim(f"predictions/s, {kind}: full path over the bare one", ratio(both[0], both[1]), 0.85)


CASE = Case(
    NAME,
    "Tokens asked for, a traffic rule of 95 to 5 and metrics read every second, beside the same server without; "
    "64 connections.",
    run,
    seconds,
    claims=tuple(claims()),
)
