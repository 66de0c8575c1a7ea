"""What commands of an append-only file leave of RedisAI's keys; no command is run, places are kept.

Every command that can write, move, hide or remove such a key is followed; all others leave them
alone. What stands between MULTI and EXEC counts only when EXEC is there, as Redis has it.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from cli.importing.aof_bytes import Line
from cli.importing.inventory import AI_KINDS, COMMAND, Found, Kind, Place
from cli.importing.rdb_bytes import RdbBytes
from cli.importing.rdb_values import MODULE
from cli.importing.rdb_walk import module_name

At = tuple[int, bytes]
STORED: dict[bytes, Kind] = {
    b"AI.TENSORSET": "tensor",
    b"AI.MODELSTORE": "model",
    b"AI.MODELSET": "model",
    b"AI.SCRIPTSTORE": "script",
    b"AI.SCRIPTSET": "script",
}
REMOVED = {b"DEL", b"UNLINK", b"GETDEL", b"AI.MODELDEL", b"AI.SCRIPTDEL"}
FIRST_REPLACED = {
    *(b"SET", b"SETEX", b"PSETEX", b"GETSET"),
    *(b"SINTERSTORE", b"SUNIONSTORE", b"SDIFFSTORE"),
    *(b"ZUNIONSTORE", b"ZINTERSTORE", b"ZDIFFSTORE", b"ZRANGESTORE", b"GEOSEARCHSTORE"),
}
"""Commands that put something else at their first key."""
PAIRS_REPLACED = {b"MSET", b"MSETNX"}
RENAMING = {b"RENAME", b"RENAMENX"}
STORING = {b"SORT", b"GEORADIUS", b"GEORADIUSBYMEMBER"}
EXPIRING = {
    b"PEXPIREAT": (1, False),
    b"EXPIREAT": (1000, False),
    b"PEXPIRE": (1, True),
    b"EXPIRE": (1000, True),
}
"""Milliseconds of their unit, and whether it counts from now."""
LOST = {
    *(b"AI.MODELRUN", b"AI.MODELEXECUTE", b"AI.SCRIPTRUN", b"AI.SCRIPTEXECUTE"),
    *(b"AI.DAGRUN", b"AI.DAGEXECUTE"),
}
"""What old versions of RedisAI wrote into the file instead of its results."""


NUMBER = re.compile(rb"-?\d{1,18}")  # more digits than any time has
DATABASES_LIMIT = 1 << 31


def now_ms() -> int:
    """Return the time in milliseconds."""
    return int(time.time() * 1000)


class Replay:
    """The keys of RedisAI as files leave them, one file after the other."""

    def __init__(self) -> None:
        self.keys: dict[At, Found] = {}
        self.lost: Counter[bytes] = Counter()
        self._db = 0
        self._waiting: list[tuple[Path, Line]] | None = None
        self._effects: dict[bytes, Callable[[Path, Line], None]] = {
            **dict.fromkeys(STORED, self._store),
            **dict.fromkeys(REMOVED, lambda _path, line: self._remove(line.words[1:])),
            **dict.fromkeys(FIRST_REPLACED, lambda _path, line: self._remove(line.words[1:2])),
            **dict.fromkeys(PAIRS_REPLACED, lambda _path, line: self._remove(line.words[1::2])),
            **dict.fromkeys(STORING, lambda _path, line: self._remove(stored_to(line))),
            **dict.fromkeys(EXPIRING, lambda _path, line: self._expire_at(line)),
            **dict.fromkeys(RENAMING, lambda _path, line: self._rename(line)),
            **dict.fromkeys(LOST, lambda _path, line: self.lost.update([line.name])),
            b"BITOP": lambda _path, line: self._remove(line.words[2:3]),
            b"RESTORE": self._restore,
            b"SELECT": lambda _path, line: self._select(line),
            b"COPY": lambda _path, line: self._copy(line),
            b"MOVE": lambda _path, line: self._move(line),
            b"SWAPDB": lambda _path, line: self._swap(line),
            b"FLUSHALL": lambda _path, _line: self.keys.clear(),
            b"FLUSHDB": lambda _path, _line: self._drop_database(self._db),
            b"PERSIST": lambda _path, line: self._expire(key_of(line, 1), None),
        }

    def put(self, found: Found) -> None:
        """Let a key hold what was found."""
        self.keys[found.db, found.key] = found

    def begin(self) -> None:
        """Begin a file: its commands are for database 0 until one selects another."""
        self._db, self._waiting = 0, None

    @property
    def unfinished(self) -> bool:
        """Whether a transaction was begun and not ended: what it would have done does not count."""
        return self._waiting is not None

    def follow(self, path: Path, line: Line) -> None:
        """Take one command in.

        Raises: FileDamaged, EncodingUnknown.
        """
        if line.name == b"MULTI":
            self._waiting = []
        elif line.name in (b"EXEC", b"DISCARD"):
            waiting, self._waiting = self._waiting or [], None
            for place, one in waiting if line.name == b"EXEC" else ():
                self._apply(place, one)
        elif self._waiting is not None:
            self._waiting += [(path, line)] * (line.name in self._effects)
        else:
            self._apply(path, line)

    def _apply(self, path: Path, line: Line) -> None:
        effect = self._effects.get(line.name)
        if effect is not None:
            effect(path, line)

    def _store(self, path: Path, line: Line) -> None:
        key = key_of(line, 1)
        if key is not None:
            self.put(Found(self._db, key, STORED[line.name], None, Place(path, line.offset, COMMAND)))

    def _remove(self, keys: Iterable[bytes | None]) -> None:
        for key in keys:
            if key is not None:
                self.keys.pop((self._db, key), None)

    def _expire_at(self, line: Line) -> None:
        unit, from_now = EXPIRING[line.name]
        said = number_at(line.words, 2)
        if said is not None:
            self._expire(key_of(line, 1), said * unit + (now_ms() if from_now else 0))

    def _expire(self, key: bytes | None, at_ms: int | None) -> None:
        found = self.keys.get((self._db, key)) if key is not None else None
        if found is not None:
            self.put(replace(found, expires_at_ms=at_ms))

    def _restore(self, path: Path, line: Line) -> None:
        """Take a key in that comes as DUMP wrote it; its place is within the command."""
        key = key_of(line, 1)
        self._remove([key])
        if key is None or len(line.words) < 4:
            return
        with path.open("rb") as stream:
            stream.seek(line.places[3])
            data = RdbBytes(stream, path, summed=False)
            if data.byte() != MODULE:
                return
            name, version = module_name(data.length())
            place = Place(path, data.offset, version)
        if name in AI_KINDS:
            self.put(Found(self._db, key, AI_KINDS[name], restored_until(line), place))

    def _select(self, line: Line) -> None:
        db = database_at(line.words, 1)
        self._db = self._db if db is None else db

    def _rename(self, line: Line) -> None:
        self._to((self._db, key_of(line, 1)), (self._db, key_of(line, 2)), keep=False)

    def _copy(self, line: Line) -> None:
        options = [one.upper() if one else b"" for one in line.words[3:]]
        db = database_at(options, options.index(b"DB") + 1) if b"DB" in options else self._db
        if db is not None:
            self._to((self._db, key_of(line, 1)), (db, key_of(line, 2)), keep=True)

    def _move(self, line: Line) -> None:
        key, db = key_of(line, 1), database_at(line.words, 2)
        if db is not None:
            self._to((self._db, key), (db, key), keep=False)

    def _to(self, origin: tuple[int, bytes | None], target: tuple[int, bytes | None], *, keep: bool) -> None:
        """Let a key hold what another one does, which goes unless it is kept."""
        db, key = target
        if origin[1] is None or key is None or origin == target:
            return
        at = (origin[0], origin[1])
        found = self.keys.get(at) if keep else self.keys.pop(at, None)
        self.keys.pop((db, key), None)
        if found is not None:
            self.put(replace(found, db=db, key=key))

    def _swap(self, line: Line) -> None:
        one, other = database_at(line.words, 1), database_at(line.words, 2)
        if one is None or other is None:
            return
        other_of = {one: other, other: one}
        moved = [replace(found, db=other_of.get(found.db, found.db)) for found in self.keys.values()]
        self.keys = {(found.db, found.key): found for found in moved}

    def _drop_database(self, db: int) -> None:
        self.keys = {at: found for at, found in self.keys.items() if found.db != db}


def key_of(line: Line, place: int) -> bytes | None:
    """Return a word that is a key, None where there is none or it is longer than any that is looked at."""
    return line.words[place] if len(line.words) > place else None


def stored_to(line: Line) -> list[bytes | None]:
    """Return the keys that the result of a command is stored at."""
    words = [word.upper() if word is not None else b"" for word in line.words]
    return [
        line.words[at + 1]
        for at, word in enumerate(words[:-1])
        if at > 1 and word in (b"STORE", b"STOREDIST")
    ]


def restored_until(line: Line) -> int | None:
    """Return when a restored key expires."""
    said, options = number_at(line.words, 2), [word.upper() if word else b"" for word in line.words[4:]]
    if said is None or said <= 0:
        return None
    return said if b"ABSTTL" in options else said + now_ms()


def number_at(words: Sequence[bytes | None], place: int) -> int | None:
    """Return the number that a word is, None where it is none that Redis takes."""
    word = words[place] if place < len(words) else None
    return int(word) if word is not None and NUMBER.fullmatch(word) else None


def database_at(words: Sequence[bytes | None], place: int) -> int | None:
    """Return the database that a word names, None where it names none."""
    number = number_at(words, place)
    return None if number is None or not 0 <= number < DATABASES_LIMIT else number
