"""Options that several commands share, so that they are spelt and explained alike; completion of model names."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from cli.settings import read_settings
from models.errors import InsituError

COMPLETION_SECONDS = 0.5


async def stored_names() -> list[str]:
    """Return the names of the models, from the Redis of the environment."""
    from cli.connection import opened

    async with opened(read_settings()) as store:
        return await store.names()


def complete_model(incomplete: str) -> list[str]:
    """Return the model names that begin as typed; none when Redis is slow or away."""
    try:
        names = asyncio.run(asyncio.wait_for(stored_names(), COMPLETION_SECONDS))
    except (InsituError, TimeoutError):
        return []
    return [name for name in names if name.startswith(incomplete)]


AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to stdout, and nothing else.")]
Reference = Annotated[
    str | None,
    typer.Option("--version", metavar="N|ALIAS", help="Version number or alias; production when not given."),
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
        help="Redis with the models: redis://, rediss:// or unix://. "
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
Alias = Annotated[str, typer.Option("--alias", metavar="ALIAS", help="The alias that moves.")]
