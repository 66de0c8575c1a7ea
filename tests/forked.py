"""The `insitu` command in a process of its own, forked from one that has imported everything.

A fresh interpreter imports PyTorch and its exporter for half of a training's time, and the command
itself for most of any other's. What the beginning of a process does is shown by tests that start a
fresh one.

run(...)      a command to its end
Forked(...)   one that goes on, as `subprocess.Popen` has it
"""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from tempfile import TemporaryDirectory
from typing import TextIO

ROOT = Path(__file__).parents[1]
WRITTEN = os.O_WRONLY | os.O_CREAT

warm = get_context("forkserver")
warm.set_forkserver_preload([__name__, "tests.imported"])


class Forked:
    """A command that has begun; `streams` are the files of its stdin, stdout and stderr."""

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], streams: tuple[Path, Path, Path]
    ) -> None:
        self.args = tuple(words)
        self.stdout: TextIO | None = None
        self._process = warm.Process(target=command, args=(self.args, dict(environment), streams))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutExpired(self.args, timeout or 0)
        return self._process.exitcode


def run(
    words: Sequence[str], environment: Mapping[str, str], seconds: float, given: str = ""
) -> CompletedProcess[str]:
    """Run a command to its end.

    Raises: TimeoutExpired, and the command is killed.
    """
    with TemporaryDirectory(prefix="insitu-") as folder:
        given_in, out, err = streams = (Path(folder, "in"), Path(folder, "out"), Path(folder, "err"))
        given_in.write_text(given)
        process = Forked(words, environment, streams)
        try:
            code = process.wait(seconds)
        finally:
            process.kill()
        return CompletedProcess(list(words), code, out.read_text(), err.read_text())


def begin(words: Sequence[str], environment: Mapping[str, str]) -> Forked:
    """Begin a command whose stdout and stderr are one pipe, read as `stdout`."""
    with TemporaryDirectory(prefix="insitu-") as folder:
        pipe = Path(folder, "out")
        os.mkfifo(pipe)
        process = Forked(words, environment, (Path(os.devnull), pipe, pipe))
        process.stdout = pipe.open()  # waits until it is open at the other end as well
        return process


def command(words: Sequence[str], environment: Mapping[str, str], streams: tuple[Path, Path, Path]) -> None:
    """Be the command: called in the forked process."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    os.setsid()
    for number, (path, mode) in enumerate(zip(streams, (os.O_RDONLY, WRITTEN, WRITTEN), strict=True)):
        opened = 1 if number == 2 and path == streams[1] else os.open(path, mode)
        os.dup2(opened, number)
        if opened > 2:
            os.close(opened)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  # multiprocessing closed the interpreter's own
    # As an interpreter would have them that began with these: what they are was looked at when pytest began.
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    sys.argv = ["insitu", *words]
    from cli.main import main  # noqa: PLC0415  # in the process that was forked

    main()
