"""Room: all files of a directory stay within a bound; what was used longest ago goes first.

    DIR/IDENTITY/redis                    which Redis and prefix the rest is of; its time is the last look at that
    DIR/IDENTITY/onnx/DIGEST              the ONNX bytes of versions, by their SHA-256; its time is the last use
    DIR/IDENTITY/onnx/DIGEST.part         one that is being fetched
    DIR/IDENTITY/models/NAME/vN-DIGEST    the manifest of a version
    DIR/IDENTITY/models/NAME/pointers     what aliases and traffic meant in the server

What else is in the directory is nobody's here, and stays.
"""

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from models.keys import NAME
from server.inference.keeping.claims import PART, swept
from server.inference.keeping.identity import FOLDER
from server.inference.keeping.small_files import DRAFT, removed

ONNX, MODELS, REDIS, POINTERS = "onnx", "models", "redis", "pointers"
DIGEST = re.compile(r"[0-9a-f]{64}")
MANIFEST = re.compile(r"v([0-9]{1,18})-([0-9a-f]{64})")
DRAFT_SECONDS = 60.0  # a small file is written in milliseconds


@dataclass(frozen=True, slots=True)
class Held:
    """One file of bytes and the manifests of the versions that have them."""

    path: Path
    manifests: tuple[Path, ...]
    size_bytes: int
    used: float


def listed(folder: Path) -> list[Path]:
    """Return what is in a folder, sorted; nothing where there is none."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def manifests(folder: Path) -> Iterator[tuple[Path, int, str]]:
    """Yield the manifests in the folder of a model: path, version, digest."""
    for path in listed(folder):
        if found := MANIFEST.fullmatch(path.name):
            yield path, int(found[1]), found[2]


def models_in(home: Path) -> list[Path]:
    """Return the folders of models of one identity."""
    return [path for path in listed(home / MODELS) if NAME.fullmatch(path.name)]


def homes(directory: Path) -> list[Path]:
    """Return the folders of all identities."""
    return [path for path in listed(directory) if FOLDER.fullmatch(path.name)]


def size_of(path: Path) -> int:
    """Return the bytes of a file, 0 of one that is gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def holdings(home: Path) -> list[Held]:
    """Return the files of bytes of one identity."""
    whose: dict[str, list[Path]] = {}
    for folder in models_in(home):
        for path, _, digest in manifests(folder):
            whose.setdefault(digest, []).append(path)
    found = []
    for path in listed(home / ONNX):
        with suppress(FileNotFoundError):
            if DIGEST.fullmatch(path.name):
                facts, beside = path.stat(), tuple(whose.get(path.name, ()))
                size = facts.st_size + sum(map(size_of, beside))
                found.append(Held(path, beside, size, facts.st_mtime))
    return found


def taken_bytes(directory: Path) -> int:
    """Return the bytes of all files that are kept in a directory."""
    every = (path for home in homes(directory) for path in home.rglob("*"))
    return sum(size_of(path) for path in every if not path.is_dir())


def made(directory: Path, most_bytes: int) -> int:
    """Let go what was used longest ago until the rest has no more bytes, and what killed processes have left.

    Return how many bytes all files take then.

    Raises: OSError.
    """
    for home in homes(directory):
        tidied(home)
    taken = taken_bytes(directory)
    if taken <= most_bytes:
        return taken
    every = sorted((held for home in homes(directory) for held in holdings(home)), key=lambda one: one.used)
    for held in every:
        for path in (*held.manifests, held.path):
            removed(path)
        taken -= held.size_bytes
        if taken <= most_bytes:
            break
    return taken


def tidied(home: Path) -> None:
    """Take away what killed processes have left: half written, or without a manifest or bytes beside it.

    Raises: OSError.
    """
    for path in listed(home / ONNX):
        if path.name.endswith(PART) and DIGEST.fullmatch(path.stem):
            swept(path)
    for folder in models_in(home):
        if not any(manifests(folder)):
            removed(folder / POINTERS)
            if is_old(folder):  # else somebody has just made it
                removed(folder)
    lone = [held.path for held in holdings(home) if not held.manifests]
    for path in (*lone, *home.rglob(f"*{DRAFT}")):
        if is_old(path):
            removed(path)


def is_old(path: Path) -> bool:
    """Whether a file was left as it is: what belongs to it would have been written by now."""
    try:
        return time.time() - path.stat().st_mtime > DRAFT_SECONDS
    except FileNotFoundError:
        return False
