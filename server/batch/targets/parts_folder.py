"""PartsFolder: a file that is written in parts by several processes, and is there only when it is whole.

    PATH.parts/job            what job they are parts of
    PATH.parts/WALK-ENTRY     the parts; one that is done again takes its own place
    PATH.joined/whole         all of them, when PATH.parts gets this name; moved to PATH, then the folder goes

Each step is one rename, so whoever is killed leaves what can be gone on with. What it holds is
not known here.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson

from models.errors import REASON_CHARACTERS, BadRequest, shown
from server.batch.targets.target import PartName

JOB, WHOLE = "job", "whole"
PART = re.compile(r"(?P<walk>[0-9]+)-(?P<entry>[A-Za-z0-9._-]+)")


class NotWritten(BadRequest):
    """The disk does not take what is written: it is full, or away; what it has taken stays, and is gone on from."""


class PartsFolder:
    """One file to be, and the folder of its parts; it blocks, so it is used in threads."""

    def __init__(self, path: Path, job: bytes, done: bool = False) -> None:
        """Open a folder for a job, which goes on with its own; of one that is `done`, what is left to be joined.

        Raises: BadRequest, the file is there already, it cannot be written, or another job's parts lie there.
        """
        self.path = path
        self._parts, self._joined = beside(path, "parts"), beside(path, "joined")
        begun = self._parts.is_dir() or self._joined.is_dir()
        self._completed = done and not begun
        if self._completed:
            return
        if path.exists() and not begun:
            raise there(path)
        with writing(path):
            if not self._joined.is_dir():
                self._parts.mkdir(exist_ok=True)
                self._claim(job)
            if self._owner() != job:
                raise taken(self._folder)

    @property
    def _folder(self) -> Path:
        return self._joined if self._joined.is_dir() else self._parts

    def _claim(self, job: bytes) -> None:
        if not (self._parts / JOB).exists():
            placed(self._parts / JOB, lambda path: path.write_bytes(job))

    def _owner(self) -> bytes:
        return (self._folder / JOB).read_bytes()

    def write(self, name: PartName, fill: Callable[[Path], object]) -> None:
        """Put a part in its place, whole; late ones of a file that is finished are in it already.

        Raises: NotWritten, the disk does not take it; BadRequest, the folder is gone.
        """
        with writing(self.path, begun=True):
            try:
                placed(self._parts / str(name), fill)
            except FileNotFoundError:
                if self._parts.is_dir() or not (self._joined.is_dir() or self.path.exists()):
                    raise

    def finish(self, join: Callable[[Sequence[Path], Path], None]) -> None:
        """Join the parts of the newest walk, in order, and put the file in its place; again without harm.

        Raises: NotWritten, the disk does not take it; BadRequest, the parts are gone.
        """
        if self._completed:
            return
        with writing(self.path, begun=True):
            if not self._joined.is_dir() and (self._parts.is_dir() or not self.path.exists()):
                parts = self._newest()
                placed(self._parts / WHOLE, lambda path: join(parts, path))
                self._parts.rename(self._joined)
            if (self._joined / WHOLE).exists():
                (self._joined / WHOLE).replace(self.path)
                synced(self.path.parent)
            if self._joined.is_dir():
                removed(self._joined)

    def _newest(self) -> list[Path]:
        found = [(match, one) for one in self._parts.iterdir() if (match := PART.fullmatch(one.name))]
        newest = max((int(match["walk"]) for match, _ in found), default=0)
        return sorted([one for match, one in found if int(match["walk"]) == newest], key=in_order)


def beside(path: Path, ending: str) -> Path:
    """Return the path with one more ending."""
    return path.with_name(f"{path.name}.{ending}")


def check_free(path: Path) -> None:
    """Refuse a file that a job which begins cannot make; nothing is written.

    Raises: BadRequest, the file is there already, or what another job has written of it.
    """
    for folder in (beside(path, "joined"), beside(path, "parts")):
        if (folder / JOB).exists():
            raise taken(folder)
    if path.exists():
        raise there(path)


def there(path: Path) -> BadRequest:
    """Return the refusal of a file that nobody asked to write over."""
    return BadRequest(f"{named(path)} exists; give another path, or remove it")


def taken(folder: Path) -> BadRequest:
    """Return the refusal of a folder with another job's parts, with the name of that job."""
    whose = "another job"
    with suppress(OSError, ValueError, KeyError, TypeError):
        name, _, _ = str(orjson.loads((folder / JOB).read_bytes())["job"]).rpartition(" ")
        whose = f"job {shown(name)!r}, which its command with --resume goes on with until it has ended"
    return BadRequest(f"{named(folder)} holds parts of {whose}; remove the folder, or give another path")


def in_order(part: Path) -> list[tuple[int, str]]:
    """Return what parts are sorted by: numbers in their names as numbers."""
    return [(int(text), "") if text.isdigit() else (-1, text) for text in re.split(r"([0-9]+)", part.name)]


def placed(path: Path, fill: Callable[[Path], object]) -> None:
    """Fill a file under a name of this process, and give it its own when it is on the disk."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fill(unfinished)
        synced(unfinished)
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)  # a full disk has need of the room
        raise
    synced(path.parent)


def synced(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def removed(folder: Path) -> None:
    """Remove a folder; what says whose it is goes last."""
    for one in [*folder.iterdir()]:
        if one.name != JOB:
            one.unlink()
    shutil.rmtree(folder)


def named(path: object) -> str:
    """Return a path as errors name it."""
    return repr(shown(str(path), REASON_CHARACTERS))


@contextmanager
def writing(path: Path, begun: bool = False) -> Iterator[None]:
    """Word what the disk says, of a file that is `begun` what can be gone on from.

    Raises: BadRequest; NotWritten.
    """
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else shown(error, REASON_CHARACTERS)
        where = f", {named(error.filename)}" if error.filename else ""
        curable = begun and not isinstance(error, FileNotFoundError)  # parts that are gone stay gone
        refused = NotWritten if curable else BadRequest
        raise refused(f"{named(path)} cannot be written: {why}{where}") from error
