"""Bytes of many replies become the tensors that the plan makes of them one by one, odd rows left out."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from models import hash_blocks, text_columns, vector_blocks  # noqa: F401  # with pyarrow loaded, few rows are read in columns too
from models.assembly import Plan
from models.blocks import PlanBlocks, supports
from models.features import FeatureView
from models.hash_blocks import HashBlock
from models.replies import after, parsed
from models.tensor_strings import MAGIC, StoredTensor, pack
from tests.unit.models.views import plan

WRONG = "WRONGTYPE Operation against a key holding the wrong kind of value"
NAMES = ["a", "bb", "a longer name", "d"]
CATEGORY = {"name": "c", "categories": ["DE", "FR", ""], "unknown": "FR"}
STRICT = {"name": "s", "categories": ["DE", "FR"]}
TEXTS = [
    "1",
    "-0",
    "0",
    "-0.0",
    "+1",
    "1.",
    ".5",
    "1e5",
    "1e-400",
    "1e39",
    "1e400",
    "nan",
    "inf",
    "-inf",
    " 1",
]
TEXTS += [
    "1_0",
    "0x10",
    "007",
    "true",
    "",
    "-",
    "1e",
    "9007199254740993",
    "255",
    "256",
    "3.7",
    "x\r\n$1\r\n5",
]
TEXTS += [
    "*2\r\n$1\r\na\r\n$1\r\n7\r\n",
    "1" * 99,
    "1" * 100,
    "0." + "1" * 98,
    "DE",
    "FR",
    "é",
    "65504",
    "65520",
]
values = (
    st.sampled_from(TEXTS) | st.floats(width=32, allow_nan=False).map(repr) | st.integers(-300, 300).map(str)
)
Encode = Callable[[Any], bytes]


def encode(reply: Any) -> bytes:
    """Return a reply as Redis sends it."""
    if reply is None:
        return b"$-1\r\n"
    if isinstance(reply, ResponseError):
        return b"-%b\r\n" % str(reply).encode()
    if isinstance(reply, list):
        return b"*%d\r\n%b" % (len(reply), b"".join(map(encode, reply)))
    return b"$%d\r\n%b\r\n" % (len(reply), reply)


def agreed(compiled: Plan, replies: Sequence[Any], sent: Sequence[bytes], wide: bool = False) -> int:
    """Read replies in a block and one by one; rows of the block must be equal, and no fewer than the plain ones."""
    block = PlanBlocks(compiled)
    keys = [f"k:{at}" for at in range(len(replies))]
    live, (own,) = block.keyed(keys)
    block.sources[0].wide = wide
    found = block.sources[0].asked(own, False).read(bytearray(b"".join(sent)))
    feeds, good = block.feeds([found])
    one_by_one = compiled.assemble(compiled.prepare_keys(keys), replies, missing=None)
    assert list(live) == list(range(len(keys)))
    rows = np.flatnonzero(good).tolist()
    assert not set(rows) & set(one_by_one.errors)
    if rows:
        (group,) = one_by_one.groups
        want = group.feeds["x"][[group.rows.index(row) for row in rows]]
        assert feeds["x"].dtype == want.dtype
        np.testing.assert_array_equal(feeds["x"], want)
    return len(rows)


rows_of_hashes = st.lists(
    st.lists(st.none() | values, min_size=4, max_size=4) | st.just(WRONG), min_size=1, max_size=12
)
dtypes = st.sampled_from(["float32", "float64", "float16", "int64", "int8", "uint8", "bool"])


def as_hmget(row: Any) -> Any:
    return (
        ResponseError(row) if isinstance(row, str) else [None if one is None else one.encode() for one in row]
    )


def as_hgetall(row: Any, names: Sequence[str]) -> Any:
    """Return what HGETALL says of the same hash, its fields in any order and others between."""
    reply = as_hmget(row)
    if isinstance(reply, ResponseError):
        return reply
    held = dict(zip(NAMES, reply, strict=True))
    pairs = [(name, held.get(name, b"between")) for name in names]
    return [part for name, value in pairs if value is not None for part in (name.encode(), value)]


@settings(deadline=None, max_examples=150)
@given(rows_of_hashes, dtypes, st.booleans())
def test_hashes_agree_with_the_plan(rows: list[Any], dtype: str, columns: bool) -> None:
    compiled = plan({"key": "k:{id}", "as": "hash", "fields": NAMES}, dtype=dtype)
    replies = [as_hmget(row) for row in rows]

    with without_arrow(not columns):
        agreed(compiled, replies, [*map(encode, replies)])


@settings(deadline=None, max_examples=150)
@given(rows_of_hashes, dtypes, st.data())
def test_whole_hashes_agree_with_the_plan(rows: list[Any], dtype: str, data: st.DataObject) -> None:
    compiled = plan({"key": "k:{id}", "as": "hash", "fields": NAMES}, dtype=dtype)
    orders = st.sampled_from([NAMES, NAMES, NAMES[::-1], ["other", *NAMES], [*NAMES[:2], "w", *NAMES[2:]]])
    sent = [encode(as_hgetall(row, data.draw(orders))) for row in rows]

    with without_arrow(data.draw(st.booleans())):
        agreed(compiled, [as_hmget(row) for row in rows], sent, wide=True)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(values, values, st.sampled_from(["DE", "FR", "XX", "", "é"])), min_size=1, max_size=8)
)
@pytest.mark.parametrize("unknown", [CATEGORY, STRICT], ids=["unknown", "strict"])
def test_categories_agree_with_the_plan(unknown: Mapping[str, Any], rows: list[tuple[str, str, str]]) -> None:
    compiled = plan({"key": "k:{id}", "as": "hash", "fields": ["a", unknown, "b"]})
    replies = [[a.encode(), c.encode(), b.encode()] for a, b, c in rows]

    agreed(compiled, replies, [*map(encode, replies)])


def grouped(replies: Sequence[Any]) -> list[bytes]:
    """Return what comes for vectors that are asked for together."""
    size = vector_blocks.BLOCK_KEYS
    return [encode(replies[at : at + size]) for at in range(0, len(replies), size)]


stored_vectors = (
    st.binary(min_size=8, max_size=8)
    | st.binary(max_size=9)
    | st.sampled_from([b"\x01\x09" + MAGIC, b"12345678\x00\x02" + MAGIC])
    | st.builds(
        lambda dtype, shape, data: pack(StoredTensor(dtype, shape, data)),
        st.sampled_from(["FLOAT", "DOUBLE", "INT32", "UINT8", "BOOL"]),
        st.sampled_from([(1,), (2,), (8,), (2, 4), (1, 2)]),
        st.binary(min_size=8, max_size=8),
    )
)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.none() | stored_vectors, min_size=1, max_size=40)
    | st.tuples(stored_vectors, st.integers(1, 40)).map(lambda one: [one[0]] * one[1]),
    st.sampled_from(
        [
            ("float32", 2),
            ("float64", 1),
            ("int32", 2),
            ("uint8", 8),
            ("bool", 8),
            ("float16", 4),
            ("uint8", 10),
        ]
    ),
    dtypes,
    st.booleans(),
)
def test_vectors_agree_with_the_plan(
    rows: list[bytes | None], stored: tuple[str, int], dtype: str, apart: bool
) -> None:
    source = {"key": "k:{id}", "as": "vector", "dtype": stored[0], "shape": [stored[1]]}
    compiled = plan(source, dtype=dtype)
    sent = [*map(encode, rows)] if apart else grouped(rows)

    agreed(compiled, rows, sent, wide=not apart)


FLOATS = StoredTensor("FLOAT", (2,), np.array([1.5, -2], "<f4").tobytes())
FIRST = {
    "raw": FLOATS.data,
    "a tensor": pack(FLOATS),
    "of another shape": pack(FLOATS._replace(shape=(1, 2))),
}
ODD_VECTORS = [
    None,
    b"short",
    pack(StoredTensor("INT32", (2,), FLOATS.data)),
    pack(StoredTensor("FLOAT", (1,), FLOATS.data[:4])),
    pack(FLOATS)[:-1] + b"\x02",
]


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST)
def test_one_odd_vector_among_many_costs_only_itself(first: bytes, apart: bool) -> None:
    compiled = plan({"key": "k:{id}", "as": "vector", "shape": [2]})
    for odd in ODD_VECTORS:
        for place in (0, 50, 99):
            replies: list[Any] = [first] * 100
            replies[place] = odd
            sent = [*map(encode, replies)] if apart else grouped(replies)

            assert agreed(compiled, replies, sent, wide=not apart) == 99


@pytest.mark.parametrize("apart", [False, True])
def test_vectors_and_tensors_of_several_shapes_are_all_read(apart: bool) -> None:
    compiled = plan({"key": "k:{id}", "as": "vector", "shape": [2]})
    replies = [*FIRST.values()] * 20

    assert (
        agreed(compiled, replies, [*map(encode, replies)] if apart else grouped(replies), wide=not apart)
        == 60
    )


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST)
def test_vectors_of_one_form_are_read_with_no_object_a_row(
    first: bytes, apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_blocks, "parsed", None)  # what makes objects
    compiled = plan({"key": "k:{id}", "as": "vector", "shape": [2]})
    replies = [first] * 700
    sent = [*map(encode, replies)] if apart else grouped(replies)

    assert agreed(compiled, replies, sent, wide=not apart) == 700


@pytest.mark.parametrize("apart", [False, True])
def test_a_tensor_as_long_as_the_raw_vectors_is_none_of_them(apart: bool) -> None:
    compiled = plan({"key": "k:{id}", "as": "vector", "shape": [6]})
    other = pack(StoredTensor("FLOAT", (3,), b"\0" * 12))
    replies = [b"\0" * 24] * 10 + [other] + [b"\1" * 24]

    assert len(other) == 24
    assert (
        agreed(compiled, replies, [*map(encode, replies)] if apart else grouped(replies), wide=not apart)
        == 11
    )
    assert agreed(compiled, [other], [encode(other) if apart else encode([other])], wide=not apart) == 0


class without_arrow:  # noqa: N801  # a context, as functions are
    """Read texts as where pyarrow is not installed."""

    def __init__(self, absent: bool) -> None:
        self._absent, self._was = absent, hash_blocks.arrow

    def __enter__(self) -> None:
        if self._absent:
            hash_blocks.arrow = lambda: False  # type: ignore[assignment]  # as if it were not there

    def __exit__(self, *_error: object) -> None:
        hash_blocks.arrow = self._was


def regular_hashes(count: int) -> list[list[bytes]]:
    return [[b"%d" % at, b"1.5", b"-2", b"0"] for at in range(count)]


@pytest.mark.parametrize("wide", [False, True])
def test_one_odd_hash_among_many_costs_only_itself(wide: bool) -> None:
    compiled = plan({"key": "k:{id}", "as": "hash", "fields": NAMES})
    count = 1000
    for odd in (None, [None] * 4, WRONG, [b"1", b"no number", b"2", b"3"], [b"1", None, b"2", b"3"]):
        for place in (0, 500, count - 1):
            replies: list[Any] = regular_hashes(count)
            replies[place] = ResponseError(odd) if isinstance(odd, str) else odd or replies[place]
            rows = [
                str(one) if isinstance(one, ResponseError) else [v and v.decode() for v in one]
                for one in replies
            ]
            sent = [as_hgetall(row, NAMES) for row in rows] if wide else replies

            assert agreed(compiled, replies, [*map(encode, sent)], wide) == count - (odd is not None)


def test_no_value_passes_for_a_reply() -> None:
    compiled = plan({"key": "k:{id}", "as": "hash", "fields": ["a"]})
    fake = b"x\r\n*1\r\n$1\r\n7"
    replies = [[b"1"], [fake], ResponseError(WRONG), [b"2"]]

    assert agreed(compiled, replies, [*map(encode, replies)]) == 2


def test_hgetall_does_not_pay_for_hashes_that_hold_much_else() -> None:
    source = plan({"key": "k:{id}", "as": "hash", "fields": ["a"]})
    block = PlanBlocks(source).sources[0]
    block.wide = True
    large = encode([part for at in range(20) for part in (b"%c" % (97 + at), b"1")])
    small = encode([b"a", b"1", b"b", b"1"])

    assert block.asked(["k:1"], False).read(bytearray(small)).pays
    assert not block.asked(["k:1"], False).read(bytearray(large)).pays


def test_few_rows_before_pyarrow_is_loaded_do_not_end_hgetall(monkeypatch: pytest.MonkeyPatch) -> None:
    block = PlanBlocks(plan({"key": "k:{id}", "as": "hash", "fields": ["a"]})).sources[0]
    block.wide = True
    monkeypatch.delitem(sys.modules, "pyarrow")

    found = block.asked(["k:1"], False).read(bytearray(encode([b"a", b"1"])))

    assert (found.values.tolist(), found.pays) == ([[1]], True)


@pytest.mark.parametrize(
    ("looks", "wide", "judged"),
    [
        ([2, b"listpack", 3, b"listpack"], True, True),
        ([2, b"listpack", 0, None], True, True),
        ([0, None, ResponseError(WRONG), b"raw"], False, False),
        ([2, b"listpack", 3, b"hashtable"], False, True),
        ([2, b"listpack", 30, b"listpack"], False, True),
        ([2, ResponseError("NOPERM object")], False, True),
    ],
)
def test_hashes_that_are_small_are_read_whole(looks: list[Any], wide: bool, judged: bool) -> None:
    block = PlanBlocks(plan({"key": "k:{id}", "as": "hash", "fields": ["a", "b"]})).sources[0]
    assert isinstance(block, HashBlock)

    assert block.judge(looks) is judged
    assert block.wide is wide


def test_many_vectors_are_asked_for_in_groups() -> None:
    block = PlanBlocks(plan({"key": "k:{id}", "as": "vector", "shape": [2]})).sources[0]
    keys = [f"k:{at}" for at in range(3 * vector_blocks.BLOCK_KEYS)] + ["k:é", "k:" + "x" * 300]

    payload = b"".join(block.asked(keys, False).portions)

    groups = parsed(payload, 4)
    assert [group[0] for group in groups] == [b"MGET"] * 4
    assert [len(group) - 1 for group in groups] == [vector_blocks.BLOCK_KEYS] * 3 + [2]
    assert [key.decode() for group in groups for key in group[1:]] == keys
    assert parsed(b"".join(block.asked(["k:é"], True).portions), 1) == [[b"GET", "k:é".encode()]]


def test_replies_are_skipped_whole() -> None:
    replies = [[b"a", None, [b"b"]], None, b"x\r\ny", ResponseError("ERR no")]
    data = b"".join(map(encode, replies))

    at = 0
    for reply in replies:
        stop = after(data, at)
        assert data[at:stop] == encode(reply)
        at = stop
    assert at == len(data)
    with pytest.raises(ValueError, match="not 3 replies"):
        parsed(data, 3)


def test_what_is_no_number_of_hashes_or_vectors_is_not_read_in_blocks() -> None:
    vector = {"key": "k:{id}", "as": "vector", "shape": [2]}

    assert supports(plan(vector))
    assert not supports(plan({"key": "k:{id}", "as": "list", "shape": [2], "last": 3}))
    assert not supports(plan({"key": "k:{id}", "as": "json", "fields": ["a"]}))
    assert not supports(plan(vector, {"inline": True, "fields": ["b"]}))
    assert not supports(plan({"key": "k:{id}", "as": "hash", "fields": ["a"]}, dtype="string"))


def test_several_sources_are_asked_by_the_placeholders_of_the_first_key() -> None:
    sources = [
        {"key": "k:{id}", "as": "hash", "fields": ["a"]},
        {"key": "v:{id}", "as": "vector", "shape": [2]},
    ]
    block = PlanBlocks(Plan(FeatureView.read({"inputs": [{"name": "x", "sources": sources, "shape": [3]}]})))

    live, columns = block.keyed(["k:1", "other", "k:2"])

    assert list(live) == [0, 2]
    assert columns == [["k:1", "k:2"], ["v:1", "v:2"]]


@pytest.mark.parametrize(
    ("replies", "known", "wide"),
    [
        ([9, b"listpack"], True, True),
        ([9, b"ziplist"], True, True),
        ([10, b"listpack"], True, False),
        ([3, b"hashtable"], True, False),
        ([3, b"listpack", 40, b"hashtable"], True, False),
        ([0, None, 3, b"listpack"], True, True),
        ([0, None], False, False),
        ([ResponseError("WRONGTYPE"), b"embstr"], False, False),
        ([], False, False),
    ],
)
def test_small_hashes_of_which_enough_is_wanted_are_read_whole(
    replies: list[Any], known: bool, wide: bool
) -> None:
    source = {"key": "p:{id}", "as": "hash", "fields": ["a", "b", "c"]}
    (block,) = PlanBlocks(plan(source)).sources
    assert isinstance(block, HashBlock)

    assert block.judge(replies) is known
    assert block.wide is wide
