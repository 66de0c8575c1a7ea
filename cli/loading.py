"""load: the rows of a recipe's file, or its ready data set, into the keys that its view reads."""

import asyncio
from typing import Annotated

import typer

from cli.errors import needs
from cli.manual import MODELS, Command
from cli.options import AsJson, DataDir, RedisUrl
from cli.settings import read_settings
from cli.terminal import Terminal
from cli.training import checked_url, complete_recipe, folder_of, load_rows, read_recipe


def load(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help="Ready recipe or YAML file.",
            show_default=False,
            autocompletion=complete_recipe,
        ),
    ],
    *,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace keys that hold something else.")
    ] = False,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Put a recipe's rows into Redis, under the keys that its model is asked for."""
    settings = read_settings(redis_url=redis_url, data_dir=data_dir)
    read, folder = read_recipe(recipe), folder_of(recipe)
    terminal = Terminal(as_json=as_json)
    settings = settings.model_copy(update={"redis_url": checked_url(settings)})
    with needs("trainer"):
        from cli.training_view import TrainingView
    with TrainingView(Terminal(), read.name) as view:
        loaded = asyncio.run(load_rows(read, settings, view, folder, overwrite=overwrite))
    if as_json:
        terminal.emit({"rows": loaded.rows, "written": loaded.written, "key": read.rows.text})
        return
    terminal.say(f"{loaded.rows} rows lie at {read.rows.text}, {loaded.written} keys were written", "strong")


COMMANDS = (
    Command(
        MODELS,
        load,
        (
            "insitu load breast_cancer",
            "insitu load ./churn.yaml",
            "insitu load ./churn.yaml --overwrite",
        ),
        "0 every row lies in Redis; 1 a key holds something else, and nothing was written",
    ),
)
