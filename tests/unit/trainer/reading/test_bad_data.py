"""What is wrong with rows is told before anything is trained: what, where, the value, the cure."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.errors import BadRecipe, InsituError
from tests.unit.trainer.reading.written import CHURN, CHURN_CSV, IMAGES, WALKS, changed, csv, parquet
from trainer.errors import BadData, NotEnoughRows, TooManyBadRows
from trainer.events import StageBegan
from trainer.run import Place, train

Pairs = tuple[tuple[str, str], ...]
Write = Callable[[Path], object]
HEAD = "id,age,plan,left\n"
ROWS = HEAD + "".join(f"{n},{n},{('free', 'paid')[n % 2]},{n % 3 // 2}\n" for n in range(30))
NPZ: Pairs = (("source: parquet, path: images.parquet", "source: numpy, path: images.npz"),)
WALKS_NPZ: Pairs = (("source: parquet, path: walks.parquet", "source: numpy, path: walks.npz"),)
PIXELS = np.zeros((2, 2, 2))


def text(content: str) -> Write:
    return lambda folder: csv(folder, content)


def raw(content: bytes, name: str = "churn.csv") -> Write:
    return lambda folder: (folder / name).write_bytes(content)


def table(name: str = "images.parquet", **columns: Any) -> Write:
    return lambda folder: parquet(folder, columns, name)


def arrays(name: str = "images.npz", **named: Any) -> Write:
    return lambda folder: np.savez(folder / name, **named)


def function(body: str, name: str) -> tuple[Pairs, Write]:
    def write(folder: Path) -> None:
        (folder / f"{name}.py").write_text(body)

    return (("source: parquet, path: images.parquet", f"source: python, function: {name}:load"),), write


def one_array(folder: Path) -> None:
    np.save(folder / "images.npy", PIXELS)
    (folder / "images.npy").rename(folder / "images.npz")


def split_by(how: str) -> Pairs:
    return (("labels:", f"split: {{{how}}}\nlabels:"),)


CSV_CASES: list[tuple[Pairs, Write, type[InsituError], str]] = [
    (
        (),
        lambda _: None,
        BadData,
        r"churn\.csv is not there; data\.path is seen from the recipe's own folder",
    ),
    (
        (),
        lambda folder: (folder / "churn.csv").mkdir(),
        BadData,
        r"is no file but a directory; name one file",
    ),
    ((), raw(b""), BadData, r"churn\.csv is empty"),
    ((), text(HEAD), BadData, r"churn\.csv has no rows"),
    ((), text("1,2,free,0\n"), BadData, r"begins with data, not with the names of its columns"),
    ((), text(HEAD.replace("age", "left") + "1,2,free,0\n"), BadData, r"has two columns 'left'; rename one"),
    (
        (),
        text(CHURN_CSV.replace("age", "aeg")),
        BadData,
        r"no column 'age', which the view reads; did you mean 'aeg'\?",
    ),
    (
        (),
        text(CHURN_CSV.replace("left", "gone")),
        BadData,
        r"no column 'left' for the target; it has id, age, plan, gone",
    ),
    (
        (),
        text(CHURN_CSV.replace(",", ";")),
        BadData,
        r"has one column, .* between ','; set data\.separator: ';'",
    ),
    (
        (),
        text(CHURN_CSV + "10,5,free\n"),
        BadData,
        r"cannot be read as CSV: .*Expected 4 columns, got 3: 10,5,free; give every row as many cells",
    ),
    (
        (),
        raw(CHURN_CSV.encode().replace(b"free", b"\xff\xfe")),
        BadData,
        r"cannot be read as CSV: .*UTF8 data; save it as UTF-8",
    ),
    (
        (),
        raw(CHURN_CSV.encode().replace(b"age", b"\xff")),
        BadData,
        r"can't decode byte .*; save it as UTF-8",
    ),
    ((), raw(CHURN_CSV.encode("utf-16")), BadData, r"as CSV: it is UTF-16, not UTF-8; save it as UTF-8$"),
    ((), raw(gzip.compress(CHURN_CSV.encode())[:40], "churn.csv.gz"), BadData, "cannot be read"),
    (
        (),
        text(CHURN_CSV.replace("20.5", "much")),
        TooManyBadRows,
        r"1 not_a_number.* churn\.csv, row 2: column 'age' holds 'much', which is not a float32 number",
    ),
    ((), text(CHURN_CSV.replace("20.5", "nan")), TooManyBadRows, r"row 2: column 'age' holds 'nan'"),
    ((), text(CHURN_CSV.replace("20.5", "inf")), TooManyBadRows, r"row 2: column 'age' holds 'inf'"),
    ((), text(CHURN_CSV.replace("20.5", "1e99")), TooManyBadRows, r"row 2: column 'age' holds '?1e\+?99"),
    ((), text(CHURN_CSV.replace("20.5", "1_000")), TooManyBadRows, r"row 2: column 'age' holds '1_000'"),
    (
        (),
        text(CHURN_CSV.replace("20.5", "")),
        TooManyBadRows,
        r"row 2: column 'age' is empty; fill it, or give the field a default",
    ),
    (
        (),
        text(CHURN_CSV.replace("paid", "gold")),
        TooManyBadRows,
        r"row 2: column 'plan' holds 'gold', which is none of: free, paid",
    ),
    (
        (),
        text(CHURN_CSV.replace("paid,1", "paid,yes")),
        TooManyBadRows,
        r"row 2: the target of 'customer:8' is 'yes', which is none of the recipe's labels \(0, 1\)",
    ),
    (
        (),
        text(CHURN_CSV.replace("paid,1", "paid,")),
        TooManyBadRows,
        r"row 2: column 'left' is empty; it is the target",
    ),
    (
        (),
        text(CHURN_CSV.replace("8,20.5", "a:b,20.5")),
        TooManyBadRows,
        r"row 2: 'id' is 'a:b'; a placeholder of 'customer:\{id\}'",
    ),
    (
        (),
        text(CHURN_CSV.replace("8,20.5", "7,20.5")),
        BadData,
        r"rows 1 and 2 have the same key 'customer:7'",
    ),
    ((), text(CHURN_CSV), NotEnoughRows, "there are 3 usable rows, training needs 10 or more"),
    (
        (),
        text(ROWS.replace(",1\n", ",0\n")),
        NotEnoughRows,
        "every row has the label 'stays': there is nothing to tell apart",
    ),
    (
        (),
        text(HEAD + "".join(f"{n},{n},free,{int(n == 3)}\n" for n in range(30))),
        NotEnoughRows,
        "the label 'leaves' has 1 rows, it needs 3",
    ),
    (
        (("customer:{id}", "customer:{id}:{day}"),),
        text(CHURN_CSV),
        BadData,
        r"no column 'day', a placeholder of the rows' key",
    ),
    (split_by("group: clinic"), text(ROWS), BadData, r"no column 'clinic' for split"),
    (
        split_by("group: plan"),
        text(ROWS),
        NotEnoughRows,
        "plan has 2 different values, 3 parts need one each",
    ),
    (
        split_by("time: plan"),
        text(ROWS),
        TooManyBadRows,
        r"row 1: column 'plan' is 'free', no time: write a number or",
    ),
    (
        split_by("part: plan"),
        text(ROWS),
        TooManyBadRows,
        r"row 1: column 'plan' is 'free'; a part is train, validation or test",
    ),
    (
        split_by("time: when"),
        text(CHURN_CSV.replace("left\n", "left,when\n").replace("0\n", "0,\n").replace("1\n", "1,5\n")),
        TooManyBadRows,
        r"row 1: column 'when' is empty; it parts the rows",
    ),
    (
        (("as: hash, fields: [age, {name: plan, categories: [free, paid]}]", "as: vector, shape: [2]"),),
        text(CHURN_CSV),
        BadData,
        r"no column 'x', which 'customer:\{id\}' is read from; name it: data\.columns",
    ),
    (
        (
            ("as: hash, fields: [age, {name: plan, categories: [free, paid]}]", "as: vector, shape: [2]"),
            ("path: churn.csv", 'path: churn.csv, columns: {"customer:{id}": "p_*"}'),
        ),
        text(CHURN_CSV),
        BadData,
        r"no column like 'p_\*'",
    ),
]
PARQUET_CASES: list[tuple[Pairs, Write, type[InsituError], str]] = [
    ((), raw(b"PAR1 and no more", "images.parquet"), BadData, r"images\.parquet cannot be read as Parquet"),
    (
        (),
        table(image=pa.array([[1, 2], [1, 2, 3, 4]]), y=[0, 1]),
        TooManyBadRows,
        r"row 1: column 'image' holds 2 numbers, the view wants 4",
    ),
    (
        (),
        table(image=pa.array([[1, 2, 3, 4], None]), y=[0, 1]),
        TooManyBadRows,
        r"row 2: column 'image' is empty",
    ),
    (
        (),
        table(image=pa.array([[1, 2, 3, 4], [1, 2, None, 4]]), y=[0, 1]),
        TooManyBadRows,
        r"row 2: element 2 of column 'image' holds 'nan'",
    ),
    (
        (),
        table(image=pa.array([[1.0, 2, 3, 4], [1, 2, np.inf, 4]]), y=[0, 1]),
        TooManyBadRows,
        r"row 2: element 2 of column 'image' holds 'inf'",
    ),
    (
        (),
        table(image=pa.array([b"1234", b"123"]), y=[0, 1]),
        TooManyBadRows,
        r"row 2: column 'image' holds 3 numbers",
    ),
    (
        (),
        table(image=pa.array([["a"], ["b"]]), y=[0, 1]),
        BadData,
        r"column 'image' is list<.*>, not a number of 'image:\{id\}' nor a list",
    ),
    (
        (),
        table(image=[[1, 2, 3, 4]], y=pa.array([[1]])),
        BadData,
        r"column 'y' is list<.*>; the target is a number or a text",
    ),
]
ARRAY_CASES: list[tuple[Pairs, Write, type[InsituError], str]] = [
    (
        NPZ,
        raw(b"not a zip", "images.npz"),
        BadData,
        r"images\.npz cannot be read: it is no \.npz file, or is cut off",
    ),
    (NPZ, arrays(image=PIXELS), BadData, r"images\.npz has no column 'y' for the target; it has image"),
    (NPZ, arrays(image=PIXELS, y=np.zeros(3)), BadData, r"different numbers of rows: image has 2, y has 3"),
    (
        NPZ,
        arrays(image=np.zeros((2, 3, 3)), y=[0, 1]),
        BadData,
        r"array 'image' has rows of shape \[3, 3\], the view's are \[2, 2\]",
    ),
    (
        NPZ,
        arrays(image=np.full((2, 2, 2), np.nan), y=[0, 1]),
        TooManyBadRows,
        r"row 1: element 0 of the array 'image' holds 'nan'",
    ),
    (
        NPZ,
        arrays(image=np.array([{}, {}], object), y=[0, 1]),
        BadData,
        "it holds Python objects, which are not read",
    ),
    (NPZ, arrays(image=PIXELS, y=np.array(1)), BadData, "the array 'y' is one value; make it an array"),
    (NPZ, arrays(image=PIXELS.astype(complex), y=[0, 1]), BadData, "the array 'image' is of complex128"),
    (NPZ, one_array, BadData, r"is one array; write an \.npz: np\.savez"),
    (
        WALKS_NPZ,
        arrays("walks.npz", x=np.zeros((2, 3, 2)), y=[0.0, 1]),
        BadData,
        "has no array 'x_length' of whole numbers",
    ),
    (
        WALKS_NPZ,
        arrays("walks.npz", x=np.zeros((2, 3, 2)), x_length=[1, 4], y=[0.0, 1]),
        TooManyBadRows,
        r"row 2: x_length is 4; a row has 1 to 3 steps",
    ),
    (*function("", "bad_a"), BadData, r"the module bad_a has no function 'load'"),
    (*function("def lode(): ...", "bad_b"), BadData, r"has no function 'load'; did you mean 'lode'\?"),
    (*function("import nowhere_at_all", "bad_c"), BadData, r"bad_c cannot be imported \(ModuleNotFoundError"),
    (
        *function("def load():\n    raise OSError('no disk')", "bad_d"),
        BadData,
        r"bad_d:load raised OSError: no disk",
    ),
    (
        *function("def load(): return 3", "bad_e"),
        BadData,
        r"returned int; return a mapping of names to arrays, or \(x, y\)",
    ),
    (
        *function("def load(): return {'image': [[1], [2, 3]], 'y': [0, 1]}", "bad_f"),
        BadData,
        "the array 'image' is ragged; give every row as many numbers",
    ),
    (*function("def load(): return {}", "bad_g"), BadData, "bad_g:load has no columns"),
]
Case = tuple[str, Pairs, Write, type[InsituError], str]
CASES: list[Case] = [
    *((CHURN, *case) for case in CSV_CASES),
    *((IMAGES, *case) for case in PARQUET_CASES),
    *((WALKS if case[0] is WALKS_NPZ else IMAGES, *case) for case in ARRAY_CASES),
]


@pytest.mark.parametrize("case", CASES, ids=[str(number) for number in range(len(CASES))])
def test_bad_rows_are_told_before_anything_is_trained(tmp_path: Path, case: Case) -> None:
    recipe, pairs, write, kind, said = case
    write(tmp_path)
    packed = (("churn.csv", "churn.csv.gz"),) if (tmp_path / "churn.csv.gz").exists() else ()
    begun: list[object] = []

    with pytest.raises(kind, match=said) as caught:
        train(changed(recipe, *pairs, *packed), None, begun.append, Place(tmp_path))

    assert "\n" not in str(caught.value)
    assert [one.stage for one in begun if isinstance(one, StageBegan)] == ["read"]


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ((("path: churn.csv, ", ""),), "line 3: data.path is missing"),
        ((("path: churn.csv", "pth: churn.csv"),), "data has no key 'pth'; did you mean 'path'?"),
        ((("source: csv", "source: cvs"),), "data.source: 'cvs' is not known; did you mean 'csv'?"),
        ((("source: csv, ", ""),), "its kind is missing"),
        ((("source: csv", "source: parquet, separator: ';'"),), "data has no key 'separator'"),
        (
            (("path: churn.csv", "path: churn.csv, separator: ab"),),
            "data.separator: should have at most 1 character",
        ),
        ((("{column: left}", "{colum: left}"),), "data.target has no key 'colum'; did you mean 'column'?"),
        (
            (("{column: left}", "{column: age}"),),
            "is 'age', which is the target as well; a network would be told what it shall say",
        ),
        (
            (("path: churn.csv", "path: churn.csv, max_rows: 0"),),
            "data.max_rows: should be greater than or equal to 1",
        ),
        (
            (("path: churn.csv", 'path: churn.csv, columns: {"customer:{id}": a}'),),
            "is for 'customer:{id}', which is no vector, list or stream of the view",
        ),
        (
            (("source: csv, path: churn.csv", "source: python, function: load"),),
            "data.function is 'load'; write package.module:function",
        ),
        (split_by("group: a, time: b"), "split parts rows by group and by time; choose one"),
        (split_by("key: 'customer:{id}'"), "split.key names a hash but no field of it"),
        (split_by("key: 'customer:{id}', group: a"), "split.key is for rows in Redis"),
        (split_by("folds: 1"), "split.folds: should be greater than or equal to 2 (got 1)"),
        ((("task: classification", "task: forecasting"),), "needs shape: how many steps are to come"),
        ((('labels: {"0": stays, "1": leaves}', 'labels: {"0": stays}'),), "labels name 1 classes"),
    ],
)
def test_a_fault_of_the_recipe_itself_is_told_with_its_line(pairs: Pairs, said: str) -> None:
    with pytest.raises(BadRecipe) as caught:
        changed(CHURN, *pairs)

    assert said in str(caught.value)
    assert "recipe, line " in str(caught.value)
