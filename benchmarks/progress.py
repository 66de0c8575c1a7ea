"""Progress: what is measured now, how far the run is, and the time that is left."""

from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Watch(Protocol):
    """Who is told how a run goes on."""

    def begin(self, seconds: float) -> None:
        """Take the expected length of the run."""

    def doing(self, text: str) -> None:
        """Take what is done now."""

    def done(self, seconds: float) -> None:
        """Take that this much of the expected length is over."""


class Unwatched:
    """Nobody looks."""

    def begin(self, seconds: float) -> None:
        """Tell nobody."""

    def doing(self, text: str) -> None:
        """Tell nobody."""

    def done(self, seconds: float) -> None:
        """Tell nobody."""


class Bar:
    """A bar on a terminal; elsewhere a line for what is done now, so that a log shows it too."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            speed_estimate_period=120,
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, seconds: float) -> None:
        """Take the expected length of the run."""
        self._progress.update(self._task, total=seconds)

    def doing(self, text: str) -> None:
        """Show what is done now."""
        self._progress.update(self._task, description=text)
        if not self._console.is_terminal:
            self._console.print(text, highlight=False, soft_wrap=True)

    def done(self, seconds: float) -> None:
        """Move the bar."""
        self._progress.advance(self._task, seconds)
