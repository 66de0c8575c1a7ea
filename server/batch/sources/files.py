"""Files: whether one is there and is still the one that was read before; it knows nothing of what is in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from models.errors import BadRequest, shown

PATH_CHARACTERS = 240
REASON_CHARACTERS = 240

Stamp = list[int] | None  # bytes and nanoseconds of the last change; None of what can be read once only


def name_of(path: Path) -> str:
    """Return a path as messages show it."""
    return shown(str(path), PATH_CHARACTERS)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the system says of a file into one sentence.

    Raises: BadRequest.
    """
    try:
        yield
    except OSError as error:
        why = error.strerror or shown(error, REASON_CHARACTERS)
        raise BadRequest(f"{name_of(path)} cannot be read: {why}") from error


def stamp_of(path: Path) -> Stamp:
    """Return what tells a file from what it was before.

    Raises: BadRequest, nothing there, a directory, or no right to it.
    """
    with reading(path):
        if not path.exists():
            raise BadRequest(f"{name_of(path)} is not there, as seen from {name_of(Path.cwd())}")
        facts = path.stat()
    if S_ISDIR(facts.st_mode):
        raise BadRequest(f"{name_of(path)} is a directory; name one file in it")
    return [facts.st_size, facts.st_mtime_ns] if S_ISREG(facts.st_mode) else None
