"""How the demo tells what it does: numbered steps, results, times, and commands to copy."""

import time

from cli.invocation import program_name
from cli.terminal import Terminal, duration_text

INDENT = "   "


class Story:
    """The report as it grows."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self._steps = 0
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._began

    def step(self, title: str) -> None:
        """Begin a step."""
        self._steps += 1
        self.terminal.say(f"\n{self._steps}. {title}", "strong")

    def result(self, text: str, seconds: float | None = None) -> None:
        """Tell what came of it, and how long it took."""
        took = f"  ({duration_text(seconds)})" if seconds is not None else ""
        self.terminal.say(f"{INDENT}{text}{took}")

    def detail(self, text: str) -> None:
        """Tell something smaller."""
        self.terminal.say(f"{INDENT}  {text}", "quiet")

    def repeat(self, command: str) -> None:
        """Show the command that does it again."""
        self.terminal.say(f"{INDENT}$ {command}", "command")

    def repeat_insitu(self, words: str) -> None:
        """Show the command of this program that does it again."""
        self.repeat(f"{program_name()} {words}")
