"""open-inference: tensors by the Open Inference Protocol over HTTP and gRPC, Insitu and its rivals in turns."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import httpx
import numpy as np

from benchmarks import infer_requests
from benchmarks.agreement import ABSOLUTE, RELATIVE, SAMPLES, expected
from benchmarks.claims import Claim, figure, ratio
from benchmarks.contenders import INSITU, insitu
from benchmarks.faults import BenchmarkFailed, Missing
from benchmarks.features import ROWS
from benchmarks.infer_requests import Floats
from benchmarks.measurements import Figures, Series
from benchmarks.networks import WIDTH, pooled
from benchmarks.open_servers import (
    MLSERVER,
    MODEL,
    PYTRITON,
    RIVALS,
    TRITON,
    OpenServer,
    open_insitu,
    rival,
)
from benchmarks.options import Options
from benchmarks.peaks import Peak
from benchmarks.processes import HOST, ROOT
from benchmarks.run import LATENCY, RATE, Case, Column, Run, loads_seconds, warm_seconds
from benchmarks.stage import Stored
from benchmarks.wrk import Load

NAME = "open-inference"
CONNECTIONS = CALLS = 64
BATCH_ROWS = 1000
BATCHES = 10  # of different rows
# These keep the server busy, as 16 do too: what a batch costs is seen, not how long it travels.
BATCH_CONNECTIONS = 8
IMAGE = (1, 4, 1250, 1000)  # 20,000,000 bytes
SMALL_IMAGE = (1, 4, 8, 8)
IMAGE_MODEL = "pooled"
BODY_LIMIT = 32 << 20
ALONE = "copy and run"
HTTP, GRPC = f"1 row, HTTP, {CONNECTIONS} connections", f"1 row, gRPC, {CALLS} calls"
BATCH, MEMORY = f"{BATCH_ROWS:,} rows, HTTP, 1 connection", "image of 20 MB, HTTP"
BUSY = f"{BATCH_ROWS:,} rows, HTTP, {BATCH_CONNECTIONS} connections"
START_SECONDS, MEMORY_SECONDS = 20.0, 8.0
ANSWER_SECONDS, SPARE_SECONDS = 30.0, 30.0


@dataclass(frozen=True, slots=True)
class Contest:
    """One contender under one condition."""

    series: Series
    measure: Callable[[int], None]


def run(run: Run) -> None:
    """Measure rates, batches and memory, every contender's answers first."""
    with ExitStack() as stack:
        run.watch.doing(f"{NAME}: starting the servers")
        servers = list(lined_up(run, stack))
        run.watch.done(START_SECONDS)
        for server in servers:
            checked(run, server)
        contests = [*over_http(run, servers), *over_grpc(run, servers), *batches(run, servers)]
        for number in range(1, run.options.rounds + 1):
            for contest in contests:
                contest.measure(number)
    weigh(run)


def lined_up(run: Run, stack: ExitStack) -> Iterator[OpenServer]:
    """Start everybody; a rival that is not installed or does not start is noted and left out."""
    yield stack.enter_context(open_insitu(run.stage))
    for name in RIVALS:
        try:
            yield stack.enter_context(rival(run.stage, name))
        except BenchmarkFailed as fault:
            run.notes.append(f"{NAME}: {name} is left out: {fault}")


def checked(run: Run, server: OpenServer) -> None:
    """Hold answers against ONNX Runtime, over HTTP and gRPC, then all of a second's load.

    Raises: BenchmarkFailed.
    """
    for start in SAMPLES:
        for rows in (1, BATCH_ROWS):
            tensor = run.stage.rows[np.arange(start, start + rows) % ROWS]
            wanted = expected(run.stage.model, {"x": tensor}).ravel()
            same(server.name, asked(server.url, tensor, server), wanted)
            if server.grpc_port:
                same(f"{server.name} by gRPC", called(server, tensor), wanted)
    run.warm(Series(NAME, server.name, HTTP), one_row(run, server))


def asked(url: str, tensor: Floats, server: OpenServer) -> Floats:
    """Return the answer over HTTP.

    Raises: BenchmarkFailed, no answer, or another status than 200.
    """
    body, headers = infer_requests.binary(tensor) if server.binary else infer_requests.text(tensor)
    try:
        answer = httpx.post(url, content=body, headers=headers, timeout=ANSWER_SECONDS)
    except httpx.TransportError as error:
        server.child.check()
        raise BenchmarkFailed(f"{server.name} gave no answer: {error!r}: {server.child.log}") from error
    if answer.status_code != 200:
        raise BenchmarkFailed(f"{server.name} answered {answer.status_code}: {answer.text[:300]}")
    return infer_requests.read_answer(answer.content, answer.headers)


def called(server: OpenServer, tensor: Floats) -> Floats:
    """Return the answer by gRPC.

    Raises: BenchmarkFailed, the call failed.
    """
    with grpc.insecure_channel(f"{HOST}:{server.grpc_port}") as channel:
        call = channel.unary_unary(infer_requests.METHOD)
        try:
            answer: bytes = call(infer_requests.message(MODEL, tensor), timeout=ANSWER_SECONDS)
        except grpc.RpcError as error:
            raise BenchmarkFailed(f"{server.name} failed a call: {error}: {server.child.log}") from error
    return infer_requests.read_message(answer)


def same(who: str, told: Floats, wanted: Floats) -> None:
    """Hold values against those of ONNX Runtime.

    Raises: BenchmarkFailed.
    """
    if told.shape != wanted.shape or not np.allclose(told, wanted, rtol=RELATIVE, atol=ABSOLUTE):
        raise BenchmarkFailed(
            f"{who} answers {told[:3].tolist()}, ONNX Runtime {wanted[:3].tolist()}: "
            "the speed of wrong answers says nothing"
        )


def one_row(run: Run, server: OpenServer) -> Load:
    """Return the load of one row a request: all rows in turns."""
    stage, seconds = run.stage, run.options.seconds
    if server.binary:
        return in_binary(run, "infer-rows", np.split(stage.rows, ROWS), server, CONNECTIONS)
    lines = [infer_requests.text(row[None])[0] for row in stage.rows]
    return Load(server.url, stage.lines("infer-rows", lines), CONNECTIONS, seconds)


def in_binary(run: Run, name: str, tensors: Sequence[Floats], server: OpenServer, connections: int) -> Load:
    """Return a load of binary bodies; tensors of one shape have bodies of one length."""
    written = [infer_requests.binary(tensor) for tensor in tensors]
    body, headers = written[0]
    path = run.stage.joined(name, [body for body, _ in written])
    return Load(server.url, path, connections, run.options.seconds, headers, body_bytes=len(body))


def over_http(run: Run, servers: list[OpenServer]) -> Iterator[Contest]:
    """Give one row a request, over HTTP."""
    for server in servers:
        series, load = Series(NAME, server.name, HTTP), one_row(run, server)
        yield Contest(series, partial(timed, run, series, load))


def over_grpc(run: Run, servers: list[OpenServer]) -> Iterator[Contest]:
    """Give one row a call, by gRPC."""
    messages = [infer_requests.message(MODEL, row[None]) for row in run.stage.rows]
    path = run.stage.joined("infer-messages", messages)
    for server in servers:
        if server.grpc_port:
            series = Series(NAME, server.name, GRPC)
            words = (HOST, server.grpc_port, path, len(messages[0]), CALLS, run.options.seconds)
            yield Contest(series, partial(told, run, series, ("benchmarks.grpc_load", *words)))


def batches(run: Run, servers: list[OpenServer]) -> Iterator[Contest]:
    """Give many rows a request, over HTTP, and the same without a server."""
    tensors = np.split(run.stage.rows, ROWS // BATCH_ROWS)[:BATCHES]
    path = run.stage.joined("copied-batch", [tensors[0].tobytes()])
    words = (run.stage.model, path, WIDTH, run.options.seconds)
    alone = Series(NAME, ALONE, BATCH)
    for server in servers:
        if server.binary:
            for setting, connections in ((BATCH, 1), *busy_too(server)):
                series = Series(NAME, server.name, setting)
                load = in_binary(run, "infer-batches", tensors, server, connections)
                yield Contest(series, partial(timed, run, series, load))
    yield Contest(alone, partial(told, run, alone, ("benchmarks.copied_run", *words)))


def busy_too(server: OpenServer) -> tuple[tuple[str, int], ...]:
    """Return the setting in which Insitu alone is kept busy with batches."""
    return ((BUSY, BATCH_CONNECTIONS),) if server.name == INSITU else ()


def timed(run: Run, series: Series, load: Load, number: int) -> None:
    """Measure with wrk once."""
    run.time(series, number, load)


def told(run: Run, series: Series, command: tuple[Any, ...], number: int) -> None:
    """Run a module of ours that measures for a while and prints what it saw.

    Raises: BenchmarkFailed, it failed or did not end.
    """
    run.doing(series, number)
    words = [sys.executable, "-m", *map(str, command)]
    limit = run.options.seconds + SPARE_SECONDS
    try:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as error:
        raise BenchmarkFailed(f"{series.who}, {series.setting}: not done within {limit} s") from error
    if done.returncode:
        raise BenchmarkFailed(f"{series.who}, {series.setting}: {done.stderr.strip()[-600:]}")
    figures: Figures = json.loads(done.stdout)
    run.add(series, number, figures)
    run.watch.done(run.options.seconds)


def weigh(run: Run) -> None:
    """Measure how far Insitu grows while it answers one large tensor, in bodies of that size.

    The first request counts like the others: memory that the server keeps after it is not forgotten.
    """
    series = Series(NAME, INSITU, MEMORY)
    run.stage.publish([Stored(IMAGE_MODEL, pooled(IMAGE[1]))])
    image = np.random.default_rng(0).normal(0, 1, IMAGE).astype(np.float32)
    wanted = image.mean((2, 3)).ravel()
    with alone(run) as server:
        url = server.infer(IMAGE_MODEL)
        asked(url, image[:, :, : SMALL_IMAGE[2], : SMALL_IMAGE[3]], server)
        peak = Peak(server.child.process.pid)
        for number in range(1, run.options.rounds + 1):
            run.doing(series, number)
            try:
                peak.forget()
            except Missing as missing:
                run.notes.append(f"{NAME}: memory is left out: {missing}")
                break
            same(INSITU, asked(url, image, server), wanted)
            grown = peak.growth_bytes
            run.add(series, number, {"growth_mb": grown / 1e6, "copies": grown / image.nbytes})
    run.watch.done(MEMORY_SECONDS)


@contextmanager
def alone(run: Run) -> Iterator[OpenServer]:
    """Serve with an Insitu that takes bodies this large and has answered nothing yet."""
    with insitu(run.stage, settings={"INSITU_MAX_BODY_BYTES": str(BODY_LIMIT)}) as server:
        yield OpenServer(INSITU, server.child, server.port, 0)


def seconds(options: Options) -> float:
    """Return about how long the case takes."""
    contests = 4 + 3 + 5
    return START_SECONDS + warm_seconds(options, 4) + loads_seconds(options, contests) + MEMORY_SECONDS


def claims() -> Iterator[Claim]:
    """Give the claims."""
    ours = Series(NAME, INSITU, HTTP)
    for who, least in ((TRITON, 1.0), (PYTRITON, 2.5), (MLSERVER, 3.0)):
        theirs = Series(NAME, who, HTTP)
        yield Claim(f"requests/s, {HTTP}: over {who}", ratio((ours, "rate"), (theirs, "rate")), least)
    ours = Series(NAME, INSITU, GRPC)
    for who, least in ((TRITON, 1.0), (PYTRITON, 1.5)):
        theirs = Series(NAME, who, GRPC)
        yield Claim(f"calls/s, {GRPC}: over {who}", ratio((ours, "rate"), (theirs, "rate")), least)
    ours, bare = (Series(NAME, who, BATCH) for who in (INSITU, ALONE))
    yield Claim(
        f"median latency, {BATCH}: over copying and running",
        ratio((ours, "p50_ms"), (bare, "p50_ms")),
        most=1.5,
    )
    busy = Series(NAME, INSITU, BUSY)
    yield Claim(
        f"requests/s, {BUSY}: over copying and running", ratio((busy, "rate"), (bare, "rate")), 1 / 1.5
    )
    yield Claim(
        f"peak of memory, {MEMORY}: over the body's size",
        figure(Series(NAME, INSITU, MEMORY), "copies"),
        most=2.0,
    )


CASE = Case(
    NAME,
    "Tensors by the Open Inference Protocol over HTTP and gRPC, beside Triton, pytriton and MLServer.",
    run,
    seconds,
    (
        RATE,
        *LATENCY,
        Column("client's cores", "client_share", 2),
        Column("growth MB", "growth_mb", 1),
        Column("bodies", "copies", 2),
    ),
    tuple(claims()),
)
