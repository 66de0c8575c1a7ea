"""One walk through an RDB file: every key of RedisAI with the place of its value; all else is passed over.

No library that is maintained reads what modules write (rdbtools and its successors pass it over or
stop there), so this is our own. The file is read once from front to back in blocks, its CRC is
checked, and what is found is small whatever the values weigh: they are read later, one at a time,
from their places.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cli.importing.errors import EncodingUnknown, NotAFile
from cli.importing.inventory import AI_KINDS, Found, Place
from cli.importing.rdb_bytes import RdbBytes
from cli.importing.rdb_values import MODULE, TYPES, VALKEY_TYPES, lengths, module_value

MAGIC_BYTES = 9
CHECKSUM_BYTES = 8
CHECKSUM_SINCE = 5  # version of the format
NAMES = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
NAME_CHARACTERS = 9
VERSION_BITS = 10

KEY_META = 243  # of Redis; of Valkey: slots that are moving in
SLOT_INFO, FUNCTION, MODULE_AUX, IDLE, FREQUENCY, AUX = 244, 245, 247, 248, 249, 250
RESIZE, EXPIRE_MS, EXPIRE_SECONDS, SELECT, END = 251, 252, 253, 254, 255
FIRST_OPCODE = 240

Watch = Callable[[int, int], None]
"""Told how many bytes are passed, and of how many."""


@dataclass(slots=True)
class Walked:
    """What a walk met beside the values of RedisAI; `expires_at_ms` is that of the key that comes next."""

    keys: int = 0
    db: int = 0
    expires_at_ms: int | None = None
    checked: bool = False
    ended_at: int = 0


class RdbWalk:
    """A walk through the RDB that begins where the stream stands."""

    def __init__(self, data: RdbBytes) -> None:
        """Read the first bytes.

        Raises: NotAFile.
        """
        self._data = data
        magic = data.take(MAGIC_BYTES) if data.size >= MAGIC_BYTES else b""
        self._valkey = magic.startswith(b"VALKEY")
        digits = magic.removeprefix(b"VALKEY").removeprefix(b"REDIS")
        if not digits.isdigit() or len(digits) == len(magic):
            raise NotAFile(data.path, "it does not begin with REDIS or VALKEY and a version")
        self._version = int(digits)
        self._types = VALKEY_TYPES if self._valkey else TYPES
        self.walked = Walked()

    def found(self, watch: Watch) -> Iterator[Found]:
        """Yield every tensor, model and script.

        Raises: FileDamaged, also where the CRC is another; EncodingUnknown.
        """
        data, walked = self._data, self.walked
        while (kind := data.byte()) != END:
            if kind >= FIRST_OPCODE:
                self._opcode(kind)
                continue
            began = data.offset - 1
            key = data.string()
            walked.keys += 1
            if (one := self._value(kind, key, began)) is not None:
                yield one
            walked.expires_at_ms = None
            watch(data.offset, data.size)
        self._check_sum()
        walked.ended_at = data.offset
        watch(data.offset, data.size)

    def _value(self, kind: int, key: bytes, began: int) -> Found | None:
        """Pass a value, whose entry began there; return it when it is RedisAI's."""
        data, walked = self._data, self.walked
        if kind != MODULE:
            self._skip(kind, began)
            return None
        name, version = module_name(data.length())
        place = Place(data.path, data.offset, version)
        module_value(data)
        kind_of_value = AI_KINDS.get(name)
        if kind_of_value is None:
            return None
        return Found(walked.db, key, kind_of_value, walked.expires_at_ms, place)

    def _skip(self, kind: int, began: int) -> None:
        skip = self._types.get(kind)
        if skip is None:
            raise EncodingUnknown(self._data.path, began, f"a value of the type {kind}")
        skip(self._data)

    def _opcode(self, opcode: int) -> None:
        """Pass what is no key."""
        data, walked = self._data, self.walked
        if opcode == SELECT:
            walked.db = data.length()
        elif opcode == EXPIRE_MS:
            walked.expires_at_ms = int.from_bytes(data.take(8), "little", signed=True)
        elif opcode == EXPIRE_SECONDS:
            walked.expires_at_ms = 1000 * int.from_bytes(data.take(4), "little", signed=True)
        elif opcode == KEY_META:
            self._slots_moving() if self._valkey else self._metadata()
        elif opcode in PASSED:
            PASSED[opcode](data)
        else:
            raise EncodingUnknown(data.path, data.offset - 1, f"the opcode {opcode}")

    def _slots_moving(self) -> None:
        self._data.skip_string()
        lengths(self._data, 2 * self._data.length())

    def _metadata(self) -> None:
        for _ in range(self._data.length()):
            self._data.skip(4)
            module_value(self._data)

    def _check_sum(self) -> None:
        """Compare the CRC; one of zero says that the server was told not to write any."""
        data = self._data
        if self._version < CHECKSUM_SINCE:
            return
        summed = data.crc()
        stored = int.from_bytes(data.take(CHECKSUM_BYTES), "little")
        self.walked.checked = stored != 0
        if stored and stored != summed:
            raise data.damaged(f"its CRC is {summed:016x}, it says {stored:016x}")


def module_name(number: int) -> tuple[str, int]:
    """Return the name of a module's type, and the version of its encoding."""
    bits = number >> VERSION_BITS
    letters = [NAMES[bits >> 6 * place & 63] for place in reversed(range(NAME_CHARACTERS))]
    return "".join(letters), number & (1 << VERSION_BITS) - 1


def module_aux(data: RdbBytes) -> None:
    """Pass what a module keeps beside its keys."""
    lengths(data, 3)  # the module, that a number follows, and when it was written
    module_value(data)


def aux(data: RdbBytes) -> None:
    """Pass a name and its value."""
    data.skip_string()
    data.skip_string()


PASSED: dict[int, Callable[[RdbBytes], None]] = {
    SLOT_INFO: lambda data: lengths(data, 3),
    FUNCTION: RdbBytes.skip_string,
    MODULE_AUX: module_aux,
    IDLE: lambda data: lengths(data, 1),
    FREQUENCY: lambda data: data.skip(1),
    AUX: aux,
    RESIZE: lambda data: lengths(data, 2),
}


def walk_rdb(path: Path, watch: Watch) -> tuple[list[Found], Walked]:
    """Walk a whole RDB file.

    Raises: NotAFile, FileDamaged, EncodingUnknown, OSError.
    """
    with path.open("rb") as stream:
        walk = RdbWalk(RdbBytes(stream, path))
        return list(walk.found(watch)), walk.walked
