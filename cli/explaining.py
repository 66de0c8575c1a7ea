"""explain: asks the running server what each feature adds to a prediction, and draws it as signed bars."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from cli.errors import ExitCode
from cli.manual import PREDICTIONS, Command
from cli.options import AsJson, Inputs, Instances, Keys, Missing, ModelName, Reference, ServerUrl, Token
from cli.predicting import curing_patterns, parsed, rows_asked, share_text
from cli.settings import read_settings
from cli.terminal import ACCENTS, Terminal, count_text, plain, printable

TOP = 12
BAR_LEAST, BAR_MOST = 6, 24  # characters of a bar on either side
NAME_MOST = 40
HEADS = ("feature", "value", "reference")
GAPS = 5  # of two spaces, in a line
FULL, EIGHTHS = "█", " ▏▎▍▌▋▊▉"  # a bar to the right may end within a character
HALF = "▐"  # one to the left within half of one
ASKS_SERVER = "explain asks the server, which knows its Redis; name the server with --url"


def explain(
    name: ModelName,
    keys: Keys = None,
    *,
    instances: Instances = None,
    inputs: Inputs = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--label", metavar="LABEL", help="Label whose probability is explained; else the predicted one."
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", metavar="NAME", help="Output of the graph of which a number is explained."),
    ] = None,
    element: Annotated[
        int | None, typer.Option("--element", metavar="N", help="Which number of that output, from 0.")
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            metavar="JSON|@FILE",
            help="Rows to compare with, tensors by input name; else those of the version.",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            "--samples",
            metavar="N",
            help="Most rows that are run for one, 64 to 16384; more are more exact. 2048 when not given.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", help="The same seed draws the same; 0 when not given."),
    ] = None,
    top: Annotated[
        int, typer.Option("--top", metavar="N", min=1, help="Features drawn; the others are one line.")
    ] = TOP,
    version: Reference = None,
    missing: Missing = None,
    as_json: AsJson = False,
    url: ServerUrl = None,
    token: Token = None,
) -> None:
    """Draw what each feature adds to a prediction."""
    from cli.client import ServerClient

    settings = read_settings(url=url, token=token)
    body = rows_asked(keys, instances, inputs)
    wish = {"label": label, "output": output, "element": element, "samples": samples, "seed": seed}
    read = {"reference": parsed("--reference", reference), "missing": parsed("--missing", missing)}
    body |= {field: value for field, value in (wish | read).items() if value is not None}
    with ServerClient.of(settings) as server, curing_patterns(name, keys):
        answer = server.explain(name, body, version)
    show(Terminal(as_json=as_json), answer, top)


def show(terminal: Terminal, answer: dict[str, Any], top: int) -> None:
    """Show the rows; a row with an error makes the command fail."""
    rows = answer["explanations"]
    failed = sum("error" in row for row in rows)
    if terminal.as_json:
        terminal.emit(answer)
    else:
        for number, row in enumerate(rows):
            show_row(terminal, row, row.get("key") or f"row {number}", top)
        terminal.note(f"{answer['model']} version {answer['version']}", "quiet")
    if failed:
        terminal.note(f"{failed} of {count_text(len(rows), 'row')} could not be explained", "error")
        raise typer.Exit(ExitCode.FAILED)


def show_row(terminal: Terminal, row: dict[str, Any], named: str, top: int) -> None:
    """Show one row: what is predicted, what the reference would be, and a bar a feature."""
    if "error" in row:
        terminal.say(f"{named}: {row['error']['message']}", "fail")
        return
    terminal.say(headline(named, row), "strong")
    for line in drawn(row, top, terminal.out.width, ascii_only=terminal.out.options.ascii_only):
        terminal.out.print(line, soft_wrap=True)
    notes = [f"compared with {row['reference']}", error_text(row)]
    if row.get("filled"):
        notes.append(f"filled: {', '.join(row['filled'])}")
    if "version" in row:
        notes.append(f"version {row['version']}")
    terminal.say("; ".join(notes), "quiet")


def headline(named: str, row: dict[str, Any]) -> str:
    """Return what is explained, and what it would be for the reference."""
    if "label" in row:
        found, instead = share_text(row["prediction"]), share_text(row["baseline"])
        return f"{named}: {row['label']} {found}, {instead} for the reference"
    of = row.get("part") or (f"{row['output']}[{row['element']}]" if row["element"] else row["output"])
    return f"{named}: {of} {plain(row['prediction'])}, {plain(row['baseline'])} for the reference"


def error_text(row: dict[str, Any]) -> str:
    """Return how far a contribution may be from what it stands for."""
    if row["method"] == "exact":
        return "every combination was run"
    return f"each within {row['sampling_error']:.2g} (95 %), from {row['runs']:,} runs"


def drawn(row: dict[str, Any], top: int, width: int, *, ascii_only: bool) -> list[Text]:
    """Return a line a feature: name, value, the reference's value, a signed bar, what it adds."""
    shown, rest = row["contributions"][:top], row["contributions"][top:]
    cells = [(name_text(one["feature"]), *map(value_text, (one["value"], one["reference"]))) for one in shown]
    added = [float(one["contribution"]) for one in shown]
    most = max(map(abs, added), default=0.0) or 1.0
    if rest:  # of which the sum says nothing beside the bars of single features
        cells.append((count_text(len(rest), "more feature"), "", ""))
        added.append(sum(one["contribution"] for one in rest))
    signed = [f"{one:+.4g}" if one else "0" for one in added]
    widths = [max(map(len, column)) for column in zip(HEADS, *cells, strict=True)]
    left = width - sum(widths) - max(map(len, signed)) - 2 * GAPS - 1
    side = max(BAR_LEAST, min(BAR_MOST, left // 2))
    shares = [one / most for one in added[: len(shown)]] + [0.0] * bool(rest)
    bars = [bar(share, side, ascii_only=ascii_only) for share in shares]
    lines = [
        Text.assemble(padded(cell, widths), one, f"  {number}")
        for cell, one, number in zip(cells, bars, signed, strict=True)
    ]
    return [Text(f"{padded(HEADS, widths)}{'less':>{side}} {'more':<{side}}  adds", ACCENTS["quiet"]), *lines]


def padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return the cells before a bar, each in its column."""
    return "  ".join(["", *(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)), ""])


def bar(share: float, side: int, *, ascii_only: bool = False) -> Text:
    """Return a bar from the middle to the left or to the right; `share` from -1 to 1."""
    length = abs(share) * side
    if ascii_only:
        body = ("-" if share < 0 else "+") * round(length)
    elif share < 0:
        body = (HALF if length % 1 >= 0.5 else "") + FULL * int(length)
    else:
        body = (FULL * int(length) + EIGHTHS[int(length % 1 * 8)]).rstrip()
    left, right = (body, "") if share < 0 else ("", body)
    text = Text(" " * (side - len(left)))
    text.append(left, ACCENTS["fail"])
    text.append("|" if ascii_only else "│", ACCENTS["quiet"])
    text.append(right, ACCENTS["ok"])
    text.append(" " * (side - len(right)))
    return text


def name_text(name: str) -> str:
    """Return a feature's name, the middle of a long one left out."""
    shown = printable(name)
    return shown if len(shown) <= NAME_MOST else f"{shown[: NAME_MOST // 2]}…{shown[1 - NAME_MOST // 2 :]}"


def value_text(value: object) -> str:
    """Return a feature's value; nothing for several elements."""
    return "" if value is None else name_text(plain(value))


COMMANDS = (
    Command(
        PREDICTIONS,
        explain,
        (
            "insitu explain breast_cancer patient:17",
            "insitu explain digits digit:7 --label 7 --top 20",
            "insitu explain churn customer:1 customer:2 --json",
            "insitu explain churn customer:1 --reference '{\"x\": [[35, 30]]}'",
        ),
        "0 every row is explained; 1 the request or a row was refused",
        {
            **dict.fromkeys(("--key", "--keys"), "keys stand after the name: insitu explain NAME KEY..."),
            **dict.fromkeys(("--redis-url", "--data-dir", "--prefix"), ASKS_SERVER),
        },
    ),
)
