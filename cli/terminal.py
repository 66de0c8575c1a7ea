"""What the user sees: results on stdout (JSON when asked for), everything else on stderr."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from io import TextIOWrapper
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

BLOCKS = "▁▂▃▄▅▆▇█"  # heights of what is drawn in a line of text
ACCENTS = {
    "ok": "green",
    "warn": "yellow",
    "fail": "red",
    "error": "red",
    "quiet": "dim",
    "strong": "bold",
    "command": "cyan",
}


class Told(Console):
    """A console that leaves it to the command how to end when nobody reads any more."""

    def on_broken_pipe(self) -> None:
        """Let the error that this is called for go on.

        Raises: BrokenPipeError.
        """
        raise  # noqa: PLE0704  # rich calls this while it handles the error


def console(*, stderr: bool) -> Console:
    """Return a console that shows text as it is: no markup, no emoji, colours only on a terminal."""
    return Told(stderr=stderr, markup=False, emoji=False, highlight=False)


def take_any_text() -> None:
    """Let stdout write `?` for what its encoding has no sign for; stderr writes an escape by itself."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def encodable(text: str, encoding: str | None = None) -> bool:
    """Whether an encoding has a sign for every character."""
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


class Terminal:
    """The two streams of one command; with `as_json` stdout carries nothing but JSON."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.out = console(stderr=False)
        self.err = console(stderr=True)

    @property
    def interactive(self) -> bool:
        """Whether somebody watches: bars may move."""
        return self.err.is_terminal

    def emit(self, value: object) -> None:
        """Write one JSON document to stdout, on one line; escaped where stdout has no sign for what it holds."""
        text = json.dumps(value, ensure_ascii=False, default=str)
        if not encodable(text, sys.stdout.encoding):
            text = json.dumps(value, default=str)
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def say(self, text: str, accent: str = "") -> None:
        """Write a result for a person; goes to stderr when stdout is for JSON."""
        where = self.err if self.as_json else self.out
        where.print(styled(text, accent), soft_wrap=True)

    def note(self, text: str, accent: str = "") -> None:
        """Write what is no result: progress, warnings."""
        self.err.print(styled(text, accent), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write a table; a column whose name begins with '>' is aligned right."""
        where = self.err if self.as_json else self.out
        cells = [[printable(str(cell)) for cell in row] for row in rows]
        lines = list(aligned(columns, cells))
        if where.is_terminal and max(map(len, lines)) > where.width:
            where.print(framed(columns, cells, where.width))
            return
        for number, line in enumerate(lines):
            where.print(Text(line, style="" if number else ACCENTS["strong"]), soft_wrap=True)

    def fields(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Write named values, the names in one column; a value goes on beside them, and never looks like a name."""
        listed = [(name, str(value)) for name, value in pairs if value not in ("", None)]
        width = max((len(name) for name, _ in listed), default=0)
        for name, value in listed:
            beside = value.replace("\n", f"\n{'':<{width}}  ")
            self.say(f"{name:<{width}}  {beside}")


def framed(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Table:
    """Return a table for a screen of `width` characters that it does not fit in.

    Text is folded, numbers are not; nor is the first column, unless it would leave the others less than half.
    """
    names_fit = max((len(row[0]) for row in rows), default=0) <= width // 2
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, column in enumerate(columns):
        right = column.startswith(">")
        justify: Literal["left", "right"] = "right" if right else "left"
        whole = right or (number == 0 and names_fit)
        table.add_column(column.lstrip(">"), justify=justify, overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table, a line a row, whatever its length."""
    names = [column.lstrip(">") for column in columns]
    widths = [max(map(len, cells)) for cells in zip(names, *rows, strict=True)]
    for row in (names, *rows):
        padded = (
            f"{cell:>{width}}" if column.startswith(">") else f"{cell:<{width}}"
            for cell, width, column in zip(row, widths, columns, strict=True)
        )
        yield "  ".join(padded).rstrip()


def styled(text: str, accent: str = "") -> Text:
    """Return text whose control characters are shown, not obeyed."""
    return Text(printable(text), style=Style.parse(ACCENTS.get(accent, "none")))


def printable(text: str) -> str:
    """Return text that cannot steer a terminal: what is stored in Redis was written by others."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def count_text(number: int, noun: str) -> str:
    """Return a number of things: 1 row, 1,200 rows."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size_text(size_bytes: float) -> str:
    """Return a size for a person: 12.3 kB."""
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} GB"


def duration_text(seconds: float) -> str:
    """Return a duration for a person: 850 ms, 4.2 s, 3 min 20 s."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def plain(value: Any) -> str:
    """Return a number without a tail of zeros, anything else as text."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
