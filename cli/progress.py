"""One long piece of work, shown: a bar where somebody watches, a line now and then where nobody does."""

import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from rich.console import RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from cli.terminal import Terminal, duration_text, printable, styled

LINE_SECONDS = 5.0  # between two lines in a log


class Bar(Progress):
    """A bar with lines of text below it."""

    below: Sequence[str] = ()

    def get_renderables(self) -> Iterable[RenderableType]:
        """Give the bar, then the lines, each cut at the edge of the screen."""
        yield from super().get_renderables()
        for line in self.below:
            text = styled(f"  {line}", "quiet")
            text.truncate(self.console.width, overflow="ellipsis")
            yield text


class Work:
    """Progress of one piece of work; always on stderr, gone from the screen when it is done."""

    def __init__(self, terminal: Terminal, title: str, total: int | None = None) -> None:
        self._terminal = terminal
        self._title = title
        self._total = total
        self._bar = self._new_bar() if terminal.interactive else None
        self._task = self._bar.add_task(title, total=total, note="") if self._bar else None
        self._started = self._last_line = time.monotonic()

    def _new_bar(self) -> Bar:
        middle = (TimeElapsedColumn(),) if self._total is None else (BarColumn(24), TimeRemainingColumn())
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), *middle)
        note = TextColumn("{task.fields[note]}", markup=False)
        return Bar(*columns, note, console=self._terminal.err, transient=True)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, total: int | None = None, note: str = "", below: Sequence[str] = ()) -> None:
        """Say how much is done; `total` may become known, or change, on the way; `below` is for who watches."""
        self._total = total or self._total
        if self._bar is not None and self._task is not None:
            self._bar.below = below
            self._bar.update(self._task, completed=done, total=self._total, note=printable(note))
            return
        now = time.monotonic()
        if now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            self._terminal.note(self._line(done, note))

    def _line(self, done: int, note: str) -> str:
        share = f"{done / self._total:.0%}" if self._total else str(done)
        took = duration_text(time.monotonic() - self._started)
        return f"{self._title}: {share}, {took}" + (f", {note}" if note else "")
