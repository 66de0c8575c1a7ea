"""Commands on the models that are stored: models, promote, rollback, delete."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import ExitCode, WrongUsage
from cli.manual import MODELS, Command
from cli.options import (
    Alias,
    AsJson,
    DataDir,
    ModelName,
    Prefix,
    RedisUrl,
    complete_number,
    complete_reference,
    complete_version,
    named_version,
)
from cli.settings import Settings, read_settings
from cli.terminal import Terminal
from models.errors import VersionInUse, VersionNotFound

if TYPE_CHECKING:
    from models.store import ModelStore

Job = Callable[["ModelStore"], Coroutine[Any, Any, Any]]

Reference = Annotated[
    str,
    typer.Argument(
        metavar="VERSION",
        help="Version number, or an alias that stands for one.",
        autocompletion=complete_reference,
    ),
]


def with_store(settings: Settings, job: Job, *, signs: bool = False) -> Any:
    """Open the store, do one job with it, close it, and return what the job returned."""
    from cli.connection import opened

    async def work() -> Any:
        async with opened(settings, signs=signs) as store:
            return await job(store)

    return asyncio.run(work())


def models(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME[:VERSION]]",
            help="One model, or one version or alias of it.",
            show_default=False,
            autocompletion=complete_version,
        ),
    ] = None,
    *,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
) -> None:
    """Show the stored models, one model, or one version of it."""
    from cli import listing

    settings = read_settings(redis_url=redis_url, data_dir=data_dir, prefix=prefix)
    terminal = Terminal(as_json=as_json)
    name, reference = ("", "") if model is None else named_version(model, ", or nothing for all of them")
    if not name:
        listing.show_models(terminal, with_store(settings, listing.every_model))
    elif not reference:
        listing.show_model(terminal, with_store(settings, lambda store: listing.one_model(store, name)))
    else:
        found = with_store(settings, lambda store: listing.one_version(store, name, reference))
        listing.show_version(terminal, *found)


def promote(
    name: ModelName,
    version: Reference,
    *,
    alias: Alias = "production",
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
) -> None:
    """Point an alias to a version; every server switches to it between two requests."""

    async def job(store: "ModelStore") -> int:
        return await store.promote(name, await store.resolve(name, version), alias)

    settings = read_settings(redis_url=redis_url, data_dir=data_dir, prefix=prefix)
    moved(Terminal(as_json=as_json), name, alias, with_store(settings, job))


def rollback(
    name: ModelName,
    *,
    alias: Alias = "production",
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
) -> None:
    """Point an alias back to the version before."""
    settings = read_settings(redis_url=redis_url, data_dir=data_dir, prefix=prefix)
    version = with_store(settings, lambda store: store.rollback(name, alias))
    moved(Terminal(as_json=as_json), name, alias, version)


def moved(terminal: Terminal, name: str, alias: str, version: int) -> None:
    """Say where an alias points now."""
    if terminal.as_json:
        terminal.emit({"model": name, "alias": alias, "version": version})
    else:
        terminal.say(f"{name}: {alias} is version {version}")


def delete(
    name: ModelName,
    version: Annotated[
        int, typer.Argument(metavar="VERSION", min=1, help="Version number.", autocompletion=complete_number)
    ],
    *,
    with_aliases: Annotated[
        bool,
        typer.Option(
            "--with-aliases", help="Take the aliases that point to it away too, production and shadow alike."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
) -> None:
    """Delete a version for good; refused while an alias or traffic leads to it.

    A shadow is an alias too. Where production goes with --with-aliases the traffic rule ends with it; otherwise a
    version with a share keeps its aliases: end the rule with `insitu traffic NAME --clear`, or set one without it.
    """
    settings = read_settings(redis_url=redis_url, data_dir=data_dir, prefix=prefix)
    terminal = Terminal(as_json=as_json)
    if not yes:
        # Nobody is asked about what cannot be done.
        with_store(settings, lambda store: check_deletable(store, name, version, with_aliases=with_aliases))
        confirm(terminal, f"Delete version {version} of {name} for good?")
    with_store(settings, lambda store: store.delete(name, version, with_aliases=with_aliases))
    if terminal.as_json:
        terminal.emit({"model": name, "deleted": version})
    else:
        terminal.say(f"{name}: version {version} is deleted")


async def check_deletable(store: "ModelStore", name: str, version: int, *, with_aliases: bool) -> None:
    """Stop where a version is not stored, or has an alias or a share of the traffic that is not to go.

    Raises: BadName, ModelNotFound, VersionNotFound, VersionInUse, BadTraffic, RedisUnavailable,
            RedisRefused.
    """
    from models.store import PRODUCTION

    versions = await store.versions(name)
    if version not in versions:
        raise VersionNotFound(name, version, versions)
    pointing = sorted(alias for alias, means in (await store.aliases(name)).items() if means == version)
    rule = await store.traffic(name)
    shared = rule is not None and version in rule.weights
    if (pointing and not with_aliases) or (shared and not (with_aliases and PRODUCTION in pointing)):
        raise VersionInUse(name, version, pointing, shared)


def confirm(terminal: Terminal, question: str) -> None:
    """Ask, where somebody can answer.

    Raises: WrongUsage, nobody is there to answer; typer.Exit, code 1, the answer is no.
    """
    import sys

    if not sys.stdin.isatty() or terminal.as_json:
        raise WrongUsage("nobody can be asked here; add --yes to go on without a question")
    if not typer.confirm(question, err=True):
        terminal.note("nothing was changed")
        raise typer.Exit(ExitCode.FAILED)


COMMANDS = (
    Command(
        MODELS,
        models,
        ("insitu models", "insitu models breast_cancer", "insitu models breast_cancer:production --json"),
        "0 shown; 1 no such model, version or alias",
    ),
    Command(
        MODELS,
        promote,
        (
            "insitu promote breast_cancer 3",
            "insitu promote breast_cancer 4 --alias canary",
            "insitu promote breast_cancer canary",
        ),
        "0 the alias points there; 1 no such model or version",
    ),
    Command(
        MODELS,
        rollback,
        ("insitu rollback breast_cancer", "insitu rollback breast_cancer --alias canary"),
        "0 the alias points to the version before; 1 there is none",
    ),
    Command(
        MODELS,
        delete,
        ("insitu delete breast_cancer 2", "insitu delete breast_cancer 2 --yes --json"),
        "0 deleted; 1 no such version, or an alias or traffic leads to it",
    ),
)
