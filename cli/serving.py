"""serve and up: the server in the foreground, with a Redis of its own where there is none."""

import errno
import inspect
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from cli.errors import RedisUnreachable, WrongUsage, needs
from cli.invocation import program_name
from cli.manual import SERVER, START, Command
from cli.options import AsJson, DataDir, RedisUrl
from cli.settings import Settings, explained, option_name, read_settings, variable_name
from cli.signals import unwind_on_signals
from cli.terminal import Terminal
from models.ed25519 import check_installed
from models.errors import InsituError, RedisRefused
from server.settings import Directory, ServerSettings
from server.workers.listeners import DOORS, PortRefused, place
from server.workers.opening import fault_of_certificate

OWN_OPTIONS = ("redis_url",)  # serve and up say themselves which Redis it is
PORT_CURES = {
    errno.EADDRINUSE: "another program listens there; end it, or take another --port (0 takes a free one)",
    errno.EACCES: "this user may not listen there; take a --port over 1023",
    errno.EINVAL: "an address of one link goes with its interface, as in --host fe80::1%eth0",
    errno.EADDRNOTAVAIL: "this machine has no such address; name one of its own with --host",
}
# Looked for where they are not imported.
SERVER_PACKAGES = ("fastapi", "grpc", "grpc_health", "grpc_reflection", "onnxruntime", "uvicorn", "uvloop")
INSITU_THERE = "an Insitu server already answers there; use that one, or take another --port"

Started = Callable[[str, Mapping[str, str]], None]


class CannotListen(InsituError):
    """The server's address cannot be listened on."""

    code = "cannot_listen"


def serve(
    *,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
    **given: str | bool | None,
) -> None:
    """Serve the stored models over HTTP until Ctrl-C or SIGTERM."""
    settings = read_settings(redis_url=redis_url, data_dir=data_dir)
    terminal = Terminal(as_json=as_json)
    check_settings(settings, given)
    server = server_settings(settings.redis_url or running_redis(settings), given)
    place = options(redis_url, data_dir)
    run(server, lambda url, beside: announce(terminal, {"url": url, **beside}, place))


def up(
    *,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
    **given: str | bool | None,
) -> None:
    """Start Redis, if there is none, and the server; Ctrl-C or SIGTERM stops both."""
    settings = read_settings(redis_url=redis_url, data_dir=data_dir)
    terminal = Terminal(as_json=as_json)
    check_settings(settings, given)
    unwind_on_signals()
    with ExitStack() as running:
        inside, shown = redis_for(settings, running)
        server = server_settings(inside, given)
        place = options(redis_url, data_dir)
        run(
            server,
            lambda url, beside: announce(terminal, {"url": url, **beside, "redis_url": shown}, place),
        )


def running_redis(settings: Settings) -> str:
    """Return the URL of the embedded Redis that runs; where one is named, no client is loaded to look for it.

    Raises: RedisUnreachable.
    """
    from cli.connection import redis_url

    return redis_url(settings)


def redis_for(settings: Settings, running: ExitStack) -> tuple[str, str]:
    """Return the URL of Redis, and the one to show; an embedded one that is started is stopped with `running`.

    Raises: EmbeddedRedisFailed.
    """
    from cli.embedded import EmbeddedRedis
    from models.connecting import without_password

    if settings.redis_url is not None:
        return settings.redis_url, without_password(settings.redis_url)
    redis = EmbeddedRedis.start(settings.data_dir)
    running.callback(redis.stop)
    return redis.url, redis.tcp_url


def check_settings(settings: Settings, given: dict[str, str | bool | None]) -> None:
    """Stop on a bad setting before any Redis is looked for or started.

    Raises: WrongUsage, SigningNotInstalled.
    """
    server = server_settings(settings.redis_url or "redis://to.be.known", given)
    if server.trusted_keys:
        check_installed()
    if fault := fault_of_certificate(server.tls_cert, server.tls_key):
        raise WrongUsage(fault)


def server_settings(redis_url: str, given: dict[str, str | bool | None]) -> ServerSettings:
    """Return the server's settings; what is given wins over the environment.

    Raises: WrongUsage, naming the option or variable, its value and the rule.
    """
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    try:
        return ServerSettings(**{**chosen, "redis_url": redis_url})
    except ValidationError as error:
        raise WrongUsage(explained(error, chosen)) from error


def run(settings: ServerSettings, started: Started) -> None:
    """Serve in this process, or in several under this one.

    Raises: NotInstalled, CannotListen, ProviderUnavailable, BadName, RedisUnreachable, WorkerFailed.
    """
    from server.logs import configure_logs

    configure_logs(settings.log_level, settings.log_format)
    with needs("server"):
        serve_all = server_program(settings)
    try:
        serve_all(settings, started)
    except PortRefused as error:
        raise port_refused(settings, error) from error
    except RedisRefused as error:
        raise redis_refused(settings, error) from error
    except socket.gaierror as error:
        raise CannotListen(
            f"the server cannot listen on {settings.host} ({error.strerror}): no such name is known here; "
            "name an address of this machine with --host",
            host=settings.host,
            port=settings.port,
        ) from error
    except OSError as error:
        cure = PORT_CURES.get(error.errno or 0)
        if cure is None:
            raise
        if error.errno == errno.EADDRINUSE and answers_there(settings):
            cure = INSITU_THERE
        where = place(settings.host, settings.port)
        raise CannotListen(
            f"the server cannot listen on {where} ({os.strerror(error.errno or 0)}): {cure}",
            host=settings.host,
            port=settings.port,
        ) from error


def redis_refused(settings: ServerSettings, error: RedisRefused) -> RedisUnreachable:
    """Return the error of a Redis that did not let this server in."""
    from cli.connection import refusal

    return refusal(settings.redis_url, str(error.details["reason"]))


def port_refused(settings: ServerSettings, error: PortRefused) -> CannotListen:
    """Return the error of a port beside HTTP's that cannot be listened on."""
    cure = PORT_CURES.get(error.errno or 0, "take another --port").replace("--port", f"--{error.door}-port")
    spoken, why = DOORS[error.door], os.strerror(error.errno or 0)
    return CannotListen(
        f"the server cannot listen on {place(settings.host, error.port)} for {spoken} ({why}): "
        f"{cure}; -1 serves none",
        host=settings.host,
        port=error.port,
    )


def server_program(settings: ServerSettings) -> Callable[[ServerSettings, Started], None]:
    """Return what serves; several processes are watched by one that loads nothing of theirs.

    Raises: ModuleNotFoundError.
    """
    from server.cores import worker_count

    if worker_count(settings) == 1:
        from server import app

        return app.run
    for name in SERVER_PACKAGES:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    from server.workers.supervisor import supervise

    return supervise


def answers_there(settings: ServerSettings) -> bool:
    """Return whether what listens at the address is a server like this one."""
    from cli.client import is_alive

    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104  # compared, not bound
    return any(is_alive(f"{scheme}://{place(host, settings.port)}") for scheme in ("http", "https"))


def options(redis_url: RedisUrl, data_dir: DataDir) -> str:
    """Return the options by which another command finds the same Redis; a password is not repeated."""
    url = f" --redis-url {redis_url}" if redis_url and "@" not in redis_url else ""
    return url + (f" --data-dir {data_dir}" if data_dir else "")


def announce(terminal: Terminal, facts: dict[str, str], place: str = "") -> None:
    """Tell where the server answers, once it does; `place` are the options that a command needs to find its Redis."""
    if terminal.as_json:
        terminal.emit(facts)
        return
    url = facts["url"]
    redis = f"; Redis is at {facts['redis_url']}" if "redis_url" in facts else ""
    beside = "".join(f", {spoken} at {facts[door]}" for door, spoken in DOORS.items() if door in facts)
    terminal.say(f"Insitu serves at {url}{beside}{redis}")
    terminal.say(f"API: {url}/docs   models: {program_name()} models{place}   Ctrl-C stops it", "quiet")


def as_parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    """Return the option that sets one field of the server's settings."""
    flag = field.annotation is bool
    option = typer.Option(
        f"{option_name(name)}/--no-{option_name(name)[2:]}" if flag else option_name(name),
        metavar=None if flag else metavar(field),
        help=f"{field.description} Default: {default_text(field)}. Environment: {variable_name(name)}.",
        show_default=False,
        rich_help_panel="Server",
        autocompletion=completing(choices(field)),
    )
    wanted: Any = bool | None if flag else str | None
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[wanted, option]
    )


def choices(field: FieldInfo) -> list[str]:
    """Return the words that a field takes; none where it takes any."""
    return [*map(str, get_args(field.annotation))] if get_origin(field.annotation) is Literal else []


def completing(words: Sequence[str]) -> Callable[[str], list[str]]:
    """Return what completes one of some words."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete.lower())]

    return complete


def metavar(field: FieldInfo) -> str:
    """Return what to write for a field: its choices, or the kind of its value."""
    if words := choices(field):
        return "|".join(words)
    kinds: dict[Any, str] = {
        int: "NUMBER",
        float: "NUMBER",
        Path | None: "FILE",
        Directory | None: "DIR",
    }
    return kinds.get(field.annotation, "TEXT")


def default_text(field: FieldInfo) -> str:
    """Return a default as a person would write it."""
    value = field.default
    return "none" if value in (None, ()) else str(value).lower() if isinstance(value, bool) else str(value)


def with_server_options(command: Callable[..., None]) -> None:
    """Give a command one option for each field of the server's settings."""
    own = [
        parameter
        for parameter in inspect.signature(command).parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    fields = [
        as_parameter(name, field)
        for name, field in ServerSettings.model_fields.items()
        if name not in OWN_OPTIONS
    ]
    command.__signature__ = inspect.Signature([*own, *fields])  # type: ignore[attr-defined]  # what inspect.signature reads


for command in (serve, up):
    with_server_options(command)

COMMANDS = (
    Command(
        START,
        up,
        ("insitu up", "insitu up --port 9000 --data-dir ./data"),
        "0 stopped by Ctrl-C or SIGTERM; 1 the address is taken, or CUDA was asked for and is not there",
    ),
    Command(
        SERVER,
        serve,
        (
            "insitu serve",
            "INSITU_REDIS_URL=redis://10.0.0.5:6379 insitu serve --host 0.0.0.0 --tokens predict:SHA256",
            "insitu serve --port 0 --json",
        ),
        "0 stopped by Ctrl-C or SIGTERM; 1 the address is taken, or CUDA was asked for and is not there",
    ),
)
