"""predict: asks the running server, shows a line a row."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.endless import TooLong, whole
from cli.errors import ExitCode, ServerRefused, WrongUsage
from cli.manual import PREDICTIONS, Command
from cli.options import AsJson, Inputs, Instances, Keys, Missing, ModelName, Reference, ServerUrl, Token
from cli.settings import read_settings
from cli.terminal import Terminal, count_text, plain
from models.errors import shown

PROBABILITIES_SHOWN = 3
VALUES_SHOWN = 8
BODY_MOST = 1 << 30  # bytes; what `max_body_bytes` of a server may be at most
ASKS_SERVER = "predict asks the server, which knows its Redis; name the server with --url"


def predict(
    name: ModelName,
    keys: Keys = None,
    *,
    instances: Instances = None,
    inputs: Inputs = None,
    version: Reference = None,
    missing: Missing = None,
    raw: Annotated[bool, typer.Option("--raw", help="Answer with the output tensors.")] = False,
    as_json: AsJson = False,
    url: ServerUrl = None,
    token: Token = None,
) -> None:
    """Predict from Redis keys, from values, or from tensors."""
    from cli.client import ServerClient

    settings = read_settings(url=url, token=token)
    body = rows_asked(keys, instances, inputs)
    extras = {"missing": parsed("--missing", missing), "raw": raw or None}
    body |= {name: value for name, value in extras.items() if value is not None}
    terminal = Terminal(as_json=as_json)
    with ServerClient.of(settings) as server, curing_patterns(name, keys):
        answer = server.predict(name, body, version)
    show(terminal, answer, for_patterns(name, keys))


def rows_asked(keys: list[str] | None, instances: str | None, inputs: str | None) -> dict[str, Any]:
    """Return the rows of a request, asked for in one of the three ways.

    Raises: WrongUsage.
    """
    ways = {
        "keys": keys or None,
        "instances": parsed("--instances", instances),
        "inputs": parsed("--inputs", inputs),
    }
    asked = {way: rows for way, rows in ways.items() if rows is not None}
    if len(asked) != 1:
        raise WrongUsage("give exactly one of: keys, --instances, --inputs")
    return asked


@contextmanager
def curing_patterns(name: str, keys: list[str] | None) -> Iterator[None]:
    """Say, where the server refuses a key that looks like a pattern, what to do instead."""
    try:
        yield
    except ServerRefused as error:
        cure = for_patterns(name, keys)
        raise (error.with_cure(cure) if cure else error) from None


def parsed(option: str, text: str | None) -> Any:
    """Return the JSON of an option, of the file it names, or of standard input.

    Raises: WrongUsage.
    """
    if text is None:
        return None
    try:
        return json.loads(contents(text) if text.startswith("@") else text)
    except TooLong as error:
        raise WrongUsage(
            f"{option} {shown(text)}: {error}, and a server takes no more; ask in parts, or score rows with "
            "`insitu score`"
        ) from error
    except OSError as error:
        raise WrongUsage(f"{option} {shown(text)} cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise WrongUsage(f"{option} {shown(text)!r} has lists within lists deeper than any tensor") from error
    except ValueError as error:
        raise WrongUsage(f"{option} {shown(text)!r} is no JSON: {error}") from error


def contents(text: str) -> str:
    """Return what is in the file that @NAME names, or what standard input says for @-.

    Raises: TooLong, OSError; UnicodeDecodeError, it is no UTF-8.
    """
    if text == "@-":
        return whole(sys.stdin.buffer, BODY_MOST).decode()
    with Path(text[1:]).open("rb") as file:
        return whole(file, BODY_MOST).decode()


def for_patterns(name: str, keys: list[str] | None) -> str:
    """Return what to do instead when a key looks like a pattern, empty when none does."""
    pattern = next((key for key in keys or () if "*" in key), None)
    if pattern is None:
        return ""
    return f"for every key that matches a pattern: insitu score {shown(name)} --match {shown(pattern)!r}"


def show(terminal: Terminal, answer: dict[str, Any], cure: str = "") -> None:
    """Show the rows; a row with an error makes the command fail, `cure` is told then."""
    rows = answer["predictions"]
    failed = sum("error" in row for row in rows)
    if terminal.as_json:
        terminal.emit(answer)
    else:
        terminal.table(["row", "prediction", "", ""], [line(number, row) for number, row in enumerate(rows)])
        terminal.note(f"{answer['model']} version {answer['version']}", "quiet")
    if failed:
        more = f"; {cure}" if cure else ""
        terminal.note(f"{failed} of {count_text(len(rows), 'row')} could not be predicted{more}", "error")
        raise typer.Exit(ExitCode.FAILED)


def line(number: int, row: dict[str, Any]) -> list[str]:
    """Return one row for a person."""
    named = row.get("key") or str(number)
    version = f"version {row['version']}" if "version" in row else ""
    if "error" in row:
        return [named, "-", row["error"]["message"], version]
    filled = f"filled: {', '.join(row['filled'])}" if row.get("filled") else ""
    marks = "; ".join(filter(None, (version, filled)))
    beside = probabilities_text(row.get("probabilities", {})) or quantiles_text(row.get("quantiles", {}))
    return [named, headline(row), beside, marks]


def headline(row: dict[str, Any]) -> str:
    """Return what is predicted: the label, the labels, the value, values or steps, the score, or the tensors."""
    if "anomaly_score" in row:
        return f"{plain(row['anomaly_score'])}{', an anomaly' if row.get('anomaly') else ''}"
    for name, text in HEADLINES.items():
        if name in row:
            return text(row[name])
    return "; ".join(f"{name} {tensor_text(values)}" for name, values in row["outputs"].items())


def labels_text(labels: list[str]) -> str:
    """Return the labels that hold."""
    return ", ".join(labels) or "none"


def values_text(values: dict[str, float]) -> str:
    """Return values with their names, the first ones."""
    more = ", ..." if len(values) > VALUES_SHOWN else ""
    return ", ".join(f"{name} {plain(value)}" for name, value in list(values.items())[:VALUES_SHOWN]) + more


def tensor_text(values: Any) -> str:
    """Return a nested list in one line, its first values."""
    flat = values
    while isinstance(flat, list) and flat and isinstance(flat[0], list):
        flat = [one for part in flat for one in part]
    if not isinstance(flat, list):
        return plain(flat)
    more = ", ..." if len(flat) > VALUES_SHOWN else ""
    return f"[{', '.join(map(plain, flat[:VALUES_SHOWN]))}{more}]"


def probabilities_text(probabilities: dict[str, float]) -> str:
    """Return the largest probabilities, largest first."""
    ordered = sorted(probabilities.items(), key=lambda pair: -pair[1])
    return "  ".join(f"{label} {share_text(share)}" for label, share in ordered[:PROBABILITIES_SHOWN])


def quantiles_text(quantiles: dict[str, Any]) -> str:
    """Return the lowest and the highest quantile of a value; those of several values are too many."""
    shares = [share for share, value in quantiles.items() if isinstance(value, float)]
    ends = shares[:1] + shares[1:][-1:]
    return "  ".join(f"{share}: {plain(quantiles[share])}" for share in ends)


def share_text(share: float) -> str:
    """Return a probability in per cent; what is almost certain does not look certain."""
    text = f"{share:.1%}"
    return {"100.0%": ">99.9%", "0.0%": "<0.1%"}.get(text, text) if 0 < share < 1 else text


HEADLINES: dict[str, Callable[[Any], str]] = {
    "label": str,
    "labels": labels_text,
    "value": plain,
    "forecast": tensor_text,
    "values": values_text,
}

COMMANDS = (
    Command(
        PREDICTIONS,
        predict,
        (
            "insitu predict breast_cancer patient:17 patient:18",
            "insitu predict digits digit:7 --json",
            'insitu predict churn --instances \'[{"customer": 7, "amount": 12.5}]\'',
            "insitu predict churn --inputs @tensors.json --raw",
        ),
        "0 every row is predicted; 1 the request or a row was refused",
        {
            **dict.fromkeys(("--key", "--keys"), "keys stand after the name: insitu predict NAME KEY..."),
            **dict.fromkeys(("--redis-url", "--data-dir", "--prefix"), ASKS_SERVER),
        },
    ),
)
