"""import redisai: models and tensors of RedisAI, from its files or the running server, into our layout."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import ExitCode, WrongUsage, needs
from cli.manual import MODELS, Command
from cli.options import AsJson, DataDir, Prefix, RedisUrl
from cli.progress import Work
from cli.settings import Settings, read_settings
from cli.stored import confirm
from cli.terminal import Terminal, count_text
from models.errors import InsituError, shown
from models.patterns import Pattern

if TYPE_CHECKING:
    from cli.importing.inventory import Found, Inventory
    from cli.importing.moving import Mover
    from cli.importing.outcome import Summary
    from cli.importing.source import Source
    from cli.importing.standing import Standing
    from cli.importing.verifying import Asked

GROUP = "import"
DATABASES = 1 << 20
HOST_AND_PORT = re.compile(r"[\w.-]+:\d{1,5}")


class NothingFound(InsituError):
    """No tensor, model or script of RedisAI where one was looked for."""

    code = "nothing_found"


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which keys are imported, and how."""

    source: str
    databases: frozenset[int]
    pattern: Pattern | None
    dry_run: bool
    overwrite: bool
    yes: bool

    def takes(self, found: "Found") -> bool:
        """Whether a key is one of them."""
        if self.databases and found.db not in self.databases:
            return False
        return self.pattern is None or self.pattern.matches(found.key)


def redisai(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="dump.rdb, an AOF file, a directory with an AOF manifest, or the URL of the running RedisAI.",
            show_default=False,
        ),
    ],
    *,
    db: Annotated[
        list[int] | None,
        typer.Option(
            "--db",
            metavar="N",
            min=0,
            max=DATABASES,
            help="Only this database; more than one --db is possible.",
        ),
    ] = None,
    match: Annotated[
        str | None,
        typer.Option("--match", metavar="PATTERN", help="Only keys of this pattern, as in KEYS and SCAN."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read, check and try everything; write nothing.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace keys that hold something else.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before keys are replaced.")] = False,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
) -> None:
    """Move models and tensors out of RedisAI.

    Keys, databases and expiry stay the same. A tensor becomes the string at its key. An ONNX model
    becomes a version in the store, and its key points to it, as AI.MODELSTORE does it. Every model is
    first loaded and run once in a process of its own; when SOURCE is a URL, RedisAI and ONNX Runtime
    answer the same input and the answers are compared. The source is only read. The same command again
    goes on where one was interrupted.
    """
    settings = read_settings(redis_url=redis_url, data_dir=data_dir, prefix=prefix)
    terminal = Terminal(as_json=as_json)
    pattern = None if match is None else Pattern(match.encode("utf-8", "surrogateescape"))
    chosen = Chosen(source, frozenset(db or ()), pattern, dry_run, overwrite, yes)
    with needs("server"):
        import cli.importing.verifying  # noqa: F401  # says at once what is not installed
    from cli.importing.report import show

    summary = asyncio.run(imported(terminal, settings, chosen))
    show(terminal, summary)
    if summary.failed:
        raise typer.Exit(ExitCode.FAILED)


async def imported(terminal: Terminal, settings: Settings, chosen: Chosen) -> "Summary":
    """Find everything, look whether it may be written, and move it.

    Raises: NothingFound, KeysInTheWay; NotAFile, FileDamaged, EncodingUnknown; WrongUsage,
            RedisUnreachable, RedisUnavailable, RedisRefused.
    """
    from cli.connection import opened, redis_url
    from cli.importing.destination import Destination
    from cli.importing.moving import Mover
    from cli.importing.standing import Standing
    from cli.importing.verifying import Verifier

    async with opened_source(chosen.source) as (source, asked), opened(settings, signs=True) as store:
        inventory = await looked(terminal, source)
        found = [one for one in inventory.found if chosen.takes(one)]
        if not found:
            raise nothing(chosen, inventory)
        destination = Destination(store, redis_url(settings), overwrite=chosen.overwrite)
        standing, verifier = Standing(source, destination), Verifier(asked)
        try:
            await compared(terminal, standing, found)
            allow(terminal, standing.others, chosen)
            mover = Mover(source, destination, verifier, chosen.dry_run)
            summary = await moved(terminal, mover, found, standing.same)
        finally:
            await verifier.close()
            await destination.close()
    summary.expired, summary.notes = inventory.expired, inventory.notes
    return summary


@asynccontextmanager
async def opened_source(said: str) -> AsyncIterator[tuple["Source", "Asked | None"]]:
    """Open the files or the running server that is named; the second is who may be asked for answers.

    Raises: WrongUsage, no such file; NotAFile; BadName, RedisUnreachable.
    """
    from cli.importing.files import FileSource
    from cli.importing.live import LiveSource

    if "://" not in said:
        try:
            yield FileSource(Path(said)), None
        except OSError as error:
            like_a_server = HOST_AND_PORT.fullmatch(said)
            cure = f"; for a running server give its URL, redis://{shown(said)}" if like_a_server else ""
            raise WrongUsage(f"{shown(said)} cannot be read: {error.strerror}{cure}") from error
        return
    from cli.connection import check_answer
    from models.connecting import connect

    client = connect(said)
    live = LiveSource(said, client)
    try:
        await check_answer(client, said)
        yield live, live
    finally:
        await live.close()
        await client.aclose()


async def looked(terminal: Terminal, source: "Source") -> "Inventory":
    """Look the source through, with a bar."""
    with Work(terminal, "looking for RedisAI's keys", 1) as work:
        return await source.look(work.update)


async def compared(terminal: Terminal, standing: "Standing", found: "Sequence[Found]") -> None:
    """Look what lies at the keys already, with a bar."""
    with Work(terminal, "comparing with what is there", 1) as work:
        await standing.look(found, work.update)


def allow(terminal: Terminal, others: "Sequence[Found]", chosen: Chosen) -> None:
    """Ask where keys that hold something else are to be replaced.

    Raises: KeysInTheWay; WrongUsage, nobody can be asked; typer.Exit, the answer is no.
    """
    from cli.importing.errors import KeysInTheWay

    if not others:
        return
    if not chosen.overwrite:
        raise KeysInTheWay([one.name for one in others])
    if not chosen.yes and not chosen.dry_run:
        confirm(terminal, f"Replace what lies at {count_text(len(others), 'key')}?")


async def moved(
    terminal: Terminal, mover: "Mover", found: "Sequence[Found]", same: "Set[Found]"
) -> "Summary":
    """Move the keys, with a bar."""
    with Work(terminal, "importing", len(found)) as work:
        return await mover.move(found, same, lambda done, name: work.update(done, len(found), shown(name)))


def nothing(chosen: Chosen, inventory: "Inventory") -> NothingFound:
    """Return why there is nothing to import."""
    live = "://" in chosen.source
    where = "the server" if live else shown(chosen.source)
    if inventory.found:
        databases = sorted({one.db for one in inventory.found})
        return NothingFound(
            f"{where} has {count_text(len(inventory.found), 'key')} of RedisAI, none of them as --match and --db "
            f"want them; they lie in database {', '.join(map(str, databases[:16]))}"
        )
    looked_at = f" among {count_text(inventory.keys, 'key')}" if inventory.keys else ""
    return NothingFound(
        f"{where} has no tensor, model or script of RedisAI{looked_at}; "
        f"is it {'the right server' if live else 'the file of the right server'}?",
        keys=inventory.keys,
    )


COMMANDS = (
    Command(
        MODELS,
        redisai,
        (
            "insitu import redisai /var/lib/redis/dump.rdb --dry-run",
            "insitu import redisai redis://old-host:6379 --redis-url redis://new-host:6379",
            "insitu import redisai /var/lib/redis/appendonlydir --match 'model:*' --overwrite --yes",
        ),
        "0 imported, what cannot be is told; 1 a key could not be imported, or nothing was written",
        group=GROUP,
    ),
)
