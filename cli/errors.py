"""What a command can end with: exit codes, and the errors that only the command line knows.

    WrongUsage          2   the command line, an INSITU_ variable, a file that is not there
    RedisUnreachable    3   no Redis, or not this one
    ServerUnreachable   3   nothing answers at the server's address
    NotInstalled        4   a part of the product is not in this environment
    ServerRefused       1   the server answered, and said no; 3 where it has no Redis to read from
    NotPublishable      1   Redis would not take the model that a training makes
    NoRoom              1   what was to be written finds no room
    StepFailed              a command that this one runs: its own exit code

Every other InsituError is the thing asked for that failed: 1.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

from models.errors import BadName, InsituError, RedisUnavailable, shown
from models.signing_errors import BadKey, SigningNotInstalled

START = "start one with `insitu up`, or name another with --url or INSITU_URL"
OWN_PACKAGES = ("models", "trainer", "server", "cli")


class ExitCode(IntEnum):
    """How a command ends."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_INSTALLED = 4
    FAULT = 70  # EX_SOFTWARE of sysexits.h
    STOPPED = 130  # 128 + SIGINT, as a shell reports it
    UNREAD = 141  # 128 + SIGPIPE
    TERMINATED = 143  # 128 + SIGTERM


MEANINGS = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "what was asked for failed, or was refused",
    ExitCode.USAGE: "wrong usage: the command line or an INSITU_ variable",
    ExitCode.UNREACHABLE: "Redis or the server is not reachable",
    ExitCode.NOT_INSTALLED: "a part is not installed; the message names the pip install",
    ExitCode.FAULT: "a fault in insitu itself; --debug shows where",
    ExitCode.STOPPED: "stopped by Ctrl-C in the middle of its work",
    ExitCode.UNREAD: "what reads its output went before the end, as `head` does",
    ExitCode.TERMINATED: "stopped by SIGTERM",
}


class WrongUsage(InsituError):
    """What the user wrote cannot be meant."""

    code = "wrong_usage"


class RedisUnreachable(InsituError):
    """No Redis to work with."""

    code = "redis_unreachable"


class ServerUnreachable(InsituError):
    """No server to ask."""

    code = "server_unreachable"

    def __init__(self, url: str, reason: str, cure: str = START) -> None:
        super().__init__(
            f"no server answers at {url} ({shown(reason)}); {cure}", url=url, reason=shown(reason)
        )
        self.cure = cure


class ServerRefused(InsituError):
    """The server's own error, told again: its code and facts stand in `details` and are told as they came."""

    code = "server_refused"

    def __init__(self, status: int, told: dict[str, Any]) -> None:
        facts = {name: value for name, value in told.items() if name not in ("message", "self")}
        super().__init__(str(told.get("message")), **{**facts, "status": status})
        self.status = status

    def with_cure(self, cure: str) -> "ServerRefused":
        """Return the same error, its message with what to do instead."""
        return ServerRefused(self.status, {**self.details, "message": f"{self}; {cure}"})


class NoRoom(InsituError):
    """A disk, or what stdout leads to, takes no more: nothing that this program could do otherwise."""

    code = "no_room"

    def __init__(self, reason: str, path: str | None) -> None:
        where = f"{shown(path)} cannot" if path else "no more can"
        super().__init__(f"{where} be written: {reason}; make room, then try again", path=path)


class NotPublishable(InsituError):
    """Redis would refuse the model that a training makes; told before it begins."""

    code = "not_publishable"

    def __init__(self, name: str, refused: InsituError) -> None:
        super().__init__(
            f"nothing is trained, since {shown(name)!r} could not be published: {refused}; or keep it in files with "
            "--no-publish --out DIR",
            model=name,
            **refused.details,
        )


class NotVouched(InsituError):
    """A version to be signed would take over what nobody whose word counts has signed."""

    code = "not_vouched"

    def __init__(self, name: str, version: int, told: str) -> None:
        super().__init__(
            f"nothing is signed: unless it is said, the new version {told} as version {version} of {shown(name)!r}, "
            "which neither this key nor one of INSITU_TRUSTED_KEYS has signed; say --features and --labels (`none` and "
            f"--task tensor for none), or sign that one first: `insitu sign {shown(name)}:{version} --key FILE`",
            model=shown(name),
            version=version,
        )


class StepFailed(InsituError):
    """A command that this one runs ended badly; its exit code is passed on."""

    code = "step_failed"

    def __init__(self, command: str, message: str, ended: int) -> None:
        super().__init__(f"`{command}`: {message}", command=command, exit_code=ended)
        self.ended = ended


class NotInstalled(InsituError):
    """A part of the product is not in this environment."""

    code = "not_installed"

    def __init__(self, extra: str, module: str) -> None:
        super().__init__(
            f"this needs the Python package {module!r}, which is not installed; "
            f"run: pip install 'insitu[{extra}]'",
            extra=extra,
            module=module,
        )


def exit_code(error: InsituError) -> ExitCode:
    """Return how a command ends that met this error."""
    if isinstance(error, WrongUsage | BadName | BadKey):
        return ExitCode.USAGE
    if isinstance(error, RedisUnreachable | ServerUnreachable | RedisUnavailable):
        return ExitCode.UNREACHABLE
    if isinstance(error, ServerRefused) and error.details.get("code") == RedisUnavailable.code:
        return ExitCode.UNREACHABLE
    if isinstance(error, NotInstalled | SigningNotInstalled):
        return ExitCode.NOT_INSTALLED
    if isinstance(error, StepFailed) and error.ended in list(ExitCode)[1:]:
        return ExitCode(error.ended)
    return ExitCode.FAILED


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Import what only an extra brings.

    Raises: NotInstalled, naming the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module in OWN_PACKAGES:
            raise
        raise NotInstalled(extra, module) from error
