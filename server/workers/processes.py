"""Worker: one server process as its supervisor sees it: started, heard, told to end."""

import json
import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from models.errors import InsituError
from server.workers.reports import Task, refusal

log = logging.getLogger(__name__)

START_SECONDS = 120.0  # imports, and the first models of a machine that is busy
NOTHING: Mapping[str, socket.socket] = {}
GRACE_SECONDS = 5.0  # for one that said nothing: we may have been stopped ourselves, all of us together
REPORT_BYTES = 1 << 16
# Started so and not with -m: the folder a user happens to be in may have a `server` of its own.
ROOT = Path(__file__).parents[2]
PROGRAM = "import sys; sys.path.append(sys.argv[1]); from server.worker import main; main()"


@dataclass(eq=False, slots=True)
class Worker:
    """A process that serves, or is about to; `fault` is why it said it cannot.

    Units: begun and kill_at, seconds of time.monotonic; silent_seconds, how long one that answers may say nothing,
           0 for ever.
    """

    number: int
    process: subprocess.Popen[bytes]
    channel: socket.socket
    begun: float = field(default_factory=time.monotonic)
    url: str | None = None
    fault: InsituError | None = None
    kill_at: float | None = None
    heard: bytes = b""
    silent_seconds: float = 0.0
    leaving: bool = False
    overdue: bool = False  # it has said nothing for so long

    @classmethod
    def start(
        cls, number: int, listener: socket.socket, task: Task, beside: Mapping[str, socket.socket] = NOTHING
    ) -> "Worker":
        """Start a process that listens on these sockets, those `beside` HTTP's by their doors.

        It has a session of its own, so that Ctrl-C in a terminal is for us alone.

        Raises: OSError, the system gives no more processes or files.
        """
        channel, theirs = socket.socketpair()
        given = (listener.fileno(), theirs.fileno(), *(one.fileno() for one in beside.values()))
        told = [str(one) for door in beside.items() for one in (door[0], door[1].fileno())]
        command = [sys.executable, "-P", "-c", PROGRAM, str(ROOT), str(number), *map(str, given[:2]), *told]
        with theirs, ExitStack() as stack:
            stack.callback(channel.close)
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, pass_fds=given, start_new_session=True
            )
            stack.pop_all()
        with suppress(OSError):  # it ended before it could listen: that is seen soon
            channel.settimeout(START_SECONDS)
            channel.sendall(task.line())
        channel.setblocking(False)
        worker = cls(number, process, channel, silent_seconds=task.settings.worker_timeout_seconds)
        worker.kill_at = worker.begun + START_SECONDS
        return worker

    @property
    def answering(self) -> bool:
        """Whether it said that it answers."""
        return self.url is not None

    @property
    def age_seconds(self) -> float:
        """How long ago it was started."""
        return time.monotonic() - self.begun

    def hear(self) -> bool:
        """Take in what it told; return whether there may be more."""
        try:
            part = self.channel.recv(REPORT_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        *lines, self.heard = (self.heard + part).split(b"\n")
        for line in lines:
            told = json.loads(line)
            if "answers" in told:
                self.url = told["answers"]
                self._lives()
            elif "alive" in told:
                self._lives()
            else:
                self.fault = refusal(told)
        return bool(part)

    def _lives(self) -> None:
        """Wait anew for as long as it may say nothing; one that is to end has no time for more."""
        if not self.leaving:
            self.overdue = False
            self.kill_at = time.monotonic() + self.silent_seconds if self.silent_seconds else None

    def stop(self, seconds: float) -> None:
        """Let it answer what it has accepted and end, within a bound; one that does not answer yet ends at once."""
        if not self.answering:
            self.process.kill()
            return
        self.process.send_signal(signal.SIGTERM)
        self.leaving = True
        self.kill_at = time.monotonic() + seconds

    def hurry(self) -> None:
        """Kill it when its time is over."""
        now = time.monotonic()
        if self.kill_at is None or now < self.kill_at:
            return
        silent = self.answering and not self.leaving
        if silent and not self.overdue:
            self.overdue, self.kill_at = True, now + GRACE_SECONDS
            return
        did = "say that it lives" if silent else "end" if self.answering else "answer"
        log.error("%s did not %s in time; it is killed", self, did)
        self.process.kill()
        self.kill_at = None

    def ended(self) -> bool:
        """Whether it has ended; what it told last is taken in."""
        if self.process.poll() is None:
            return False
        self.hear()
        return True

    def why(self) -> str:
        """Return how it ended, in words."""
        if self.fault is not None:
            return str(self.fault)
        status = self.process.returncode
        return f"status {status}" if status >= 0 else signal_name(-status)

    def __str__(self) -> str:
        return f"worker {self.number} (pid {self.process.pid})"


def signal_name(number: int) -> str:
    """Return SIGSEGV for 11."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
