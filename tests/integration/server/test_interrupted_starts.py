"""Ctrl-C goes to every process of a terminal: what a server starts leaves it to the server, from its start on."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from server.batch import hosted
from server.inference import admission

WAIT_SECONDS = 60
IMPORTED = b"models.manifest"  # by every such process, long before the last of its imports


@pytest.mark.parametrize(
    "command",
    [
        admission.command("nursery", "{control}", str(1 << 40), "60"),
        admission.command("admission", str(1 << 40), "60"),
        (sys.executable, "-P", "-c", hosted.PROGRAM, str(hosted.ROOT), "nightly"),
    ],
    ids=["nursery", "trial", "job"],
)
def test_an_interrupt_while_a_process_still_imports_is_left_to_the_server(command: tuple[str, ...]) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        started = subprocess.Popen(
            [word.format(control=theirs.fileno()) if word == "{control}" else word for word in command],
            env={**os.environ, "PYTHONVERBOSE": "1"},  # every import is told
            pass_fds=[theirs.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    with ours, started:
        assert started.stderr is not None
        assert any(IMPORTED in line for line in started.stderr)

        started.send_signal(signal.SIGINT)
        ours.close()
        _, told = started.communicate(timeout=WAIT_SECONDS)

    assert b"KeyboardInterrupt" not in told
    assert started.returncode != -signal.SIGINT
