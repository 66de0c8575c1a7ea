"""Rows of a table as instances: typed as the view reads them, and a table that does not fit is refused at once."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import BadRequest
from server.batch.parts import Part
from server.batch.sources.tables import STEP_BYTES, STEP_VALUES
from tests.unit.server.batch.walking import instances_in, rows_of, steps_of

FIELDS = [{"name": "hour", "default": 0}, "amount", {"name": "country", "categories": ["DE", "FR"]}]
VIEW = {
    "inputs": [
        {
            "name": "x",
            "sources": [
                {"key": "customer:{id}", "as": "hash", "fields": ["age"]},
                {"inline": True, "fields": FIELDS},
            ],
        }
    ]
}
LISTS = {"inputs": [{"name": "x", "sources": [{"inline": True, "fields": [{"name": "v", "shape": [2, 2]}]}]}]}


def csv(tmp_path: Path, text: str) -> Path:
    (tmp_path / "rows.csv").write_text(text)
    return tmp_path / "rows.csv"


def parquet(tmp_path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


async def test_cells_of_csv_become_what_the_view_reads(tmp_path: Path) -> None:
    path = csv(
        tmp_path,
        "id,amount,country,hour\n007,1.5,DE,3\n8,-2e3,FR,\n,x,nan,nan\n9,1_0,,18446744073709551616\n",
    )

    assert rows_of(await steps_of(instances_in(path, VIEW))) == [
        {"id": "007", "amount": 1.5, "country": "DE", "hour": 3},
        {"id": "8", "amount": -2000.0, "country": "FR"},
        {"amount": "x", "country": "nan", "hour": "nan"},
        {"id": "9", "amount": "1_0", "hour": 18446744073709551616.0},
    ]


async def test_columns_of_parquet_keep_their_types(tmp_path: Path) -> None:
    country = pa.array(["DE", "FR", None]).dictionary_encode()
    amount = [1.5, float("nan"), float("inf")]
    path = parquet(tmp_path, id=[7, 8, None], amount=amount, country=country, hour=[1, None, 1])

    rows = rows_of(await steps_of(instances_in(path, VIEW)))

    assert rows == [
        {"id": 7, "amount": 1.5, "country": "DE", "hour": 1},
        {"id": 8, "amount": "nan", "country": "FR"},
        {"amount": "inf", "hour": 1},
    ]
    assert list(Part.unpacked(Part((), rows).packed()).instances) == rows


async def test_nested_lists_of_parquet_stay_lists(tmp_path: Path) -> None:
    rows = [[[1.0, 2.0], [3.0, 4.0]], None, [[float("nan"), 0.0], [0.0, 0.0]]]
    path = parquet(tmp_path, v=rows)

    assert rows_of(await steps_of(instances_in(path, LISTS))) == [
        {"v": rows[0]},
        {},
        {"v": [["nan", 0.0], [0.0, 0.0]]},
    ]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
async def test_many_rows_are_taken_up_from_any_step_on(tmp_path: Path, kind: str) -> None:
    count = 10_000
    if kind == "csv":
        lines = "".join(f"{number},{number}.5,DE\n" for number in range(count))
        path = csv(tmp_path, "id,amount,country\n" + lines)
    else:
        path = parquet(tmp_path, id=range(count), amount=[0.5] * count, country=["DE"] * count)
    source = instances_in(path, VIEW)

    steps = await steps_of(source)

    assert [int(row["id"]) for row in rows_of(steps)] == list(range(count))
    assert max(len(step.part) for step in steps) <= 4096
    assert steps[-1].share == 1.0
    assert source.strict
    for taken in range(1, len(steps) + 1):
        rest = await steps_of(source, steps[taken - 1].position)
        assert rows_of(steps[:taken]) + rows_of(rest) == rows_of(steps)


async def test_rows_of_long_lists_or_texts_come_few_at_a_time(tmp_path: Path) -> None:
    count, width = 300, 1024
    lists = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(count * width, dtype=np.float32)), width)
    view = {
        "inputs": [{"name": "x", "sources": [{"inline": True, "fields": [{"name": "v", "shape": [width]}]}]}]
    }
    source = instances_in(parquet(tmp_path, v=lists, unread=["x" * 9000] * count), view)

    steps = await steps_of(source)

    assert [row["v"][0] for row in rows_of(steps)] == list(range(0, count * width, width))
    assert len(steps[0].part) * width == STEP_VALUES
    assert rows_of(await steps_of(source, steps[0].position)) == rows_of(steps[1:])

    fields = {"inline": True, "fields": ["word"]}
    text = {"inputs": [{"name": "x", "dtype": "string", "sources": [fields]}]}
    words = [f"{at}" * 20_000 for at in range(100, 190)]
    steps = await steps_of(instances_in(parquet(tmp_path, word=words), text))
    assert [row["word"] for row in rows_of(steps)] == words
    assert max(sum(map(len, (row["word"] for row in rows_of([step])))) for step in steps) <= STEP_BYTES


async def test_a_row_that_is_larger_than_a_step_comes_alone(tmp_path: Path) -> None:
    lists = pa.FixedSizeListArray.from_arrays(
        pa.array(np.zeros(2 * (STEP_VALUES + 1), np.float32)), STEP_VALUES + 1
    )
    fields = [{"name": "v", "shape": [STEP_VALUES + 1]}]
    view = {"inputs": [{"name": "x", "sources": [{"inline": True, "fields": fields}]}]}

    steps = await steps_of(instances_in(parquet(tmp_path, v=lists), view))

    assert [len(step.part) for step in steps] == [1, 1, 0]


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("ID,amount,country", "no column 'id', which the model needs; is 'ID' meant"),
        ("amount,country", "no column 'id', which the model needs; its columns are amount, country"),
        ("id,amuont,country", "no column 'amount', which the model needs; is 'amuont' meant"),
    ],
)
async def test_a_column_that_is_needed_is_named(tmp_path: Path, header: str, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        await steps_of(instances_in(csv(tmp_path, header + "\n" + "1," * header.count(",") + "1\n"), VIEW))


@pytest.mark.parametrize("missing", [0.0, {"amount": 1.0, "country": "DE"}])
async def test_what_has_a_stand_in_is_not_needed(tmp_path: Path, missing: Any) -> None:
    path = csv(tmp_path, "id\n1\n")

    assert rows_of(await steps_of(instances_in(path, VIEW, missing))) == [{"id": "1"}]


async def test_columns_that_are_not_read_are_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = csv(tmp_path, "id,amount,country,name,mail\n1,2,DE,x,y\n")

    with caplog.at_level(logging.WARNING):
        rows = rows_of(await steps_of(instances_in(path, VIEW)))

    assert rows == [{"id": "1", "amount": 2, "country": "DE"}]
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: the model does not read the columns name, mail"
    ]


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"id": [7.0]}, "column 'id' of .* holds double, the model reads text or integers there"),
        ({"id": [b"7"]}, "column 'id' of .* holds binary, the model reads text or integers there"),
        ({"amount": ["1"]}, "column 'amount' of .* holds string, the model reads numbers there"),
        ({"country": [1]}, "column 'country' of .* holds int64, the model reads text there"),
    ],
)
async def test_a_type_that_does_not_fit_is_refused(tmp_path: Path, columns: dict[str, Any], why: str) -> None:
    path = parquet(tmp_path, **{"id": [7], "amount": [1.0], "country": ["DE"]} | columns)

    with pytest.raises(BadRequest, match=why):
        await steps_of(instances_in(path, VIEW))


async def test_a_column_of_nothing_fits_everything(tmp_path: Path) -> None:
    path = parquet(tmp_path, id=[7], amount=pa.nulls(1), country=["DE"])

    assert rows_of(await steps_of(instances_in(path, VIEW))) == [{"id": 7, "country": "DE"}]


async def test_lists_are_not_read_from_csv(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="the model reads lists there, which CSV has not; use Parquet"):
        await steps_of(instances_in(csv(tmp_path, "v\n1\n"), LISTS))


async def test_numbers_where_lists_belong_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="holds double, the model reads lists of numbers or text there"):
        await steps_of(instances_in(parquet(tmp_path, v=[1.0]), LISTS))


async def test_a_table_of_which_nothing_is_read_is_refused(tmp_path: Path) -> None:
    view = {"inputs": [{"name": "x", "sources": [{"inline": True, "fields": FIELDS[:1]}]}]}

    with pytest.raises(
        BadRequest, match="has no column that the model reads; it reads hour, the file has day"
    ):
        await steps_of(instances_in(csv(tmp_path, "day\n1\n"), view))


def test_a_file_without_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"names end in .csv or .parquet, not from 'rows.txt'"):
        instances_in("rows.txt", VIEW)


async def test_text_of_an_input_of_text_stays_text(tmp_path: Path) -> None:
    fields = {"inline": True, "fields": ["word"]}
    view = {"inputs": [{"name": "x", "dtype": "string", "sources": [fields]}]}

    rows = rows_of(await steps_of(instances_in(csv(tmp_path, "word\n007\n"), view)))

    assert orjson.dumps(rows) == b'[{"word":"007"}]'
