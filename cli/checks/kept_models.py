"""The directory that a server keeps models in: whether files can be written there, and whether there is room."""

import os
import shutil
from pathlib import Path

from cli.checks.findings import Finding, ok, warn
from cli.terminal import count_text, size_text
from server.inference.keeping.room import homes, models_in, taken_bytes

AREA = "model cache"


def check_model_cache(directory: Path | None, most_bytes: int) -> list[Finding]:
    """Look at the directory as this user; nothing where none is set."""
    if directory is None:
        return []
    try:
        return [look_at(directory, most_bytes)]
    except OSError as error:
        cure = "give it to the server's user, and nobody else; the server serves without it"
        return [warn(AREA, f"{directory} cannot be used: {error.strerror}", cure)]


def look_at(directory: Path, most_bytes: int) -> Finding:
    """Look at a directory, or at where it would be made.

    Raises: OSError.
    """
    there = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        cure = "let the server's user write there (docker: mount a volume of that user); it serves without it"
        return warn(AREA, f"{there} takes no files of this user: no new model is kept", cure)
    taken, free = taken_bytes(directory), shutil.disk_usage(there).free
    names = {folder.name for home in homes(directory) for folder in models_in(home)}
    what = f"{directory} keeps {count_text(len(names), 'model')} in {size_text(taken)} of {size_text(most_bytes)}"
    if taken + free < most_bytes:
        cure = (
            "make room, or set INSITU_MODEL_CACHE_BYTES to what it may take; a full disk keeps no new model"
        )
        return warn(AREA, f"{what}, the disk has {size_text(free)} left", cure)
    return ok(AREA, what)
