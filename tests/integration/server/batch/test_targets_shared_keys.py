"""One hash, sorted set or stream takes the answers of all rows."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import BadRequest
from server.batch.scored import Scored
from tests.graphs import FLOAT, bundle, numbered, passed
from tests.integration.server.batch.cases import CLASSES, JOB, NUMBERS, PART, SEVERAL, VIEW, Rows, nothing
from tests.integration.server.batch.conftest import Place

SHARED = [{"kind": "hash", "key": "all"}, {"kind": "zset", "key": "all"}, {"kind": "stream", "key": "all"}]


async def test_a_hash_has_every_answer(place: Place) -> None:
    rows = Rows(NUMBERS, count=1200)
    target = rows.target(place.ask, kind="hash", key="all")

    for _ in range(2):
        assert await target.write(PART, rows.scored) == {}
    await target.finish()

    found = place.client.hgetall("all")
    assert len(found) == 1200
    for key, value in zip(rows.keys, rows.output[:, 0], strict=True):
        assert np.float32(json.loads(found[key.encode()])["value"]) == value


async def test_a_hash_tells_which_version_answered(place: Place) -> None:
    rows = Rows(NUMBERS, count=3)
    await rows.target(place.ask, kind="hash", key="all").write(PART, rows.scored)
    later = Bundle(NUMBERS.manifest.model_copy(update={"version": 12}), NUMBERS.onnx)

    assert await rows.target(place.ask, kind="hash", key="all").present(["k:0", "k:9"]) == [True, False]
    assert await Rows(later).target(place.ask, kind="hash", key="all").present(["k:0"]) == [False]


async def test_a_sorted_set_ranks_by_the_very_number(place: Place) -> None:
    rows = Rows(CLASSES, count=1200, label="a,b")
    target = rows.target(place.ask, kind="zset", key="top")

    for _ in range(2):
        assert await target.write(PART, rows.scored) == {}
    await target.finish()

    found = dict(place.client.zrange("top", 0, -1, withscores=True))
    assert {key.decode(): score for key, score in found.items()} == {
        key: float(shares[1]) for key, shares in zip(rows.keys, rows.output, strict=True)
    }
    assert await target.present(["k:9999", "k:5"]) == [False, True]


async def test_a_row_without_one_number_is_not_ranked(single: Place) -> None:
    wide = numbered(bundle(passed(FLOAT, ["rows", "width"]), view=VIEW, task="regression", output="y"))
    rows = Rows(wide, count=2)
    (scored,) = rows.scored
    good = Rows(NUMBERS, count=1, first=7).scored

    refused = await rows.target(single.ask, kind="zset", key="top").write(PART, [scored, *good])

    assert {key: error.code for key, error in refused.items()} == {
        "k:0": "not_a_number",
        "k:1": "not_a_number",
    }
    assert single.client.zrange("top", 0, -1) == [b"k:7"]


def entries(place: Place) -> list[dict[str, str]]:
    return [{k.decode(): v.decode() for k, v in entry.items()} for _, entry in place.client.xrange("all")]


async def test_a_part_is_in_a_stream_once_however_often_it_is_written(place: Place) -> None:
    rows, more = Rows(NUMBERS, count=3), Rows(NUMBERS, count=2, first=3)
    both: list[Scored] = [*rows.scored, *more.scored]

    target, other = (rows.target(place.ask, kind="stream", key="all") for _ in range(2))
    for one in (target, other):
        await one.write(PART, both)
        await one.finish()

    found = entries(place)
    assert [one["key"] for one in found] == [f"k:{number}" for number in range(5)]
    answers = [json.loads(one["answer"]) for one in found]
    assert {(one["version"], one["time"]) for one in answers} == {(1, 1800000000.25)}
    values = [np.float32(one["value"]) for one in answers]
    assert values == [*rows.output[:, 0], *more.output[:, 0]]
    assert await target.present(rows.keys) is None


async def test_another_part_walk_or_run_of_a_job_adds_its_own(place: Place) -> None:
    rows = Rows(NUMBERS, count=3)
    others = [replace(PART, entry="1700-1"), replace(PART, walk=1)]
    for part in (PART, *others, *others):
        await rows.target(place.ask, kind="stream", key="all").write(part, rows.scored)
    await rows.target(place.ask, replace(JOB, begun=JOB.begun + 0.001), kind="stream", key="all").write(
        PART, rows.scored
    )
    await rows.target(place.ask, kind="stream", key="else").write(PART, rows.scored)

    assert [one["key"] for one in entries(place)] == rows.keys * 4
    assert place.client.xlen("else") == 3


async def test_a_part_that_was_half_written_is_completed_in_any_order(place: Place) -> None:
    """Whoever had the part died, or is slow and writes beside the one who took it over."""
    rows = Rows(NUMBERS, count=1000)
    half, late = Rows(NUMBERS, count=300), Rows(NUMBERS, count=100, first=900)
    target = rows.target(place.ask, kind="stream", key="all")

    await asyncio.gather(
        target.write(PART, late.scored), target.write(PART, half.scored), target.write(PART, rows.scored)
    )

    found = [one["key"] for one in entries(place)]
    assert sorted(found) == sorted(rows.keys)


async def test_rows_of_one_key_are_all_appended(single: Place) -> None:
    rows = Rows(NUMBERS, count=200)
    twice: list[Scored] = [*rows.scored, *rows.scored]
    part = replace(PART, keys=rows.keys * 2)

    for _ in range(2):
        await rows.target(single.ask, kind="stream", key="all").write(part, twice)

    assert [one["key"] for one in entries(single)] == rows.keys * 2


async def test_what_is_noted_of_a_stream_expires_and_lies_in_its_slot(place: Place) -> None:
    rows = Rows(NUMBERS, count=300)
    for key in ("all", "a{b}c", "}{", "{}", "\u00e9 {"):
        await rows.target(place.ask, kind="stream", key=key).write(PART, rows.scored)
        notes = JOB.notes(key)
        assert place.client.xlen(key) == 300
        assert place.client.hgetall(notes) == {b"0-1700-0": b"\xff" * 37 + b"\x0f"}
        assert 7 * 86_400 - 60 < place.client.ttl(notes) <= 7 * 86_400


async def test_a_stream_is_kept_short(single: Place) -> None:
    rows = Rows(NUMBERS, count=2000)

    await rows.target(single.ask, kind="stream", key="all", max_entries=500).write(PART, rows.scored)

    assert 500 <= single.client.xlen("all") < 700
    assert entries(single)[-1]["key"] == "k:1999"


@pytest.mark.parametrize("spec", SHARED)
async def test_a_key_of_another_type_is_named_with_its_type(place: Place, spec: dict[str, Any]) -> None:
    rows = Rows(NUMBERS)
    place.client.rpush("all", 1)

    with pytest.raises(
        BadRequest, match=r"would go to 'all', which is a list and no (hash|sorted set|stream)"
    ):
        await rows.target(place.ask, **spec).write(PART, rows.scored)
    if spec["kind"] != "stream":
        with pytest.raises(BadRequest, match="is a list"):
            await rows.target(place.ask, **spec).present(rows.keys)


@pytest.mark.parametrize("spec", SHARED)
def test_a_key_that_is_read_as_features_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match=r"would go to 'k:1', which 'k:{id}' reads as features"):
        Rows(NUMBERS).target(nothing, **{**spec, "key": "k:1"})


@pytest.mark.parametrize("outputs", [False, True])
def test_answers_without_a_number_are_not_ranked(outputs: bool) -> None:
    rows = Rows(NUMBERS if outputs else SEVERAL, outputs=outputs)

    with pytest.raises(BadRequest, match="have no single number to rank rows by in sorted set 'top'"):
        rows.target(nothing, kind="zset", key="top")


@pytest.mark.parametrize("spec", [*SHARED, {"kind": "string"}, {"kind": "field", "field": "score"}])
async def test_a_part_without_rows_writes_nothing(single: Place, spec: dict[str, Any]) -> None:
    rows = Rows(NUMBERS)
    none = Scored.of_rows(rows.manifest, rows.ranking, [], 0)

    assert await rows.target(single.ask, **spec).write(PART, [none]) == {}

    assert single.client.dbsize() == 0
