"""Files are whole or not there, whoever was killed meanwhile, and hold what the graph gave."""

import csv
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.bundle import Bundle
from models.errors import BadRequest
from models.jobs import JobSpec, ToField
from server.batch.places import check_new
from server.batch.targets import parquet_files
from server.batch.targets.target import PartName
from tests.graphs import FLOAT, bundle, f32, numbered, passed
from tests.integration.server.batch.cases import AT, CLASSES, JOB, NUMBERS, PART, SEVERAL, VIEW, Rows, nothing

KINDS = pytest.mark.parametrize("kind", ["parquet", "csv"])
ODD = ["k:1", 'k:"a",b', "k:\u00e9\r\nx", "k:'; DROP"]


def read(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of either kind, numbers as numbers."""
    if path.suffix == ".parquet":
        return list(pq.read_table(path).to_pylist())
    with path.open(encoding="utf-8", newline="") as file:
        rows: list[dict[str, Any]] = [*csv.DictReader(file)]
    for row in rows:
        row["version"] = int(row["version"])
        row["time"] = datetime.fromisoformat(row["time"])
        row.update({name: float(row[name]) for name in row.keys() & {"value", "probability"}})
    return rows


def files(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}


@KINDS
@pytest.mark.parametrize("by_row", [False, True])
async def test_a_file_has_what_the_graph_gives(tmp_path: Path, kind: str, by_row: bool) -> None:
    path = tmp_path / f"out.{kind}"
    rows, more = Rows(CLASSES, by_row=by_row, count=4), Rows(CLASSES, by_row=by_row, first=4)
    rows.keys = ODD
    target = rows.target(nothing, kind=kind, path=str(path))

    await target.write(PartName("1700-10"), more.scored)
    await target.write(PartName("1700-9"), rows.scored)
    assert not path.exists()
    await target.finish()

    found = read(path)
    shares = np.concatenate([rows.output, more.output])
    assert [row["key"] for row in found] == [*ODD, *more.keys]
    assert [row["label"] for row in found] == [CLASSES.manifest.labels[at] for at in shares.argmax(axis=1)]
    assert f32([row["probability"] for row in found]).tolist() == shares.max(axis=1).tolist()
    assert {(row["version"], row["time"]) for row in found} == {(1, datetime.fromtimestamp(AT, UTC))}
    assert files(tmp_path) == {path.name}


async def test_the_columns_of_parquet_have_types(tmp_path: Path) -> None:
    target = Rows(CLASSES).target(nothing, kind="parquet", path=str(tmp_path / "out.parquet"))

    await target.finish()

    assert pq.read_schema(tmp_path / "out.parquet") == pa.schema(
        {
            "key": pa.string(),
            "label": pa.string(),
            "probability": pa.float32(),
            "version": pa.int64(),
            "time": pa.timestamp("us", tz="UTC"),
        }
    )


async def test_csv_is_as_the_rfc_says(tmp_path: Path) -> None:
    rows = Rows(NUMBERS, count=2)
    rows.keys = ["k:1", 'k:"a",b']
    target = rows.target(nothing, kind="csv", path=str(tmp_path / "out.csv"))

    await target.write(PART, rows.scored)
    await target.finish()

    first, second = rows.output[:, 0]
    assert (tmp_path / "out.csv").read_bytes().decode() == (
        "key,value,version,time\r\n"
        f"k:1,{first!s},1,2027-01-15T08:00:00.250Z\r\n"
        f'"k:""a"",b",{second!s},1,2027-01-15T08:00:00.250Z\r\n'
    )


@KINDS
@pytest.mark.parametrize("outputs", [False, True])
async def test_what_has_no_column_of_its_own_is_written_as_json(
    tmp_path: Path, kind: str, outputs: bool
) -> None:
    path, rows = tmp_path / f"out.{kind}", Rows(NUMBERS if outputs else SEVERAL, outputs=outputs)
    target = rows.target(nothing, kind=kind, path=str(path))

    await target.write(PART, rows.scored)
    await target.finish()

    found = read(path)
    assert [*found[0]] == ["key", "version", "time", "answer"]
    answers = [json.loads(row["answer"]) for row in found]
    said = [answer["outputs"]["y"] if outputs else answer["forecast"] for answer in answers]
    assert f32(said).tolist() == rows.output.tolist()


@KINDS
async def test_a_part_done_again_takes_its_own_place(tmp_path: Path, kind: str) -> None:
    path, rows, more = tmp_path / f"out.{kind}", Rows(NUMBERS), Rows(NUMBERS, first=100)
    mine = rows.target(nothing, kind=kind, path=str(path))
    other = rows.target(nothing, kind=kind, path=str(path))

    await mine.write(PART, rows.scored)
    await other.write(PartName("1700-1"), more.scored)
    await other.write(PART, rows.scored)
    await mine.finish()

    assert [row["key"] for row in read(path)] == rows.keys + more.keys


@KINDS
async def test_parts_of_earlier_walks_count_no_more(tmp_path: Path, kind: str) -> None:
    path, rows, more = tmp_path / f"out.{kind}", Rows(NUMBERS), Rows(NUMBERS, first=100)
    target = rows.target(nothing, kind=kind, path=str(path))

    await target.write(PartName("1700-0", walk=9), rows.scored)
    await target.write(PartName("1700-1", walk=10), more.scored)
    await target.finish()

    assert [row["key"] for row in read(path)] == more.keys


async def test_many_parts_are_joined_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_files, "GROUP_ROWS", 50)
    target = Rows(NUMBERS).target(nothing, kind="parquet", path=str(tmp_path / "out.parquet"))
    parts = [Rows(NUMBERS, first=100 * number) for number in range(12)]

    for number, rows in enumerate(parts):
        await target.write(PartName(f"1700-{number}"), rows.scored)
    await target.finish()

    with pq.ParquetFile(tmp_path / "out.parquet") as file:
        assert file.metadata.num_rows == 240
        assert max(file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)) <= 60
    assert [row["key"] for row in read(tmp_path / "out.parquet")] == [
        key for one in parts for key in one.keys
    ]


class Killed(BaseException):
    """The process is gone."""


def dies(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, calls: int) -> None:
    """Let a function of the file system be the last thing that happens, before its n-th call is done."""
    true: Callable[..., Any] = getattr(place, name)
    left = calls

    def last(*arguments: Any, **said: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        return true(*arguments, **said)

    monkeypatch.setattr(place, name, last)


STEPS = [
    (os, "fsync", 0),
    (os, "fsync", 1),
    (os, "fsync", 2),
    (Path, "replace", 0),
    (Path, "replace", 1),
    (Path, "rename", 0),
    (Path, "unlink", 0),
    (Path, "unlink", 1),
    (shutil, "rmtree", 0),
]


@KINDS
@pytest.mark.parametrize("step", STEPS)
async def test_whoever_is_killed_while_finishing_is_gone_on_from(
    tmp_path: Path, kind: str, step: tuple[Any, str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, rows = tmp_path / f"out.{kind}", Rows(NUMBERS)
    target = rows.target(nothing, kind=kind, path=str(path))
    await target.write(PART, rows.scored)
    await target.write(PartName("1700-1"), Rows(NUMBERS, first=50).scored)
    with monkeypatch.context() as patch:
        dies(patch, *step)
        with pytest.raises(Killed):
            await target.finish()

    again = rows.target(nothing, kind=kind, path=str(path))
    for _ in range(2):
        await again.finish()

    assert len(read(path)) == 40
    assert files(tmp_path) == {path.name}


@KINDS
async def test_whoever_is_killed_while_writing_leaves_no_half_part(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, rows = tmp_path / f"out.{kind}", Rows(NUMBERS)
    target = rows.target(nothing, kind=kind, path=str(path))
    with monkeypatch.context() as patch:
        dies(patch, os, "fsync", 0)
        with pytest.raises(Killed):
            await target.write(PART, rows.scored)

    again = rows.target(nothing, kind=kind, path=str(path))
    await again.write(PartName("1700-1"), rows.scored)
    await again.finish()

    assert [row["key"] for row in read(path)] == rows.keys


@KINDS
async def test_a_part_that_comes_late_changes_nothing(tmp_path: Path, kind: str) -> None:
    path, rows = tmp_path / f"out.{kind}", Rows(NUMBERS)
    target = rows.target(nothing, kind=kind, path=str(path))
    await target.write(PART, rows.scored)
    await target.finish()
    before = path.read_bytes()

    await target.write(PART, rows.scored)
    await target.finish()

    assert path.read_bytes() == before
    assert files(tmp_path) == {path.name}


@KINDS
async def test_a_row_without_one_number_is_refused(tmp_path: Path, kind: str) -> None:
    wide = numbered(bundle(passed(FLOAT, ["rows", "width"]), view=VIEW, task="regression", output="y"))
    rows = Rows(wide, count=2)
    target = rows.target(nothing, kind=kind, path=str(tmp_path / "out"))

    refused = await target.write(PART, rows.scored)

    assert {key: error.code for key, error in refused.items()} == {
        "k:0": "not_a_number",
        "k:1": "not_a_number",
    }


@KINDS
def test_a_file_that_is_there_is_not_written_over(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    path.write_text("mine")

    with pytest.raises(BadRequest, match="out' exists; give another path, or remove it"):
        Rows(NUMBERS).target(nothing, kind=kind, path=str(path))

    assert path.read_text() == "mine"
    assert files(tmp_path) == {"out"}


@KINDS
@pytest.mark.parametrize("there", [True, False])
async def test_a_job_that_is_done_leaves_the_file_that_it_completed(
    tmp_path: Path, kind: str, there: bool
) -> None:
    path = tmp_path / "out"
    if there:
        path.write_text("completed")

    await Rows(NUMBERS).target(nothing, replace(JOB, done=True), kind=kind, path=str(path)).finish()

    assert files(tmp_path) == ({"out"} if there else set())
    assert not there or path.read_text() == "completed"


@KINDS
async def test_a_job_that_is_done_completes_the_file_that_it_had_not(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    rows = Rows(NUMBERS)
    await rows.target(nothing, kind=kind, path=str(path)).write(PART, rows.scored)

    await rows.target(nothing, replace(JOB, done=True), kind=kind, path=str(path)).finish()

    assert files(tmp_path) == {"out"}


@KINDS
@pytest.mark.parametrize("other", ["job", "version", "label"])
def test_parts_of_another_job_are_not_taken(tmp_path: Path, kind: str, other: str) -> None:
    path = str(tmp_path / "out")
    Rows(CLASSES).target(nothing, kind=kind, path=path)
    later = Bundle(CLASSES.manifest.model_copy(update={"version": 2}), CLASSES.onnx)
    rows = Rows(later if other == "version" else CLASSES, label="low" if other == "label" else None)

    with pytest.raises(BadRequest, match=r"holds parts of job .*; remove the folder"):
        rows.target(nothing, replace(JOB, name="two") if other == "job" else JOB, kind=kind, path=path)

    Rows(CLASSES).target(nothing, kind=kind, path=path)


@KINDS
def test_a_job_that_cannot_begin_is_refused_before_it_does(tmp_path: Path, kind: str) -> None:
    path, manifest = tmp_path / "out", CLASSES.manifest
    spec = JobSpec.model_validate({"model": "m", "to": [{"kind": kind, "path": str(path)}]})
    field = spec.model_copy(update={"to": (*spec.to, ToField(field="a"))})

    check_new(spec, manifest)
    with pytest.raises(BadRequest, match="reads as a feature; choose another name than 'a'"):
        check_new(field, manifest)
    assert files(tmp_path) == set()

    Rows(CLASSES).target(nothing, kind=kind, path=str(path))
    with pytest.raises(
        BadRequest, match="parts of job 'nightly', which its command with --resume goes on with"
    ):
        check_new(spec, manifest)
    (tmp_path / "out.parts" / "job").unlink()
    check_new(spec, manifest)
    path.touch()
    with pytest.raises(BadRequest, match="out' exists; give another path"):
        check_new(spec, manifest)


@KINDS
def test_a_folder_that_is_not_there_is_named(tmp_path: Path, kind: str) -> None:
    with pytest.raises(BadRequest, match="cannot be written: No such file or directory"):
        Rows(NUMBERS).target(nothing, kind=kind, path=str(tmp_path / "no" / "out"))


@KINDS
async def test_parts_that_somebody_removed_are_missed(tmp_path: Path, kind: str) -> None:
    rows = Rows(NUMBERS)
    target = rows.target(nothing, kind=kind, path=str(tmp_path / "out"))
    await target.write(PART, rows.scored)
    shutil.rmtree(tmp_path / "out.parts")

    with pytest.raises(BadRequest, match="cannot be written: No such file"):
        await target.finish()
    with pytest.raises(BadRequest, match="cannot be written: No such file"):
        await target.write(PART, rows.scored)


def test_parquet_without_pyarrow_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(BadRequest, match=r"pip install 'insitu\[batch\]'"):
        Rows(NUMBERS).target(nothing, kind="parquet", path=str(tmp_path / "out"))

    assert files(tmp_path) == set()


@KINDS
async def test_nobody_can_tell_what_a_file_has_before_it_is_whole(tmp_path: Path, kind: str) -> None:
    target = Rows(NUMBERS).target(nothing, kind=kind, path=str(tmp_path / "out"))

    assert await target.present(["k:1"]) is None
