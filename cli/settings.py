"""What the command line takes from the environment; the only place of `cli` that reads it."""

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cli.bash_words import typed
from cli.errors import WrongUsage
from models.errors import shown
from models.keys import PREFIX_RULE

PREFIX = "INSITU_"
HEADER_WORD = re.compile(r"[!-~]+")  # what may follow `Bearer `
# Settings whose value no message shows: a token may stand where its SHA-256 should.
SECRET = ("token", "tokens", "key_passphrase")
# What pydantic says of a value, and what a person would.
WORDED = (
    (re.compile(r"^(?:Value error, |Input )"), ""),
    (re.compile(r"^should be a valid integer.*"), "should be a whole number"),
    (re.compile(r"^should be a valid number.*"), "should be a number"),
    (re.compile(r"^should be a valid boolean.*"), "should be true or false"),
    (re.compile(r"^should be greater than or equal to "), "should be at least "),
    (re.compile(r"^should be less than or equal to "), "should be at most "),
    (re.compile(r"^should be greater than "), "should be over "),
    (re.compile(r"^should be less than "), "should be under "),
    (re.compile(r"^String should match pattern .*"), f"should be {PREFIX_RULE}"),  # no other setting has one
)


class Settings(BaseSettings):
    """Where Redis, the server and the data of this user are."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, use_attribute_docstrings=True, extra="ignore"
    )

    redis_url: str | None = None
    """Redis with models and features: redis://, unix://, redis+cluster://, ...; without one the embedded Redis."""
    url: str = "http://127.0.0.1:8000"
    """Address of the server that `insitu predict` asks."""
    token: SecretStr | None = None
    """Token that the server wants; `insitu token` makes one."""
    sign_with: Path | None = None
    """Private key that signs what is published; `insitu key` makes one."""
    key_passphrase: SecretStr | None = None
    """Passphrase of that key; without one it is asked for where somebody can answer."""
    trusted_keys: str | None = None
    """Public keys whose signatures count, as the server's own setting says; commands that load models heed it too."""
    data_dir: Path | None = None
    """Directory of the embedded Redis; without one a directory of this user's."""
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")] = "insitu"
    """First part of every Redis key of the product."""

    @field_validator("token")
    @classmethod
    def _in_a_header(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not HEADER_WORD.fullmatch(token.get_secret_value()):
            raise ValueError(
                "it has characters that no token has; `insitu token` makes one of letters, digits, _ and -"
            )
        return token

    @field_validator("url")
    @classmethod
    def _http_scheme(cls, url: str) -> str:
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError("a server's address begins with http:// or https://")
        url = url.rstrip("/")
        if url.endswith("/v1"):
            raise ValueError("leave /v1 off, the address ends with the port")
        return url


def read_settings(**given: object) -> Settings:
    """Return the settings; what is given, and not None, wins over the environment.

    Raises: WrongUsage, naming the option or variable, its value and the rule.
    """
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**chosen)
    except ValidationError as error:
        raise WrongUsage(explained(error, chosen)) from error


def explained(error: ValidationError, given: Iterable[str]) -> str:
    """Return the first fault of settings as one line: where it was said, the value, the rule."""
    fault = error.errors(include_url=False)[0]
    rule = worded(fault["msg"])
    if not fault["loc"]:
        return rule
    name = str(fault["loc"][0])
    said = option_name(name) if name in given else variable_name(name)
    return f"{said}: {rule}" if name in SECRET else f"{said} is {shown(fault['input'])!r}: {rule}"


def worded(message: str) -> str:
    """Return pydantic's sentence about one value in the words of this product."""
    for theirs, ours in WORDED:
        message = theirs.sub(ours, message)
    return message


def option_name(field: str) -> str:
    """Return the option that sets a field."""
    return "--" + field.replace("_", "-")


def variable_name(field: str) -> str:
    """Return the environment variable that sets a field."""
    return PREFIX + field.upper()


def unknown_environment(fields: Iterable[str]) -> None:
    """Stop on an INSITU_ variable that no field reads: it would be ignored in silence.

    Raises: WrongUsage, naming the variable and the nearest one that exists.
    """
    known = sorted(variable_name(field) for field in {*fields, *Settings.model_fields})
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = get_close_matches(name.upper(), known, n=1, cutoff=0.5)
            cure = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise WrongUsage(f"the environment variable {shown(name)} is not one of insitu's; {cure}")


def decline_telemetry() -> None:
    """Keep ONNX Runtime, which reports its use to its maker on Linux since 1.29, from doing so.

    It reads the variable when it is imported; whoever wants to report can set it to 0.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


COMPLETING = "_INSITU_COMPLETE"  # what the shell sets where it asks for words
BEFORE = "_INSITU_COMPLETE_BEFORE"


def join_at_colons() -> None:
    """Where bash asks for words to complete, put the words together again that it has ended at a colon."""
    if os.environ.get(COMPLETING) != "complete_bash":
        return
    line, cursor = os.environ.get("COMP_WORDS", ""), os.environ.get("COMP_CWORD", "")
    between = "\n" if "\n" in line else " "
    if cursor.isdecimal():
        found = typed(line.split(between)[: int(cursor) + 1])
        os.environ |= {"COMP_WORDS": between.join(found.words), "COMP_CWORD": str(len(found.words) - 1)}
        os.environ[BEFORE] = found.before


def kept_by_bash() -> str:
    """Return what of the word that is being typed bash keeps, up to a colon, and wants none of back."""
    return os.environ.get(BEFORE, "")


RAY = {
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",  # it would end this process before what it started is ended
    "RAY_ENABLE_AUTO_CONNECT": "0",  # what is asked of a Ray that was ended would start another
    "RAY_USAGE_STATS_ENABLED": "0",
}


def quiet_ray() -> None:
    """Have Ray say nothing, report its use to nobody and leave signals alone; it reads this when it is imported.

    Whoever wants it otherwise sets the variables.
    """
    for name, value in RAY.items():
        os.environ.setdefault(name, value)
