"""Keys in a column of CSV or Parquet: every one is found, from any step on, and a wrong file is named."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import BadRequest
from server.batch.sources import gathering, in_tables, tables
from tests.unit.server.batch.walking import instances_in, keys_in, keys_of, steps_of

Write = Callable[[list[str]], Path]
KEYS = [f"k:{number}" for number in range(1000)]
WANTED = [key.encode() for key in KEYS]


@pytest.fixture(params=["csv", "parquet"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    """A factory: a file with the column `txn`, another before it."""

    def csv(keys: list[str]) -> Path:
        path = tmp_path / "keys.csv"
        path.write_text("amount,txn\n" + "".join(f"{at},{key}\n" for at, key in enumerate(keys)))
        return path

    def parquet(keys: list[str]) -> Path:
        path = tmp_path / "keys.parquet"
        table = pa.table({"amount": range(len(keys)), "txn": [key or None for key in keys]})
        pq.write_table(table, path, row_group_size=37)
        return path

    return csv if request.param == "csv" else parquet


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (gathering, in_tables, tables):
        monkeypatch.setattr(module, "STEP_ROWS", 50, raising=False)
    monkeypatch.setattr(gathering, "ENOUGH_ROWS", 25)
    monkeypatch.setattr(tables, "BLOCK_BYTES", 2048)


@pytest.mark.usefixtures("small")
async def test_every_key_is_found_from_any_step_on(write: Write) -> None:
    source = keys_in(write(KEYS), "txn")

    steps = await steps_of(source)

    assert keys_of(steps) == WANTED
    assert max(len(step.part) for step in steps) <= 50
    assert [step.share for step in steps] == sorted(step.share for step in steps)
    assert steps[-1].share == 1.0
    assert not any(step.anew for step in steps)
    assert source.strict
    for taken in range(1, len(steps) + 1):
        rest = await steps_of(source, steps[taken - 1].position)
        assert keys_of(steps[:taken]) + keys_of(rest) == WANTED


@pytest.mark.usefixtures("small")
async def test_a_file_that_was_changed_is_read_anew(write: Write) -> None:
    part_way = (await steps_of(keys_in(write(KEYS), "txn")))[3]

    path = write(KEYS[:-1])
    os.utime(path, ns=(1, 1))
    rest = await steps_of(keys_in(path, "txn"), part_way.position)

    assert rest[0].anew
    assert keys_of(rest) == WANTED[:-1]


async def test_empty_cells_are_passed_over(write: Write) -> None:
    assert keys_of(await steps_of(keys_in(write(["k:1", "", "k:2"]), "txn"))) == [b"k:1", b"k:2"]


async def test_no_rows_are_one_empty_step(write: Write) -> None:
    assert [(len(one.part), one.share) for one in await steps_of(keys_in(write([]), "txn"))] == [(0, 1.0)]


async def test_a_column_that_is_not_there_is_named_with_those_that_are(write: Write) -> None:
    with pytest.raises(BadRequest, match=r"has no column 'key'; its columns are amount, txn"):
        await steps_of(keys_in(write(KEYS), "key"))
    with pytest.raises(BadRequest, match=r"name the one that holds the keys; its columns are amount, txn"):
        await steps_of(keys_in(write(KEYS)))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("key", ["k:\0", "k" * 1025])
async def test_a_row_that_is_no_key_is_named(write: Write, key: str) -> None:
    with pytest.raises(BadRequest, match=r"row 101 of .*keys"):
        await steps_of(keys_in(write([*KEYS[:100], key]), "txn"))


@pytest.mark.parametrize("name", ["keys.csv", "keys.parquet"])
async def test_a_file_that_is_none_of_its_kind_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"")
    with pytest.raises(BadRequest, match=f"{name} cannot be read as"):
        await steps_of(keys_in(path, "txn"))
    path.write_bytes(b"txn,a\nk:1\nk:2,3,4\n")
    with pytest.raises(BadRequest, match=f"{name} cannot be read as"):
        await steps_of(keys_in(path, "txn"))
    path.unlink()
    with pytest.raises(BadRequest, match=f"{name} is not there"):
        await steps_of(keys_in(path, "txn"))


@pytest.mark.usefixtures("small")
async def test_a_quote_left_open_is_told(tmp_path: Path) -> None:
    (tmp_path / "keys.csv").write_text('txn\n"k:1\n' + "k:2\n" * 2000)

    with pytest.raises(BadRequest, match=r"a row is over 2048 bytes; is a quote left open\?"):
        await steps_of(keys_in(tmp_path / "keys.csv", "txn"))


async def test_columns_parted_by_something_else_are_told(tmp_path: Path) -> None:
    (tmp_path / "keys.csv").write_text("txn;amount\nk:1;3\n")

    with pytest.raises(BadRequest, match="has one column, 'txn;amount': its columns are parted by ';'"):
        await steps_of(keys_in(tmp_path / "keys.csv", "txn"))


async def test_a_column_named_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys.csv").write_text("txn,txn\nk:1,k:2\n")

    with pytest.raises(BadRequest, match="names columns twice: txn"):
        await steps_of(keys_in(tmp_path / "keys.csv", "txn"))


async def test_columns_are_not_read_from_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "keys.csv")

    with pytest.raises(BadRequest, match="is no file but a pipe"):
        await steps_of(keys_in(tmp_path / "keys.csv", "txn"))


async def test_quoted_cells_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    (tmp_path / "keys.csv").write_bytes(b'\xef\xbb\xbftxn,note\r\n"k:1,2","two\nlines"\r\nk:3,x\r\n')

    assert keys_of(await steps_of(keys_in(tmp_path / "keys.csv", "txn"))) == [b"k:1,2", b"k:3"]


@pytest.mark.parametrize("kind", [pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())])
async def test_text_and_bytes_of_parquet_are_keys(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "keys.parquet"
    pq.write_table(pa.table({"txn": pa.array(["k:1", "k:2", "k:1"]).cast(kind)}), path)

    assert keys_of(await steps_of(keys_in(path, "txn"))) == [b"k:1", b"k:2", b"k:1"]


async def test_numbers_are_no_keys(tmp_path: Path) -> None:
    pq.write_table(pa.table({"txn": [1, 2]}), tmp_path / "keys.parquet")

    with pytest.raises(BadRequest, match=r"column 'txn' of .* holds int64, but keys are text"):
        await steps_of(keys_in(tmp_path / "keys.parquet", "txn"))


async def test_without_pyarrow_the_cure_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    view = {"inputs": [{"name": "x", "sources": [{"inline": True, "fields": ["amount"]}]}]}
    for name in ("tables", "in_tables", "instances", "column_types"):
        monkeypatch.delitem(sys.modules, f"server.batch.sources.{name}", raising=False)
        monkeypatch.delattr(f"server.batch.sources.{name}", raising=False)
    path = write(KEYS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    for source in (keys_in(path, "txn"), instances_in(path, view)):
        with pytest.raises(BadRequest, match=r"pyarrow.*pip install 'insitu\[batch\]'"):
            await steps_of(source)
