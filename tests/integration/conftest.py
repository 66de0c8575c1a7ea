"""One warm process for the trials of every engine that the suite builds in its own process.

An engine that starts a nursery of its own waits most of a second for it. What nurseries do is tested
in server/test_trials.py, and every server process has its own.

nursery      the control socket of one nursery for the session
built(...)   a factory: an engine of these settings, not started
"""

import socket
import subprocess
from collections.abc import Callable, Iterator

import pytest

from server.building import build_engine
from server.inference.admission import command
from server.inference.engine import Engine
from server.inference.trials import FORKS, Trials
from server.settings import ServerSettings

END_SECONDS = 20.0
USUAL = ServerSettings.model_fields

BuildEngine = Callable[[ServerSettings], Engine]


@pytest.fixture(scope="session")
def nursery() -> Iterator[socket.socket | None]:
    if not FORKS:
        yield None
        return
    ours, theirs = socket.socketpair()
    limits = (str(USUAL["trial_memory_bytes"].default), str(USUAL["trial_seconds"].default))
    words = command("nursery", str(theirs.fileno()), *limits)
    with subprocess.Popen(words, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL) as process:
        theirs.close()
        yield ours
        ours.close()
        process.wait(END_SECONDS)


@pytest.fixture(scope="session")
def built(nursery: socket.socket | None) -> BuildEngine:
    """A factory; where a setting bounds trials otherwise than usual, the engine has a nursery of its own."""

    def build(settings: ServerSettings) -> Engine:
        limits = (settings.trial_memory_bytes, settings.trial_seconds)
        usual = limits == (USUAL["trial_memory_bytes"].default, USUAL["trial_seconds"].default)
        return build_engine(settings, trials=Trials(*limits, nursery=nursery) if usual else None)

    return build
