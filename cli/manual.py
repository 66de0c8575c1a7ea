"""A command as the help shows it: its panel, examples to copy, and what its exit codes mean."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from typer.core import TyperGroup

from cli.errors import MEANINGS

START = "Start here"
MODELS = "Models"
PREDICTIONS = "Predictions"
SERVER = "Server"


@dataclass(frozen=True, slots=True)
class Command:
    """A function that is a command of the same name."""

    panel: str
    run: Callable[..., Any]
    examples: tuple[str, ...]
    exits: str
    """What 0 and 1 mean here; the others mean the same everywhere."""
    instead: dict[str, str] = field(default_factory=dict)
    """What to do instead of giving options that it does not have but people try."""
    group: str = ""
    """The word before its own, where several commands share one."""

    @property
    def name(self) -> str:
        """The word that is typed."""
        return self.run.__name__

    @property
    def epilog(self) -> str:
        """The end of its help."""
        return (
            f"{listed('Examples:', self.examples)}\n\nExit codes: {self.exits}; others as in `insitu --help`."
        )


class Chapters(TyperGroup):
    """The list of commands, under the panels they belong to."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section a panel."""
        chapters: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            chapters.setdefault(command.rich_help_panel, []).append((name, command.get_short_help_str(100)))
        for title, rows in chapters.items():
            with formatter.section(title):
                formatter.write_dl(rows)


def listed(title: str, lines: tuple[str, ...]) -> str:
    """Return lines below a title, marked to be kept as they are."""
    return "\n".join(["\b", title, *(f"  $ {line}" for line in lines)])


def exit_codes() -> str:
    """Return what every exit code means, one a line."""
    return "\n".join(
        ["\b", "Exit codes:", *(f"  {code.value:>3}  {text}" for code, text in MEANINGS.items())]
    )
