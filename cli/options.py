"""Options that several commands share, so that they are spelt and explained alike; completion of what is stored."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import WrongUsage
from cli.settings import kept_by_bash, read_settings
from models.errors import InsituError, shown

if TYPE_CHECKING:
    from models.store import ModelStore

COMPLETION_SECONDS = 0.5


def in_time(question: "Callable[[ModelStore], Awaitable[list[str]]]", incomplete: str) -> list[str]:
    """Return the words that begin as typed; none when Redis is slow or away, or knows no such model."""
    from cli.connection import opened  # before the clock runs: it takes a while to import

    async def ask() -> list[str]:
        async with asyncio.timeout(COMPLETION_SECONDS), opened(read_settings()) as store:
            return await question(store)

    try:
        words = asyncio.run(ask())
    except (InsituError, TimeoutError):
        return []
    return [word for word in words if word.startswith(incomplete)]


def named_version(text: str, or_else: str = "") -> tuple[str, str]:
    """Return the model and the version or alias, empty where there is none, of NAME or NAME:VERSION.

    Raises: WrongUsage; `or_else` is what else may be written.
    """
    name, _, reference = text.partition(":")
    if not name:
        raise WrongUsage(f"{shown(text)!r} names no model; write NAME or NAME:VERSION{or_else}")
    return name, reference


def complete_model(incomplete: str) -> list[str]:
    """Return the model names that begin as typed."""
    return in_time(lambda store: store.names(), incomplete)


def complete_version(incomplete: str) -> list[str]:
    """Return the model names that begin as typed, behind a colon the aliases and versions of the model before it."""
    before = kept_by_bash()
    name, colon, _ = (before + incomplete).rpartition(":")
    if not colon:
        return complete_model(incomplete)

    async def named(store: "ModelStore") -> list[str]:
        return [f"{name}:{word}".removeprefix(before) for word in await references(store, name)]

    return in_time(named, incomplete)


def complete_reference(context: typer.Context, incomplete: str) -> list[str]:
    """Return the aliases and versions that begin as typed, of the model that the line names before."""
    return in_time(lambda store: references(store, named_before(context)), incomplete)


def complete_alias(context: typer.Context, incomplete: str) -> list[str]:
    """Return the aliases that begin as typed, of the model that the line names before."""
    return [word for word in complete_reference(context, incomplete) if not word.isdecimal()]


def complete_number(context: typer.Context, incomplete: str) -> list[str]:
    """Return the versions that begin as typed, the newest first, of the model that the line names before."""
    return [word for word in complete_reference(context, incomplete) if word.isdecimal()]


def named_before(context: typer.Context) -> str:
    """Return the model of a line that is being typed, empty where it names none yet.

    Where an option waits for its value the line cannot be parsed, and its words stand in `args`.
    """
    return context.params.get("name") or next(iter(context.args), "")


async def references(store: "ModelStore", name: str) -> list[str]:
    """Return the aliases of a model, then its versions, the newest first.

    Raises: BadName, ModelNotFound, RedisUnavailable.
    """
    versions = await store.versions(name)
    return [*sorted(await store.aliases(name)), *map(str, sorted(versions, reverse=True))]


AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to stdout, and nothing else.")]
Reference = Annotated[
    str | None,
    typer.Option(
        "--version",
        metavar="N|ALIAS",
        help="Version number or alias; production when not given.",
        autocompletion=complete_reference,
    ),
]
Keys = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY]...", help="Keys as they lie in Redis.", show_default=False),
]
Instances = Annotated[
    str | None,
    typer.Option(
        "--instances",
        metavar="JSON|@FILE",
        help="Rows with placeholder and inline values: a list of objects; @- reads standard input.",
    ),
]
Inputs = Annotated[
    str | None,
    typer.Option(
        "--inputs", metavar="JSON|@FILE", help="Tensors by input name, as nested lists; @- as above."
    ),
]
Missing = Annotated[
    str | None,
    typer.Option("--missing", metavar="JSON", help="What stands in for an absent value: 0, or {field: 0}."),
]
RedisUrl = Annotated[
    str | None,
    typer.Option(
        "--redis-url",
        metavar="URL",
        show_default=False,
        help="Redis with the models: redis://, rediss:// (TLS), unix://, redis+sentinel:// or redis+cluster://. "
        "Without one, the embedded Redis that runs. Environment: INSITU_REDIS_URL.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        show_default=False,
        help="Directory of the embedded Redis; by default one of this user's. Environment: INSITU_DATA_DIR.",
    ),
]
SignWith = Annotated[
    Path | None,
    typer.Option(
        "--sign-with",
        metavar="KEY",
        show_default=False,
        help="Private key, of `insitu key`, that signs the version. Environment: INSITU_SIGN_WITH.",
    ),
]
Prefix = Annotated[
    str | None,
    typer.Option(
        "--prefix",
        metavar="TEXT",
        show_default=False,
        help="First part of the product's Redis keys; by default insitu. Environment: INSITU_PREFIX.",
    ),
]
ServerUrl = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        show_default=False,
        help="Address of the server; by default http://127.0.0.1:8000. Environment: INSITU_URL.",
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TEXT",
        show_default=False,
        help="Token the server wants. Better in the environment: INSITU_TOKEN.",
    ),
]
ModelName = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Name of the model.", autocompletion=complete_model),
]
Alias = Annotated[
    str,
    typer.Option("--alias", metavar="ALIAS", help="The alias that moves.", autocompletion=complete_alias),
]
