"""The command line put together: every command, what holds for all of them, and what becomes of an error."""

import errno
import json
import os
import select
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Annotated

import typer
from pydantic import ValidationError
from typer.main import get_command

from cli import (
    checking,
    drafting,
    drifting,
    explaining,
    jobs,
    keys,
    loading,
    predicting,
    publishing,
    scoring,
    serving,
    signing,
    stored,
    tokens,
    traffic,
    training,
)
from cli.demo import command as demo
from cli.errors import ExitCode, NoRoom, WrongUsage, exit_code
from cli.importing import command as importing
from cli.manual import MODELS, Chapters, exit_codes, listed
from cli.settings import decline_telemetry, join_at_colons, unknown_environment, worded
from cli.terminal import console, encodable, styled, take_any_text
from models.building import is_compiled
from models.causes import cause
from models.errors import InsituError, shown
from server.settings import ServerSettings

SUMMARY = """Neural-network inference where your Redis data lives.

Train a network, keep it in Redis, serve it, and predict from the keys where your features already are.
"""
DEBUG = "--debug"
FULL = (errno.ENOSPC, errno.EDQUOT)
JSON = "--json"

ENVIRONMENT = (
    "Environment: INSITU_REDIS_URL, INSITU_URL, INSITU_TOKEN, INSITU_DATA_DIR, INSITU_PREFIX, INSITU_SIGN_WITH and "
    "INSITU_KEY_PASSPHRASE; "
    "`insitu serve --help` names those of the server."
)
EPILOG = "\n\n".join(
    [
        listed(
            "Examples:",
            (
                "insitu demo",
                "insitu up",
                "insitu train breast_cancer --load",
                "insitu predict breast_cancer patient:17",
            ),
        ),
        exit_codes(),
        ENVIRONMENT,
    ]
)

app = typer.Typer(
    name="insitu",
    cls=Chapters,
    help=SUMMARY,
    epilog=EPILOG,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def show_version(asked: bool) -> None:
    """Write the version and stop."""
    if asked:
        built = ", the hot path compiled to C" if is_compiled() else ""
        sys.stdout.write(f"insitu {version('insitu')}{built}\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def begin(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
    _debug: Annotated[
        bool, typer.Option(DEBUG, help="Show where an error comes from; anywhere on the line.")
    ] = False,
) -> None:
    """Check what holds for every command."""
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")
        raise typer.Exit(ExitCode.USAGE)
    unknown_environment(ServerSettings.model_fields)


COMMANDS = (
    *demo.COMMANDS,
    *serving.COMMANDS,
    *checking.COMMANDS,
    *drafting.COMMANDS,
    *loading.COMMANDS,
    *training.COMMANDS,
    *publishing.COMMANDS,
    *importing.COMMANDS,
    *stored.COMMANDS,
    *signing.COMMANDS,
    *traffic.COMMANDS,
    *predicting.COMMANDS,
    *explaining.COMMANDS,
    *scoring.COMMANDS,
    *drifting.COMMANDS,
    *jobs.COMMANDS,
    *tokens.COMMANDS,
    *keys.COMMANDS,
)
INSTEAD = {(command.name, option): cure for command in COMMANDS for option, cure in command.instead.items()}

GROUPS = {importing.GROUP: (MODELS, "Move in from another system that keeps its models in Redis.")}


def begin_group(context: typer.Context) -> None:
    """Show what a group has when none of it is named."""
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")
        raise typer.Exit(ExitCode.USAGE)


def grouped(name: str) -> typer.Typer:
    """Return a group of commands, made part of the command line."""
    panel, summary = GROUPS[name]
    group = typer.Typer(
        help=summary, invoke_without_command=True, callback=begin_group, rich_markup_mode=None
    )
    app.add_typer(group, name=name, rich_help_panel=panel)
    return group


OF_GROUPS = {name: grouped(name) for name in GROUPS}

for command in COMMANDS:
    place = OF_GROUPS[command.group] if command.group else app
    place.command(command.name, epilog=command.epilog, rich_help_panel=command.panel)(command.run)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; what it met is told in one line on stderr."""
    try:
        return ran(arguments)
    except (
        SystemExit,
        BrokenPipeError,
    ) as error:  # typer and rich leave by the former where a pipe is broken
        broken = cause(error, BrokenPipeError)
        if broken is None:
            raise
        if not forget_unread():
            return failed(broken, arguments, debug=DEBUG in arguments)  # the pipe was another one
        return ExitCode.UNREAD


def ran(arguments: Sequence[str]) -> int:
    """Run one command line as `run`.

    Raises: BrokenPipeError, nobody reads what it writes any more; SystemExit, the same, or SIGTERM.
    """
    debug, words = without_debug(arguments)
    open_closed()
    decline_telemetry()
    join_at_colons()
    take_any_text()
    try:
        check_words(words)
        result = get_command(app).main(args=words, prog_name="insitu", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        return misused(error, arguments)
    except typer.Abort:
        return ExitCode.STOPPED
    except Exception as error:  # the process ends here; a bug is told, not dumped
        if isinstance(error, BrokenPipeError):
            raise
        if is_interrupted(error):
            return ExitCode.STOPPED
        return failed(understood(error), arguments, debug=debug)
    return result if isinstance(result, int) else ExitCode.DONE


def open_closed() -> None:
    """Let what is written to streams that were closed before this process began go nowhere."""
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def is_interrupted(error: BaseException | None) -> bool:
    """Return whether Ctrl-C is behind an error: a library whose import it stops says that its import failed."""
    return cause(error, KeyboardInterrupt) is not None


def forget_unread() -> bool:
    """Lead what nobody reads to nowhere, so that the interpreter finds nothing to complain of; whether there is any."""
    found = False
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None and is_unread(stream.fileno()):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            found = True
    return found


def is_unread(number: int) -> bool:
    """Whether the other end of a pipe or connection is gone."""
    poll = select.poll()
    poll.register(number, 0)  # errors and hang-ups are told unasked
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def without_debug(arguments: Sequence[str]) -> tuple[bool, list[str]]:
    """Take --debug out, wherever it stands before a `--`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options, rest = arguments[:end], arguments[end:]
    return DEBUG in options, [word for word in options if word != DEBUG] + list(rest)


def check_words(words: Sequence[str]) -> None:
    """Refuse bytes that are no text and no file's name: keys and names are text, as in the JSON of a request.

    Raises: WrongUsage.
    """
    for word in words:
        if not encodable(word) and not os.path.lexists(word):
            raise WrongUsage(f"{shown(word)!r} is no text in UTF-8; keys and names that are asked for are")


def understood(error: Exception) -> Exception:
    """Return the error, as ours where the system has no room for what this program writes."""
    if isinstance(error, OSError) and error.errno in FULL:
        full = NoRoom(os.strerror(error.errno), error.filename)
        full.__cause__ = error  # where --debug shows it comes from
        return full
    return error


def failed(error: Exception, arguments: Sequence[str], *, debug: bool) -> int:
    """Tell an error, and where it comes from when that was asked for; return the exit code."""
    if debug:
        traceback.print_exception(error)
    if isinstance(error, InsituError):
        tell({"code": error.code, "message": str(error), **error.details}, arguments)
        return exit_code(error)
    cure = "this is a fault of insitu; add --debug to see where, and report it"
    tell({"code": "fault", "message": f"{type(error).__name__}: {error}; {cure}"}, arguments)
    return ExitCode.FAULT


def misused(error: typer.TyperException, arguments: Sequence[str]) -> int:
    """Tell wrong usage."""
    message = instead(error) or with_value(error).format_message().strip().rstrip(".")
    tell({"code": "wrong_usage", "message": f"{message[:1].lower()}{message[1:]} (see --help)"}, arguments)
    return ExitCode.USAGE


def instead(error: typer.TyperException) -> str | None:
    """Return what to do instead of an option that people try on a command that has none of that name."""
    context, option = getattr(error, "ctx", None), getattr(error, "option_name", None)
    cure = INSTEAD.get((context.command.name, option)) if context and option else None
    return cure and f"no such option: {option}; {cure}"


def with_value(error: typer.TyperException) -> typer.TyperException:
    """Return the error, its rule in our words and with the value that broke it, which typer leaves out."""
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        fault = cause.errors(include_url=False)[0]
        rule, given = worded(fault["msg"]).rstrip("."), repr(shown(fault["input"]))
        error.message = rule if given in rule else f"{rule} (got {given})"
    return error


def tell(error: dict[str, object], arguments: Sequence[str]) -> None:
    """Write an error as one line to stderr; to a program that asked for JSON also as JSON to stdout."""
    line = styled("error: ", "error").append_text(styled(str(error["message"])))
    console(stderr=True).print(line, soft_wrap=True)
    if JSON in arguments:
        with suppress(OSError):  # stdout itself may be what takes no more
            sys.stdout.write(json.dumps({"error": error}, default=str) + "\n")
