"""Trial: a bundle is run once in a process of its own, a whole Python, and judged by how that ends.

It is for programs that try one file. A server tries many and keeps a `nursery`; where none can run,
it tries like this as well. `main` is the process: a bundle on standard input, a verdict on standard
output.
"""

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from models.bundle import Bundle
from models.errors import REASON_CHARACTERS, BadModelFile, shown
from server.inference.sessions import CPU, probe
from server.inference.trying import VERDICT, attempt, packed
from server.inference.verdicts import Verdict

PIECE_BYTES = 1 << 20
GRACE_SECONDS = 10.0  # to start and to end, beside what the trial may take
NOT_PUBLISHED = "; nothing was published"
OUT_OF_TIME = (-signal.SIGALRM, -signal.SIGXCPU)
MAYBE_MEMORY = {-signal.SIGKILL: ", out of memory most likely"}
# Started so and not with -m: the folder a user happens to be in may have a `server` of its own.
ROOT = Path(__file__).parents[2]
# One thread: a fork of a process with several is not whole, and a trial needs no more.
# Ctrl-C is for who starts it, also while it still imports: a terminal sends it to the whole group.
PROGRAM = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path.append(sys.argv[1])
from server.inference.{module} import main
main()
"""


def command(module: str, *arguments: str) -> tuple[str, ...]:
    """Return how a module of this room is run as a process of its own."""
    return (sys.executable, "-P", "-c", PROGRAM.format(module=module), str(ROOT), *arguments)


@dataclass(frozen=True, slots=True)
class Trial:
    """How a bundle is tried.

    Units: memory_bytes of address space; seconds from start to verdict.
    """

    memory_bytes: int = 8 << 30
    seconds: float = 60.0

    async def admit(self, bundle: Bundle) -> None:
        """Try a bundle that is about to be published.

        Raises: BadModelFile, with what was wrong: refused, crashed, out of time or memory.
        """
        raise_unless_good(await self.verdict(bundle))

    async def verdict(self, bundle: Bundle) -> Verdict:
        """Try a bundle."""
        process = await asyncio.create_subprocess_exec(
            *command("admission", str(self.memory_bytes), str(self.seconds)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(self.seconds + GRACE_SECONDS):
                verdict, complaint = await exchanged(process, packed(numbered(bundle)))
        except TimeoutError:
            return Verdict(too_slow(self.seconds))
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):  # it ended by itself just now
                    process.kill()
                await process.wait()
        return concluded(verdict, complaint, process.returncode or 0, self.seconds)


async def exchanged(process: Process, pieces: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """Send a bundle and return what comes back, on either way, once the process has ended.

    It is sent little by little: what a pipe has not taken yet is kept as a copy.
    """
    into, out, complaints = process.stdin, process.stdout, process.stderr
    if into is None or out is None or complaints is None:
        raise RuntimeError("a process was started without its pipes")

    async def send() -> None:
        with suppress(ConnectionError):  # it has ended: what it wrote before is there to be read
            for piece in pieces:
                view = memoryview(piece)
                for at in range(0, len(view), PIECE_BYTES):
                    into.write(view[at : at + PIECE_BYTES])
                    await into.drain()
        into.close()

    _, verdict, complaint = await asyncio.gather(send(), out.read(), complaints.read())
    await process.wait()
    return verdict, complaint


def numbered(bundle: Bundle) -> Bundle:
    """Return a bundle with a version: it gets its own only when it is stored."""
    if bundle.manifest.version:
        return bundle
    return Bundle(bundle.manifest.model_copy(update={"version": 1}), bundle.onnx)


def raise_unless_good(verdict: Verdict) -> None:
    """Refuse what cannot be served as it is worded.

    Raises: BadModelFile.
    """
    reason = verdict.reason or verdict.wording
    if reason is not None:
        raise BadModelFile(f"{reason}{NOT_PUBLISHED}")


def concluded(written: bytes, complaint: bytes, status: int, seconds: float) -> Verdict:
    """Return what a trial found from what its process left, its status a signal below zero."""
    _, found, verdict = written.rpartition(VERDICT)
    if status == 0 and found:
        return Verdict.from_json(verdict)
    if status in OUT_OF_TIME:
        return Verdict(too_slow(seconds))
    lines = (written + complaint).decode("utf-8", "replace").strip().splitlines()
    last = shown(lines[-1], REASON_CHARACTERS) if lines else "no message"
    ended = f"signal {signal_name(-status)}" if status < 0 else f"exit status {status}"
    told = f"{ended}{MAYBE_MEMORY.get(status, '')}"
    return Verdict(f"the model ended the process it was tried in ({told}): {last}")


def too_slow(seconds: float) -> str:
    """Return the refusal of a bundle that takes too long."""
    return f"the model did not load and run once within {seconds:g} s"


def signal_name(number: int) -> str:
    """Return SIGSEGV for 11."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def main() -> None:
    """Try the bundle on standard input within the bytes and seconds that are the last arguments."""
    probe([CPU])  # what ONNX Runtime takes once is not what the bundle takes
    memory_bytes, seconds = sys.argv[-2:]
    attempt(sys.stdin.buffer, sys.stdout.buffer.write, int(memory_bytes), float(seconds))
