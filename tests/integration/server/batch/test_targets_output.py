"""Answers on standard output, and the list of rows that have none."""

import asyncio
import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.assembly import Plan
from models.errors import BadRequest, KeyMissing, WrongType
from server.batch.answering import Errors
from server.batch.targets.error_list import ErrorList, open_error_list
from server.batch.targets.output import Output
from server.batch.targets.target import PartName
from tests.integration.server.batch.cases import JOB, NUMBERS, PART, Rows, nothing
from tests.integration.server.batch.conftest import Place

ERRORS: Errors = [("k:1", KeyMissing("k:1")), ("k:\u00e9", WrongType("k:\u00e9", "hash"))]
LATER: Errors = [("k:2", KeyMissing("k:2"))]
BAD = PartName("1700-0", keys=["k:0", "k:1", "k:\u00e9", "k:2"])
AGAIN = replace(BAD, again=True)


def opened(place: str, ask: Any = nothing) -> ErrorList:
    assert NUMBERS.manifest.features is not None
    return open_error_list(place, ask, Plan(NUMBERS.manifest.features), JOB)


async def test_an_answer_is_a_line(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    rows = Rows(NUMBERS, count=300)
    target = rows.target(nothing, kind="output")

    await asyncio.gather(*[target.write(PART, rows.scored) for _ in range(3)])
    await target.finish()

    lines = capfdbinary.readouterr().out.splitlines()
    assert lines == rows.scored[0].answers * 3
    assert await target.present(rows.keys) is None


async def test_a_reader_that_left_is_told_of() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with io.FileIO(writing, "w") as pipe, pytest.raises(BrokenPipeError):
        await Output(pipe).write(PART, Rows(NUMBERS).scored)


async def test_bad_rows_are_listed_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "errors.jsonl"

    await opened(str(path)).write(BAD, ERRORS)
    await opened(str(path)).write(PartName("1700-1"), LATER)
    await opened(str(path)).write(PartName("1700-2"), [])

    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [(line["key"], line["code"]) for line in lines] == [
        ("k:1", "key_missing"),
        ("k:\u00e9", "wrong_type"),
        ("k:2", "key_missing"),
    ]
    assert lines[0]["message"] == str(ERRORS[0][1])
    assert lines[0]["time"] > 1_700_000_000


async def test_a_part_done_again_adds_to_a_file_what_is_not_there_yet(tmp_path: Path) -> None:
    path = tmp_path / "errors.jsonl"
    await opened(str(path)).write(BAD, ERRORS)
    await opened(str(path)).write(replace(BAD, entry="1700-1"), ERRORS)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\n") + 20])  # killed within the second line

    for _ in range(2):
        await opened(str(path)).write(AGAIN, [*ERRORS, *LATER])

    first, torn, *more = path.read_bytes().splitlines(keepends=True)
    assert (first, torn.rstrip(b"\n")) == (whole.splitlines(keepends=True)[0], whole.splitlines()[1][:19])
    assert [json.loads(line)["key"] for line in more] == ["k:\u00e9", "k:2"]
    await opened(str(path)).write(replace(AGAIN, walk=1), ERRORS)
    assert len(path.read_bytes().splitlines()) == 6


async def test_half_a_line_harms_no_other(tmp_path: Path) -> None:
    path = tmp_path / "errors.jsonl"
    path.write_bytes(b'{"key":"k:1"}\n{"key":"k:')

    await opened(str(path)).write(PART, ERRORS)

    first, torn, *more = path.read_bytes().splitlines()
    assert (first, torn) == (b'{"key":"k:1"}', b'{"key":"k:')
    assert [json.loads(line)["key"] for line in more] == [key for key, _ in ERRORS]


async def test_bad_rows_are_listed_in_a_stream(place: Place) -> None:
    listing = opened("redis:m:errors", place.ask)

    await listing.write(BAD, ERRORS)
    await listing.write(BAD, [])
    await opened("redis:m:errors", place.ask).write(AGAIN, ERRORS)

    found = [entry for _, entry in place.client.xrange("m:errors")]
    assert [entry[b"key"].decode() for entry in found] == [key for key, _ in ERRORS]
    assert found[0][b"code"] == b"key_missing"
    assert found[0][b"message"].decode() == str(ERRORS[0][1])
    assert found[0][b"part"] == b"0-1700-0"
    assert float(found[0][b"time"]) > 1_700_000_000


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("redis:", "name a stream, as in 'redis:churn:errors'"),
        ("redis:k:1", "reads as features"),
        ("no/such/folder/errors", "cannot be written: No such file or directory"),
        ("/", "cannot be written: Is a directory"),
        ("/dev/null", "is a device or a pipe, which a job cannot go on with; name a file"),
    ],
)
def test_a_list_that_cannot_be_written_is_refused(where: str, told: str) -> None:
    with pytest.raises(BadRequest) as caught:
        opened(where)

    assert told in str(caught.value)


async def test_a_list_of_another_type_is_named(single: Place) -> None:
    single.client.set("m:errors", 1)

    with pytest.raises(BadRequest, match="'m:errors', which is a string and no stream"):
        await opened("redis:m:errors", single.ask).write(BAD, ERRORS)
