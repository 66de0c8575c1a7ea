"""What an import tells in the end: a line a model, the tensors counted, and what was not imported with the cure."""

from collections import Counter

from cli.importing.outcome import Outcome, Summary
from cli.terminal import Terminal, count_text, size_text

LINES_LIMIT = 50  # of a table; --json has them all


def show(terminal: Terminal, summary: Summary) -> None:
    """Show what became of everything."""
    if terminal.as_json:
        terminal.emit(summary.as_data())
        return
    show_models(terminal, summary.models("imported", "same"), dry_run=summary.dry_run)
    terminal.say(closing(summary), "strong")
    show_others(terminal, "not imported", "error", summary.of("failed"))
    show_others(terminal, "left out", "warn", summary.of("left_out"))
    for note in summary.notes:
        terminal.note(f"note: {note}", "warn")


def show_models(terminal: Terminal, models: list[Outcome], *, dry_run: bool) -> None:
    """Show a line for each model."""
    if not models:
        return
    rows = [[one.key, one.db, version_text(one, dry_run=dry_run), size(one), verified(one)] for one in models]
    terminal.table(["model's key", ">db", "stored as", ">size", "verified"], rows[:LINES_LIMIT])
    rest(terminal, len(rows))


def version_text(one: Outcome, *, dry_run: bool) -> str:
    """Return the name and version of a stored model."""
    if one.state == "same":
        return "there already"
    return f"{one.model} (dry run)" if dry_run else f"{one.model} version {one.version}"


def size(one: Outcome) -> str:
    """Return the size of a model file."""
    return size_text(one.size_bytes) if one.size_bytes else ""


def verified(one: Outcome) -> str:
    """Return how a model was verified."""
    return one.verified or ("when it was imported" if one.state == "same" else "")


def closing(summary: Summary) -> str:
    """Return the line that counts."""
    models, tensors = len(summary.models("imported")), summary.tensors["imported"]
    parts = [
        count_text(models, "model"),
        f"{count_text(tensors, 'tensor')} ({size_text(summary.tensor_bytes)})",
    ]
    if same := len(summary.models("same")) + summary.tensors["same"]:
        parts.append(f"{count_text(same, 'key')} there already")
    if summary.expired:
        parts.append(f"{count_text(summary.expired, 'key')} expired")
    would = "dry run, nothing was written: would import " if summary.dry_run else "imported: "
    return would + ", ".join(parts)


def show_others(terminal: Terminal, title: str, accent: str, others: list[Outcome]) -> None:
    """Show what is not there, each with why; what has the same cure in one line."""
    reasons = Counter((one.kind, one.reason) for one in others)
    for (kind, reason), count in list(reasons.items())[:LINES_LIMIT]:
        keys = [one.key for one in others if (one.kind, one.reason) == (kind, reason)]
        names = ", ".join(keys[:5]) + (f" and {count - 5} more" if count > 5 else "")
        terminal.say(f"{title}: {kind} {names}: {reason}", accent)
    rest(terminal, len(reasons))


def rest(terminal: Terminal, count: int) -> None:
    """Say how many lines are not shown."""
    if count > LINES_LIMIT:
        terminal.say(f"... and {count - LINES_LIMIT} more; --json has them all", "quiet")
