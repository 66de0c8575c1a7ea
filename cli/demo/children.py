"""The commands that the demo runs as processes of their own: the very ones a user would type."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from cli.errors import StepFailed

ROOT = Path(__file__).parents[2]  # so that a child runs the same code, whatever directory it starts in
STOP_SECONDS = 30.0


def command_line(arguments: tuple[str, ...]) -> list[str]:
    """Return what runs `insitu` with these arguments in this Python."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from cli.main import main; main()"
    return [sys.executable, "-P", "-c", code, *arguments]


class Child:
    """One `insitu` process that writes JSON lines; ended when the `with` is left.

    It runs in a session of its own: Ctrl-C in the terminal is for the demo, which ends its children
    in order.
    """

    def __init__(self, *arguments: str, quiet: bool = True) -> None:
        self._name = f"insitu {arguments[0]}"
        self._told: IO[bytes] | None = tempfile.TemporaryFile() if quiet else None  # noqa: SIM115 - closed with the child
        self.process = subprocess.Popen(
            command_line((*arguments, "--json")),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._told,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield what the process tells, until it ends.

        Raises: StepFailed, it told an error or ended with another code than 0.
        """
        for line in self.process.stdout or ():
            told = as_object(line)
            if "error" in told:
                raise StepFailed(self._name, told["error"]["message"], self.process.wait(STOP_SECONDS))
            if told:
                yield told
        code = self.process.wait(STOP_SECONDS)
        if code != 0:
            raise StepFailed(self._name, self._last_words(), code)

    def _last_words(self) -> str:
        if self._told is None:
            return "its own message is above"
        self._told.seek(0)
        lines = self._told.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def stop(self) -> None:
        """End the process, if it still runs, and wait until it is gone."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for stream in (self.process.stdout, self._told):
            if stream is not None:
                stream.close()


def as_object(line: str) -> dict[str, Any]:
    """Return a JSON object, empty for a line that is none: a library may print what it likes."""
    try:
        told = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def resident_bytes(pid: int) -> int | None:
    """Return the memory a process holds, None where the system does not tell.

    Source: proc_pid_status(5), VmRSS in kB.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), None)
