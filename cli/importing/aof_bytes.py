"""The commands of an append-only file one after the other, without what is large in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cli.importing.errors import FileDamaged

KEPT_BYTES = 1 << 16  # a longer word is passed over: none that names a key or says what happens is
LINE_BYTES = 64
WORDS_LIMIT = 1 << 31
WORD_LIMIT_BYTES = 1 << 40
CRLF = b"\r\n"


class Truncated(Exception):
    """The file ends in the middle of a command, as after a crash."""


@dataclass(frozen=True, slots=True)
class Line:
    """One command of a file: where it begins, its words, and where each of them begins; None is a long word."""

    offset: int
    words: list[bytes | None]
    places: list[int]

    @property
    def name(self) -> bytes:
        """What it does, in capitals."""
        return (self.words[0] or b"").upper()


def commands(stream: BinaryIO, path: Path) -> Iterator[Line]:
    """Yield the commands from where the stream stands.

    Raises: Truncated; FileDamaged, what stands there is no command.
    """
    while True:
        offset = stream.tell()
        head = stream.readline(LINE_BYTES)
        if not head:
            return
        if head.startswith(b"#"):  # a remark, #TS:seconds
            continue
        yield one_command(stream, path, (offset, head), KEPT_BYTES)


def one_command(stream: BinaryIO, path: Path, begun: tuple[int, bytes], kept_bytes: int) -> Line:
    """Read the command whose first line was read.

    Raises: Truncated, FileDamaged.
    """
    offset, head = begun
    words, places = [], []
    for _ in range(number(path, offset, head, b"*", WORDS_LIMIT)):
        at = stream.tell()
        size = number(path, at, stream.readline(LINE_BYTES), b"$", WORD_LIMIT_BYTES)
        places.append(stream.tell())
        words.append(word(stream, size, kept_bytes))
        if (end := stream.read(len(CRLF))) != CRLF:
            raise Truncated if len(end) < len(CRLF) else FileDamaged(path, stream.tell(), "no end of a word")
    if not words:
        raise FileDamaged(path, offset, "a command without words")
    return Line(offset, words, places)


def word(stream: BinaryIO, size: int, kept_bytes: int) -> bytes | None:
    """Read a word, or pass over a long one.

    Raises: Truncated.
    """
    if size > kept_bytes:
        stream.seek(size, 1)
        return None
    data = stream.read(size)
    if len(data) < size:
        raise Truncated
    return data


def number(path: Path, offset: int, line: bytes, mark: bytes, most: int) -> int:
    """Return the number of a line that begins with a mark.

    Raises: Truncated, FileDamaged.
    """
    if not line.endswith(b"\n"):
        if len(line) < LINE_BYTES:
            raise Truncated
        raise FileDamaged(path, offset, "no line of a command")
    digits = line[1:].rstrip(CRLF)
    if not line.startswith(mark) or not digits.isdigit() or int(digits) > most:
        raise FileDamaged(path, offset, f"{mark.decode()} and a number should stand there")
    return int(digits)


def whole_command(path: Path, offset: int) -> list[bytes]:
    """Return every word of one command, whatever its length.

    Raises: FileDamaged, OSError.
    """
    with path.open("rb") as stream:
        stream.seek(offset)
        try:
            line = one_command(stream, path, (offset, stream.readline(LINE_BYTES)), WORD_LIMIT_BYTES)
        except Truncated as error:
            raise FileDamaged(path, offset, "the file became shorter while it is read") from error
    return [one for one in line.words if one is not None]
