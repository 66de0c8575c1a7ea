"""Options that say which rows, spelt alike wherever many are read."""

from typing import Annotated

import typer

Match = Annotated[
    str | None,
    typer.Option(
        "--match", metavar="PATTERN", help="Keys that are read; every key the model can read when not given."
    ),
]
KeysFrom = Annotated[
    str | None,
    typer.Option(
        "--keys-from",
        metavar="WHERE",
        help="Keys named in redis:KEY, a set, sorted set, list or stream (redis:KEY#FIELD); in FILE, one a "
        "line; in FILE.csv#COLUMN or FILE.parquet#COLUMN; - is standard input.",
    ),
]
Index = Annotated[
    str | None, typer.Option("--index", metavar="NAME", help="Keys that an index of Redis' search finds.")
]
Query = Annotated[
    str | None,
    typer.Option("--query", metavar="QUERY", help="What --index is asked, as in FT.SEARCH; all by default."),
]
InstancesFile = Annotated[
    str | None,
    typer.Option(
        "--instances",
        metavar="FILE",
        help="Rows as placeholder and inline values: columns of a CSV or Parquet file.",
    ),
]
