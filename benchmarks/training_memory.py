"""How much memory a training takes beside its rows: peak of the process against the float32 table.

    python -m benchmarks.training_memory parquet --rows 1000000
    python -m benchmarks.training_memory redis --rows 1000000 --url unix:///tmp/redis.sock
    python -m benchmarks.training_memory csv --rows 100000 --columns 50

The rows are generated and written first, by another process. The last line is JSON: the peak of the
resident memory over what the process had after a training on a fifth of the rows, in sizes of the table.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv
from redis import Redis

from models.encoding import encoded
from models.recipe import Recipe
from trainer.run import train

PART_ROWS = 10_000
RECIPE = """\
name: wide
task: classification
data: {data}
features:
  inputs:
    - name: x
      sources:
        - {{key: "row:{{id}}", as: hash, fields: [{fields}]}}
labels: ["0", "1"]
network: [standardize, {{linear: 16}}, relu]
training: {{epochs: 1, batch: 4096}}
"""


def names(columns: int) -> list[str]:
    """Return the names of the features."""
    return [f"f{number}" for number in range(columns)]


def part(rows: int, columns: int, seed: int) -> pa.Table:
    """Return some generated rows: 50 measurements with two decimals, the sum of the first two is the label."""
    random = np.random.default_rng(seed)
    values = np.round(random.normal(size=(rows, columns)), 2)
    truth = (values[:, 0] + values[:, 1] > 0).astype(np.int64)
    arrays = [pa.array(values[:, column]) for column in range(columns)]
    return pa.Table.from_arrays([*arrays, pa.array(truth)], names=[*names(columns), "y"])


def write(kind: str, rows: int, columns: int, place: str) -> None:
    """Write generated rows, a part at a time."""
    parts = (part(min(PART_ROWS, rows - start), columns, start) for start in range(0, rows, PART_ROWS))
    if kind == "redis":
        put(parts, place)
        return
    first = part(1, columns, 0)
    if kind == "csv":
        with csv.CSVWriter(place, first.schema) as text:
            for one in parts:
                text.write_table(one)
        return
    with pq.ParquetWriter(place, first.schema) as file:
        for one in parts:
            file.write_table(one)


def put(parts: Iterable[pa.Table], url: str) -> None:
    """Put rows into hashes of text numbers."""
    pool: Any = Redis.from_url(url).connection_pool
    connection, number = pool.get_connection(), 0
    for one in parts:
        commands = []
        for row in one.to_pylist():
            fields = (word for field, value in row.items() for word in (field, repr(value)))
            commands.append(encoded(("HSET", f"row:{number}", *fields)))
            number += 1
        connection.send_packed_command([b"".join(commands)])
        for _ in commands:
            connection.read_response()


def memory_bytes(field: str) -> int:
    """Return a line of what Linux knows of this process: VmRSS is the memory now, VmHWM its peak."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[field].split()[0]) * 1024


def measure(kind: str, rows: int, columns: int, place: str) -> dict[str, float | str]:
    """Train on everything, after a training on a fifth has loaded what any training loads."""
    train(recipe(kind, columns, place, rows // 5), place if kind == "redis" else None)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, began = memory_bytes("VmRSS"), time.monotonic()
    result = train(recipe(kind, columns, place, rows), place if kind == "redis" else None)
    peak, table = memory_bytes("VmHWM") - before, rows * columns * 4
    return {
        "source": kind,
        "rows": rows,
        "columns": columns,
        "table_mib": round(table / 2**20, 1),
        "before_mib": round(before / 2**20, 1),
        "peak_mib": round(peak / 2**20, 1),
        "peak_over_table": round(peak / table, 3),
        "seconds": round(time.monotonic() - began, 1),
        **{f"{stage}_seconds": seconds for stage, seconds in result.outcome.seconds.items()},
    }


def recipe(kind: str, columns: int, place: str, max_rows: int) -> Recipe:
    """Return a recipe for the rows as they were written."""
    redis = 'source: redis, match: "row:*", target: {key: "row:{id}", as: hash, field: y}'
    data = redis if kind == "redis" else f"source: {kind}, path: {place}, target: {{column: y}}"
    text = RECIPE.format(data=f"{{{data}, max_rows: {max_rows}}}", fields=", ".join(names(columns)))
    return Recipe.parse(text)


def main(words: list[str]) -> None:
    """Write rows and measure, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["parquet", "csv", "redis"])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--url", default="")
    parser.add_argument("--step", choices=["write", "measure"])
    parser.add_argument("--place", default="")
    given = parser.parse_args(words)
    if given.step == "write":
        write(given.kind, given.rows, given.columns, given.place)
    elif given.step == "measure":
        sys.stdout.write(json.dumps(measure(given.kind, given.rows, given.columns, given.place)) + "\n")
    else:
        with tempfile.TemporaryDirectory() as folder:
            place = given.url or str(Path(folder) / f"rows.{given.kind}")
            for step in ("write", "measure"):
                command = [sys.executable, "-m", "benchmarks.training_memory", *words]
                subprocess.run([*command, "--step", step, "--place", place], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
