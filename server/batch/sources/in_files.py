"""Keys in a text file, one a line; in blocks, whatever the file's size. Columns are read elsewhere."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from io import FileIO
from pathlib import Path

from models.errors import BadRequest, shown
from models.jobs import STANDARD_STREAM
from models.scanning import ENDED
from models.templates import KEY_LIMIT_BYTES
from server.batch.parts import Part, Step
from server.batch.sources.checking import checked, too_long
from server.batch.sources.files import Stamp, name_of, reading, stamp_of
from server.batch.sources.gathering import gathered
from server.batch.sources.positions import facts_of, written
from server.batch.sources.threads import beside

BLOCK_BYTES = 1 << 16
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
STANDARD_INPUT = 0  # its descriptor; Python's own object must not be read by a thread that outlives it


class KeyLines:
    """Lines of a file, of a pipe or of standard input; blank ones are passed over.

    A file that was changed since is read anew, for a line may stand elsewhere now. What can be read
    once only cannot be taken up again.
    """

    strict = True

    def __init__(self, path: str) -> None:
        self._path = None if path == STANDARD_STREAM else Path(path)
        self._name = "standard input" if self._path is None else name_of(self._path)

    def steps(self, position: str) -> AsyncIterator[Step]:
        """Find keys from a position on.

        Raises: BadRequest, no such file, a line that is no key, or a pipe that was read before.
        """
        return gathered(beside(partial(self._read, position)), position, once=False)

    def _read(self, position: str) -> Iterator[Step]:
        if position == ENDED:
            return
        stamp = None if self._path is None else stamp_of(self._path)
        facts = facts_of(position)
        if stamp is None and position:
            raise BadRequest(
                f"{self._name} cannot be read again from where it stopped; give the same input again with "
                "--only-missing, which passes over the rows that are scored"
            )
        same = facts.get("file") == stamp
        lines = Lines(self._name, facts["at"], facts["line"]) if position and same else Lines(self._name)
        yield from self._steps(lines, stamp, anew=not same and position != "")

    def _steps(self, lines: "Lines", stamp: Stamp, anew: bool) -> Iterator[Step]:
        for block in self._blocks(lines.at):
            keys = lines.keys(block)
            share = min(1.0, lines.at / max(1, stamp[0])) if stamp else 0.0
            yield Step(Part(keys), written(at=lines.at, line=lines.line, file=stamp), share, anew)
            anew = False
        yield Step(Part(lines.last()), ENDED, 1.0, anew)

    def _blocks(self, at: int) -> Iterator[bytes]:
        path = Path("/dev/stdin") if self._path is None else self._path
        with (
            reading(path),
            FileIO(STANDARD_INPUT, closefd=False) if self._path is None else FileIO(path) as file,
        ):
            if at:
                file.seek(at)
            while block := file.read(BLOCK_BYTES):
                yield block


class Lines:
    """Blocks of a file made into its lines; `at` and `line` are the bytes and the lines before the next."""

    def __init__(self, name: str, at: int = 0, line: int = 0) -> None:
        self.at, self.line = at, line
        self._name, self._rest = name, b""

    def keys(self, block: bytes) -> list[bytes]:
        """Return the keys of the lines that end in this block.

        Raises: BadRequest, naming the line that is no key.
        """
        *whole, self._rest = (self._rest + block).split(b"\n")
        keys = self._checked(whole)
        if len(self._rest) > KEY_LIMIT_BYTES + len(BYTE_ORDER_MARK) + 1:  # and "\r"
            raise too_long(self._place(0), self._rest)
        return keys

    def last(self) -> list[bytes]:
        """Return the key of a last line without an end, at the end of the file."""
        whole, self._rest = ([self._rest] if self._rest else []), b""
        return self._checked(whole)

    def _checked(self, whole: list[bytes]) -> list[bytes]:
        lines = [line.removesuffix(b"\r") for line in whole]
        if lines and self.at == 0:
            lines[0] = lines[0].removeprefix(BYTE_ORDER_MARK)
        checked(lines, self._place)
        self.at += sum(map(len, whole)) + len(whole)
        self.line += len(whole)
        return [line for line in lines if line.strip()]

    def _place(self, at: int) -> str:
        return f"line {self.line + at + 1} of {shown(self._name, 240)}"
