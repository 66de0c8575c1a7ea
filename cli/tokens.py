"""token: makes an access token; its text is shown once, the server keeps its SHA-256."""

import secrets
from hashlib import sha256
from typing import Annotated, Literal

import typer

from cli.manual import SERVER, Command
from cli.options import AsJson
from cli.terminal import Terminal

TOKEN_BYTES = 32


def token(
    scope: Annotated[
        Literal["predict", "admin"],
        typer.Option("--scope", help="What it may do: predict, or admin for everything."),
    ] = "predict",
    as_json: AsJson = False,
) -> None:
    """Make an access token: its text for the client, its SHA-256 for the server."""
    text = secrets.token_urlsafe(TOKEN_BYTES)
    entry = f"{scope}:{sha256(text.encode()).hexdigest()}"
    terminal = Terminal(as_json=as_json)
    if as_json:
        terminal.emit({"scope": scope, "token": text, "entry": entry})
        return
    terminal.fields([("token", text), ("entry", entry)])
    terminal.note(
        "The token is shown this once. The client sends it: INSITU_TOKEN=TOKEN, or Authorization: Bearer TOKEN.\n"
        "The server keeps the entry: INSITU_TOKENS=ENTRY, several separated by commas."
    )


COMMANDS = (
    Command(
        SERVER,
        token,
        ("insitu token", "insitu token --scope admin --json"),
        "0 made",
    ),
)
