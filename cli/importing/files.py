"""RedisAI's data in files: an RDB, an append-only file, one of those with an RDB before it, or Redis 7's directory.

Files are looked through once, in bounded memory; each value is read later, from its place.
"""

import asyncio
import shlex
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import BinaryIO

from cli.importing.aof_bytes import Truncated, commands, whole_command
from cli.importing.aof_values import value_of_command
from cli.importing.errors import NotAFile
from cli.importing.inventory import COMMAND, Found, Inventory
from cli.importing.rdb_bytes import RdbBytes
from cli.importing.rdb_walk import RdbWalk, Watch
from cli.importing.replay import Replay, now_ms
from cli.importing.values import Value, value_of

DIRECTORY = "appendonlydir"
FIRST_OF_RDB = (b"R", b"V")
FIRST_OF_AOF = (b"*", b"#TS:")
MANIFEST_LIMIT_BYTES = 1 << 20
WATCH_BYTES = 1 << 22


class GivenUp(Exception):
    """Nobody waits any more for what is looked for."""


@dataclass(slots=True)
class Looked:
    """How far files are looked through, together."""

    watch: Watch
    total: int
    given_up: Event
    before: int = 0
    told: int = 0

    def at(self, offset: int) -> None:
        """Tell, now and then, how far the file is that is looked through.

        Raises: GivenUp.
        """
        if self.given_up.is_set():
            raise GivenUp
        if self.before + offset - self.told >= WATCH_BYTES:
            self.told = self.before + offset
            self.watch(self.told, self.total)


class FileSource:
    """One Redis' files."""

    def __init__(self, path: Path) -> None:
        """Find the files.

        Raises: NotAFile, OSError.
        """
        self._files = parts_of(path)

    async def look(self, watch: Watch) -> Inventory:
        """Look every file through.

        Raises: NotAFile, FileDamaged, EncodingUnknown, OSError.
        """
        given_up = Event()
        try:
            return await asyncio.to_thread(self._look, watch, given_up)
        finally:
            given_up.set()  # an interrupt ends the thread too

    def _look(self, watch: Watch, given_up: Event) -> Inventory:
        replay, inventory = Replay(), Inventory()
        looked = Looked(watch, sum(path.stat().st_size for path in self._files), given_up)
        for path in self._files:
            look_through(path, replay, inventory, looked)
            looked.before += path.stat().st_size
        for name, count in replay.lost.items():
            inventory.notes.append(
                f"the file has {count} commands {name.decode()}, whose results it does not hold; "
                "import from the running server, or run BGREWRITEAOF first"
            )
        now = now_ms()
        living = [one for one in replay.keys.values() if one.expires_at_ms is None or one.expires_at_ms > now]
        inventory.expired = len(replay.keys) - len(living)
        inventory.found = living
        return inventory

    async def read(self, found: Found) -> Value:
        """Read one value.

        Raises: ValueUnreadable, FileDamaged, EncodingUnknown, OSError.
        """
        return read_value(found)


def read_value(found: Found) -> Value:
    """Read the value of a key from its place."""
    if (place := found.place) is None:
        raise ValueError("a key of a file has a place")
    if place.encoding == COMMAND:
        return value_of_command(whole_command(place.path, place.offset), found)
    with place.path.open("rb") as stream:
        stream.seek(place.offset)
        return value_of(RdbBytes(stream, place.path, summed=False), found, place.encoding)


def look_through(path: Path, replay: Replay, inventory: Inventory, looked: Looked) -> None:
    """Take in what one file leaves: an RDB, commands, or commands after an RDB."""
    replay.begin()
    with path.open("rb") as stream:
        stream.seek(rdb_of(path, stream, replay, inventory, looked))
        try:
            for line in commands(stream, path):
                replay.follow(path, line)
                looked.at(line.offset)
        except Truncated:
            inventory.notes.append(f"{path.name} ends in the middle of a command, which was left out")
    if replay.unfinished:
        inventory.notes.append(f"{path.name} ends in the middle of a transaction, which was left out")


def rdb_of(path: Path, stream: BinaryIO, replay: Replay, inventory: Inventory, looked: Looked) -> int:
    """Take in the RDB that a file begins with, and return where it ends; 0 without one."""
    if stream.read(1) not in FIRST_OF_RDB:
        return 0
    stream.seek(0)
    walk = RdbWalk(RdbBytes(stream, path))
    for found in walk.found(lambda offset, _size: looked.at(offset)):
        replay.put(found)
    inventory.keys += walk.walked.keys
    if not walk.walked.checked:
        inventory.notes.append(f"{path.name} has no checksum: the server was told to write none")
    return walk.walked.ended_at


def parts_of(path: Path) -> list[Path]:
    """Return the files behind a path, in the order they are read.

    Raises: NotAFile, OSError.
    """
    if path.is_dir():
        inner = path / DIRECTORY if (path / DIRECTORY).is_dir() else path
        manifests = sorted(inner.glob("*.manifest"))
        if len(manifests) != 1:
            raise NotAFile(path, f"a directory with {len(manifests)} AOF manifests")
        return listed_in(manifests[0])
    if path.suffix == ".manifest":
        return listed_in(path)
    with path.open("rb") as stream:
        first = stream.read(4)
    if not first.startswith((*FIRST_OF_RDB, *FIRST_OF_AOF)):
        raise NotAFile(path, "it begins with neither REDIS, VALKEY nor a command")
    return [path]


def listed_in(manifest: Path) -> list[Path]:
    """Return the files of an AOF manifest: the base, then what was appended, in order.

    Raises: NotAFile, OSError.
    """
    if manifest.stat().st_size > MANIFEST_LIMIT_BYTES:
        raise NotAFile(manifest, "it is too large for a manifest")
    entries = [
        entry(manifest, line) for line in manifest.read_text("utf-8", "replace").splitlines() if line.strip()
    ]
    order = {"b": 0, "i": 1}
    found = sorted((order[kind], number, name) for name, number, kind in entries if kind in order)
    for _, _, name in found:
        if not (manifest.parent / name).is_file():
            raise NotAFile(manifest, f"it names {name}, which is not beside it")
    if not found:
        raise NotAFile(manifest, "it names no file")
    return [manifest.parent / name for _, _, name in found]


def entry(manifest: Path, line: str) -> tuple[str, int, str]:
    """Return name, number and kind of one line: file NAME seq N type K.

    Raises: NotAFile.
    """
    try:
        words = shlex.split(line)
        said = dict(zip(words[::2], words[1::2], strict=True))
        name, number, kind = said["file"], int(said["seq"]), said["type"]
    except (ValueError, KeyError) as error:
        raise NotAFile(manifest, f"the line {line[:80]!r} is none of a manifest") from error
    if Path(name).name != name:
        raise NotAFile(manifest, f"it names {name}, which is not in its directory")
    return name, number, kind
