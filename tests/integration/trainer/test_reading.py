"""The same rows from Redis, CSV, Parquet and NumPy; and how much memory a training takes beside them."""

import asyncio
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
from pyarrow import csv
from redis.asyncio import Redis

from benchmarks.training_memory import write
from models.recipe import Recipe, ready_recipe
from trainer.datasets.catalogue import dataset
from trainer.datasets.loading import load_into
from trainer.events import Journal
from trainer.reading.rows import read_rows
from trainer.split import parted, split
from trainer.table import Table

THINGS = """\
name: things
task: classification
data: {source: redis, match: "thing:*", target: {key: "thing:{id}:meta", as: hash, field: y}}
features:
  inputs:
    - {name: x, sources: [{key: "thing:{id}", as: vector, shape: [512]}]}
labels: ["0", "1"]
network: [{linear: 4}]
"""
ROOT = Path(__file__).parents[3]


def in_file(recipe: Recipe, source: str, path: str, column: str) -> Recipe:
    data = {"source": source, "path": path, "target": {"column": column}}
    return Recipe.model_validate(recipe.as_data() | {"data": data})


def by_key(table: Table, name: str) -> dict[str, Any]:
    values = table.inputs[name]
    lengths = values.lengths if values.lengths is not None else [None] * len(table)
    rows = zip(values.x, lengths, table.targets, strict=True)
    return {
        key: (x[:length].tolist(), target) for key, (x, length, target) in zip(table.keys, rows, strict=True)
    }


async def stored(redis: Redis, redis_url: str, name: str) -> Table:
    await load_into(redis, dataset(name))
    return await asyncio.to_thread(read_rows, ready_recipe(name), redis_url, Journal())


@pytest.mark.parametrize("source", ["csv", "parquet"])
async def test_patients_are_the_same_in_a_file_and_in_redis(
    redis: Redis, redis_url: str, tmp_path: Path, source: str
) -> None:
    every = [one.value for (one,) in dataset("breast_cancer").rows() if isinstance(one.value, dict)]
    columns = {name: [row[name] for row in every] for name in every[0]}
    table = pa.table({"id": range(len(every)), **columns})
    path = tmp_path / f"patients.{source}"
    csv.write_csv(table, path) if source == "csv" else pq.write_table(table, path)
    recipe = ready_recipe("breast_cancer")

    read = read_rows(in_file(recipe, source, path.name, "diagnosis"), None, Journal(), tmp_path)

    assert by_key(read, "x") == by_key(await stored(redis, redis_url, "breast_cancer"), "x")


async def test_digits_are_the_same_in_numpy_and_in_redis(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    rows: Any = list(dataset("digits").rows())
    images = np.array([np.frombuffer(image.value, np.uint8).reshape(8, 8) for image, _ in rows])
    labels = np.array([meta.value["label"] for _, meta in rows])
    np.savez(tmp_path / "digits.npz", image=images, label=labels, id=np.arange(len(rows)))

    read = read_rows(
        in_file(ready_recipe("digits"), "numpy", "digits.npz", "label"), None, Journal(), tmp_path
    )

    assert by_key(read, "image") == by_key(await stored(redis, redis_url, "digits"), "image")


async def test_vowels_are_the_same_in_parquet_and_in_redis(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    rows: Any = list(dataset("japanese_vowels").rows())
    steps = [np.frombuffer(b"".join(one.value), "<f4").tolist() for one, _ in rows]
    beside = {name: [meta.value[name] for _, meta in rows] for name in ("speaker", "part")}
    table = pa.table({"id": range(len(rows)), "x": steps, **beside})
    pq.write_table(table, tmp_path / "vowels.parquet")

    recipe = in_file(ready_recipe("japanese_vowels"), "parquet", "vowels.parquet", "speaker")
    read = read_rows(recipe, None, Journal(), tmp_path)

    assert by_key(read, "x") == by_key(await stored(redis, redis_url, "japanese_vowels"), "x")


@pytest.mark.parametrize(("source", "rows", "columns"), [("parquet", 1_000_000, 50), ("csv", 500_000, 100)])
def test_a_training_takes_less_than_twice_the_memory_of_its_rows(
    tmp_path: Path, source: str, rows: int, columns: int
) -> None:
    """Generated rows; what any training takes, however small, is not counted."""
    place = str(tmp_path / f"rows.{source}")
    write(source, rows, columns, place)
    command = [sys.executable, "-m", "benchmarks.training_memory", source, "--step", "measure"]

    done = subprocess.run(
        [*command, "--rows", str(rows), "--columns", str(columns), "--place", place],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert measured["table_mib"] > 76
    assert measured["peak_over_table"] < 2, measured


def test_rows_of_redis_are_in_memory_once(redis_url: str) -> None:
    """Generated vectors; numpy tells tracemalloc of its arrays."""
    rows, width = 20_000, 512
    with redis.Redis.from_url(redis_url) as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(rows):
            pipeline.set(f"thing:{number}", np.full(width, number, "<f4").tobytes())
            pipeline.hset(f"thing:{number}:meta", "y", number % 2)
        pipeline.execute()
    made = Recipe.parse(THINGS)
    tracemalloc.start()
    try:
        table = read_rows(made, redis_url, Journal())
        parted(table, split(table, made))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert table.inputs["x"].x.shape == (rows, width)
    assert peak < 1.7 * table.inputs["x"].x.nbytes
