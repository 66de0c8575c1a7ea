"""Child processes of a run: started apart from the terminal, waited for, ended by their id."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks import compiled
from benchmarks.faults import BenchmarkFailed

ROOT = compiled.ROOT
HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.02
LOG_LINES_SHOWN = 12
# Settings of the user's own servers have no place in a comparison.
OWN_VARIABLES = ("INSITU_", "MOSEC_")


@dataclass(frozen=True, slots=True)
class Child:
    """A running process and the file its output goes to."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Stop the run when the process has ended.

        Raises: BenchmarkFailed, with its last words.
        """
        code = self.process.poll()
        if code is not None:
            lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
            raise BenchmarkFailed(
                "\n  ".join([f"{self.name} ended with code {code}; its last words:", *lines])
            )

    def end(self) -> None:
        """End the process and whatever it started, politely first."""
        started = descendants(self.process.pid)
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)  # its own group: children that outlived it
        for pid in started:  # those that left its group
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def environment(extra: Mapping[str, str], python: str = sys.executable) -> dict[str, str]:
    """Return the environment of a child: the user's without server settings, and the given variables.

    Raises: BenchmarkFailed, what was compiled is of other code.
    """
    own = compiled.environment() if python == sys.executable else {}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}
    return {**kept, "ORT_DISABLE_TELEMETRY": "1", **own, **extra}


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    log: Path,
    env: Mapping[str, str] | None = None,
    python: str = sys.executable,
) -> Iterator[Child]:
    """Run `python COMMAND` until the block ends; Ctrl-C in the terminal reaches the benchmark alone."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [python, *command],
            cwd=ROOT,
            env=environment(env or {}, python),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    child = Child(name, process, log)
    try:
        yield child
    finally:
        child.end()


def free_port() -> int:
    """Return a loopback port nobody listens on at this moment."""
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for_port(child: Child, port: int) -> None:
    """Return once somebody listens on the port.

    Raises: BenchmarkFailed, the process ended or did not listen in time.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        child.check()
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(POLL_SECONDS)
    raise BenchmarkFailed(
        f"{child.name} did not listen within {START_SECONDS:.0f} s; its output: {child.log}"
    )


def memory_bytes(pid: int) -> int:
    """Return the memory of a process and all it started, shared pages counted once; 0 where there is no /proc.

    Source: proc_pid_smaps(5), Pss of smaps_rollup in kB.
    """
    return sum(noted(one, "smaps_rollup", "Pss:") for one in (pid, *descendants(pid)))


def descendants(pid: int) -> list[int]:
    """Return the processes that a process started, theirs included; none where there is no /proc.

    Source: proc_tid_children(5).
    """
    found: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found.extend(int(child) for child in listed.read_text().split())
    return [one for child in found for one in (child, *descendants(child))]


def noted(pid: int, file: str, name: str) -> int:
    """Return an amount in kB out of a file of /proc/PID, in bytes; 0 where it is not there."""
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)
