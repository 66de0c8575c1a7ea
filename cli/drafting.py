"""new: a commented recipe from rows that nobody has described yet, in a file or in Redis."""

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import WrongUsage, needs
from cli.manual import MODELS, Command
from cli.options import AsJson, DataDir, RedisUrl
from cli.settings import Settings, read_settings
from cli.terminal import Terminal, count_text
from models.errors import shown
from models.keys import check_name

if TYPE_CHECKING:
    from trainer.drafting.draft import Draft
    from trainer.drafting.look import Looked

NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def new(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="CSV, Parquet or .npz file of rows.", show_default=False),
    ] = None,
    *,
    target: Annotated[
        str, typer.Option("--target", "-t", metavar="NAME", help="Column or field that shall be predicted.")
    ],
    match: Annotated[
        str | None,
        typer.Option("--match", metavar="PATTERN", help="Keys in Redis that are the rows: 'patient:*'."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", "-n", metavar="NAME", help="Name of the model; by default the file's or keys'."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="YAML", help="File to write; by default NAME.yaml.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Write a commented recipe for a file of rows, or for keys in Redis; it trains as it is."""
    if (file is None) == (match is None):
        raise WrongUsage("name a file, or keys in Redis with --match 'patient:*'; one of them")
    settings = read_settings(redis_url=redis_url, data_dir=data_dir)
    called = check_name(name) if name else name_after(stem(file) if file else str(match).split(":")[0])
    path = out or Path(f"{called}.yaml")
    check_free(path, force=force)
    with needs("trainer"):
        from trainer.drafting.draft import drafted
        from trainer.drafting.recipe_text import recipe_text
    looked = look(file, match, target, called, settings)
    if file is not None:
        looked.source["path"] = seen_from(path, file)
    draft = drafted(looked)
    write(path, recipe_text(draft))
    show(Terminal(as_json=as_json), path, draft)


def name_after(text: str) -> str:
    """Return a name for a model of a file or of keys: what no name may have becomes `_`."""
    return NOT_IN_A_NAME.sub("_", text).strip("._-") or "model"


def stem(file: Path) -> str:
    """Return a file's name without its ends."""
    return file.name.split(".")[0]


def check_free(path: Path, *, force: bool) -> None:
    """Refuse a file that is there.

    Raises: WrongUsage.
    """
    if path.exists() and not force:
        raise WrongUsage(f"{shown(str(path))} is there already; --force writes over it, --out names another")


def look(file: Path | None, match: str | None, target: str, name: str, settings: Settings) -> "Looked":
    """Look at the rows.

    Raises: BadData, NoRows, RedisUnreachable.
    """
    from trainer.drafting.look import look_at_file
    from trainer.drafting.look_redis import look_at_redis
    from trainer.errors import BadData

    if file is not None:
        if not file.exists():
            raise BadData(f"{shown(str(file))} is not there; name a file of rows as it is seen from here")
        return look_at_file(file, target, name)

    async def ask() -> "Looked":
        from cli.connection import opened

        async with opened(settings) as store:
            return await look_at_redis(store.redis, str(match), target, name)

    return asyncio.run(ask())


def seen_from(recipe: Path, file: Path) -> str:
    """Return a file's path as the recipe's folder sees it, whole where it lies elsewhere."""
    try:
        return str(file.resolve().relative_to(recipe.resolve().parent))
    except ValueError:
        return str(file.resolve())


def write(path: Path, text: str) -> None:
    """Write a recipe that reads as one.

    Raises: WrongUsage, the file cannot be written; BadRecipe.
    """
    from models.recipe import Recipe

    Recipe.parse(text, path.name)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise WrongUsage(f"{shown(str(path))} cannot be written: {error.strerror}") from error


def show(terminal: Terminal, path: Path, draft: "Draft") -> None:
    """Tell what was found, what of it is not learned from, and what to do next."""
    rows, inputs = draft.looked.rows, draft.inputs
    if terminal.as_json:
        told = {"recipe": str(path), "rows": rows, "inputs": inputs, "left_out": dict(draft.left_out)}
        terminal.emit(told | {"rows_left_out": draft.bad_note})
        return
    terminal.say(
        f"{path} is written: {count_text(rows, 'row')}, {count_text(inputs, 'column')} to learn from",
        "strong",
    )
    for name, reason in draft.left_out:
        terminal.say(f"  left out  {name}: {reason}")
    if draft.bad_note:
        terminal.say(f"  left out  rows: {draft.bad_note}")
    terminal.say(f"next: insitu train {path}", "command")
    if draft.looked.source["source"] != "redis":
        terminal.say(
            f"  insitu train {path} --load puts the rows into Redis too, to be predicted by key", "quiet"
        )


COMMANDS = (
    Command(
        MODELS,
        new,
        (
            "insitu new churn.csv --target left",
            "insitu new rows.parquet --target price --out prices.yaml",
            "insitu new images.npz --target y",
            "insitu new --match 'patient:*' --target diagnosis",
        ),
        "0 the recipe is written; 1 the rows are refused",
    ),
)
