"""Trials: every version is tried in a process apart before the serving process makes a session of it.

The trials run in forks of a nursery, which is started when the server starts and again when it was
ended. What was tried well is remembered by its bytes and signature: loading it again costs no trial.
A trial runs on the CPU also where the server has CUDA: a fork cannot use the device, a second
context would take its memory from the models that serve, and a graph that crashes, hangs or eats
memory by what it is does so on either.
"""

import asyncio
import logging
import socket
import sys
from collections import OrderedDict
from contextlib import suppress
from hashlib import sha256

from models.bundle import Bundle
from server.inference.admission import (
    GRACE_SECONDS,
    Trial,
    command,
    concluded,
    numbered,
    raise_unless_good,
)
from server.inference.errors import ModelNotLoadable
from server.inference.nursery import ENDED
from server.inference.trying import packed
from server.inference.verdicts import Verdict

log = logging.getLogger(__name__)

FORKS = sys.platform == "linux"  # elsewhere a fork of a process that has loaded system libraries may hang
KNOWN_MOST = 16_384  # verdicts kept, some hundred bytes each
PIECE_BYTES = 1 << 16
WRITTEN_MOST = 1 << 16  # of what libraries write, the end is kept
JUDGED = {"inputs", "outputs", "task", "labels", "output", "features"}
TIMES = 2  # a trial whose nursery was ended meanwhile is made again


class NurseryEnded(Exception):
    """The nursery was ended from outside in the middle of a trial."""


class NurseryHangs(Exception):
    """The nursery says nothing, not even how the trial ended: it was stopped, or the system does not let it run."""


class Trials:
    """The trials of one server; a `nursery` that others use too is given as its control socket, and not ended."""

    def __init__(
        self, memory_bytes: int, seconds: float, forks: bool = FORKS, nursery: socket.socket | None = None
    ) -> None:
        self._alone = Trial(memory_bytes, seconds)
        self._forks = forks
        self._known: OrderedDict[str, Verdict] = OrderedDict()
        self._starting = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._control = nursery.dup() if nursery is not None else None

    async def start(self) -> None:
        """Start the nursery, so that the first trial does not wait for it."""
        if self._forks:
            await self._running()

    async def admit(self, bundle: Bundle) -> None:
        """Try a bundle that is about to be published.

        Raises: BadModelFile, with what was wrong: refused, crashed, out of time or memory.
        """
        raise_unless_good(await self._verdict(numbered(bundle)))

    async def tried(self, bundle: Bundle) -> Verdict:
        """Try a version that is about to be loaded, if it was not tried well before.

        Raises: ModelNotLoadable, with what was wrong.
        """
        verdict = await self._verdict(bundle)
        if verdict.reason is not None:
            raise ModelNotLoadable(bundle.manifest.name, bundle.manifest.version, verdict.reason)
        return verdict

    async def _verdict(self, bundle: Bundle) -> Verdict:
        key = await asyncio.to_thread(identity, bundle)
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        verdict = await self._made(bundle)
        if verdict.reason is None:
            self._known[key] = verdict
            if len(self._known) > KNOWN_MOST:
                self._known.popitem(last=False)
        return verdict

    async def _made(self, bundle: Bundle) -> Verdict:
        if self._forks:
            try:
                for _ in range(TIMES):
                    with suppress(NurseryEnded):
                        return await self._in_fork(bundle)
                    log.warning("the process that models are tried in was ended; it is started again")
            except NurseryHangs:
                log.warning("the process that models are tried in does not answer; it is ended")
        return await self._alone.verdict(bundle)

    async def _in_fork(self, bundle: Bundle) -> Verdict:
        """Try a bundle in a fork of the nursery; closing the socket ends the fork.

        Raises: NurseryEnded, NurseryHangs.
        """
        control = await self._running()
        ours, theirs = socket.socketpair()
        seconds = self._alone.seconds
        with ours:
            ours.setblocking(False)
            with theirs, suppress(OSError):  # an ended nursery: nothing comes back then
                socket.send_fds(control, [b"t"], [theirs.fileno()])
            try:
                async with asyncio.timeout(seconds + GRACE_SECONDS):
                    written = await exchanged(ours, packed(bundle))
            except TimeoutError:  # of its own limits the fork would have ended before
                self._abandon(control)
                raise NurseryHangs from None
        said, ended, status = written.rpartition(ENDED)
        if not ended:
            self._abandon(control)
            raise NurseryEnded
        return concluded(said, b"", int(status), seconds)

    def _abandon(self, control: socket.socket) -> None:
        """End a nursery, if it has not ended, and let the next trial start another one."""
        control.close()
        if self._control is control:
            self._control = None
            if self._process is not None:
                with suppress(ProcessLookupError):  # that it has ended may not be known yet
                    self._process.kill()

    async def _running(self) -> socket.socket:
        """Return the control socket of a nursery that has not ended."""
        async with self._starting:
            if self._control is None:
                self._control, self._process = await self._started()
            return self._control

    async def _started(self) -> tuple[socket.socket, asyncio.subprocess.Process]:
        ours, theirs = socket.socketpair()
        limits = (str(self._alone.memory_bytes), str(self._alone.seconds))
        with theirs:
            number = theirs.fileno()
            process = await asyncio.create_subprocess_exec(
                *command("nursery", str(number), *limits),
                pass_fds=(number,),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
            )
        return ours, process

    async def close(self) -> None:
        """End the nursery; its forks end with it."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):  # it ended by itself just now
                self._process.terminate()  # heard while it starts; later it ends with its socket
            await self._process.wait()


async def exchanged(connection: socket.socket, pieces: tuple[bytes, bytes]) -> bytes:
    """Send a bundle and return the end of what comes back until the connection is closed."""
    loop = asyncio.get_running_loop()
    written = b""
    with suppress(ConnectionError):  # the fork has ended: what it wrote before is there to be read
        for piece in pieces:
            await loop.sock_sendall(connection, piece)
    with suppress(ConnectionError):
        while piece := await loop.sock_recv(connection, PIECE_BYTES):
            written = (written + piece)[-WRITTEN_MOST:]
    return written


def identity(bundle: Bundle) -> str:
    """Return what a verdict is about: the bytes, and what the manifest says about rows and answers."""
    manifest = bundle.manifest
    digest = manifest.digest or sha256(bundle.onnx).hexdigest()  # the store has checked its own
    return digest + sha256(manifest.model_dump_json(include=JUDGED).encode()).hexdigest()
