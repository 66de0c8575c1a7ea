"""wrk as the load: run with one script for every case, its counts read back, its errors told.

wrk keeps every connection busy: the next request leaves when the answer is there.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.faults import BenchmarkFailed, Missing
from benchmarks.measurements import Figures

SCRIPT = Path(__file__).with_name("rotate.lua")
ANSWER_SECONDS = 10
SPARE_SECONDS = 30
FAULTS = ("connect", "read", "write", "status", "timeout", "wrong")
GET_WRK = (
    "wrk makes the load and is not installed: `sudo apt install wrk` (Debian, Ubuntu), `sudo dnf install wrk` "
    "(Fedora), `brew install wrk` (macOS), or build it from https://github.com/wg/wrk; then run this again"
)

Check = Literal["", "whole", "version"]


@dataclass(frozen=True, slots=True)
class Load:
    """One load: a file of bodies sent in turns to one URL; one a line, or each of `body_bytes` where that is not 0."""

    url: str
    bodies: Path
    connections: int
    seconds: int
    headers: Mapping[str, str] = field(default_factory=dict)
    check: Check = ""
    body_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What wrk saw; `faults` counts by kind, `sample` is the first answer that was wrong."""

    figures: Figures
    faults: dict[str, int]
    sample: str

    @property
    def errors(self) -> int:
        """Requests that got no right answer; wrk counts a bad status by itself and the script once more."""
        return sum(count for kind, count in self.faults.items() if kind != "status") or self.faults["status"]


def find_wrk() -> str:
    """Return the program.

    Raises: Missing, with how to get it.
    """
    found = shutil.which("wrk")
    if found is None:
        raise Missing(GET_WRK)
    return found


def measure(load: Load) -> Seen:
    """Run one load.

    Raises: BenchmarkFailed, wrk itself failed, or any request did.
    """
    return faultless(attempt(load), load)


def faultless(seen: Seen, load: Load) -> Seen:
    """Return what was seen.

    Raises: BenchmarkFailed, any request failed.
    """
    if seen.errors:
        told = ", ".join(f"{count} {kind}" for kind, count in seen.faults.items() if count)
        first = f"; the first: {seen.sample}" if seen.sample else ""
        raise BenchmarkFailed(f"{load.url} did not answer every request with 200 ({told}){first}")
    return seen


def attempt(load: Load) -> Seen:
    """Run one load and leave its errors to the caller.

    Raises: Missing; BenchmarkFailed, wrk itself failed.
    """
    with started(load) as process:
        return finished(process, load)


@contextmanager
def started(load: Load) -> Iterator[subprocess.Popen[str]]:
    """Start a load; what is left of it when the block ends is ended.

    Raises: Missing.
    """
    process = subprocess.Popen(
        command(load), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def finished(process: subprocess.Popen[str], load: Load) -> Seen:
    """Wait for the end of a load and return what it saw.

    Raises: BenchmarkFailed.
    """
    try:
        output, told = process.communicate(timeout=load.seconds + SPARE_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise BenchmarkFailed(
            f"wrk did not end {SPARE_SECONDS} s after its time, against {load.url}"
        ) from error
    if process.returncode != 0:
        raise BenchmarkFailed(f"wrk ended with code {process.returncode}: {told.strip()}")
    return read(output)


def command(load: Load) -> list[str]:
    """Return wrk's command line; one thread is enough for one server process."""
    headers = [part for name, value in load.headers.items() for part in ("-H", f"{name}: {value}")]
    return [
        find_wrk(),
        *(
            "-t",
            "1",
            "-c",
            str(load.connections),
            "-d",
            f"{load.seconds}s",
            "--timeout",
            f"{ANSWER_SECONDS}s",
        ),
        *("-s", str(SCRIPT), *headers, load.url, "--", str(load.bodies), str(load.body_bytes), load.check),
    ]


def read(output: str) -> Seen:
    """Read what the script printed at the end.

    Raises: BenchmarkFailed, it printed nothing: wrk stopped early, or answered no request.
    """
    lines = {line.partition(" ")[0]: line.partition(" ")[2] for line in output.splitlines()}
    if "SEEN" not in lines:
        raise BenchmarkFailed(f"wrk did not say what it saw: {output.strip()[-300:]}")
    told: dict[str, int] = json.loads(lines["SEEN"])
    seconds = told["microseconds"] / 1e6
    if not told["requests"] or not seconds:
        raise BenchmarkFailed(f"wrk got no answer at all: {lines['SEEN']}")
    latency = {f"{name}_ms": told[name] / 1e3 for name in ("p50", "p90", "p99", "max")}
    figures: Figures = {
        "rate": told["requests"] / seconds,
        "requests": told["requests"],
        "seconds": seconds,
        **latency,
        "changes": told["changes"],
    }
    return Seen(figures, {name: told[name] for name in FAULTS}, lines.get("WRONG", "").strip())
