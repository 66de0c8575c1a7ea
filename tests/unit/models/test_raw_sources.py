"""Raw vectors and lists of steps become arrays, or errors that name what is wrong."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from redis.exceptions import ResponseError

from models.assembly import Plan
from models.errors import FeatureError, KeyMissing, NotANumber, SourceUnsupported, WrongLength, WrongType
from models.tensor_strings import MAGIC, StoredTensor, of_array, pack
from tests.unit.models.views import assembled, plan

NUMERIC = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32",
           "float64"]  # fmt: skip


def vectors(shape: list[int], dtype: str = "float32", to: str = "float32", **facts: Any) -> Plan:
    return plan({"key": "v:{id}", "as": "vector", "dtype": dtype, "shape": shape, **facts}, dtype=to)


def lists(shape: list[int], last: int, dtype: str = "float32", to: str = "float32", **facts: Any) -> Plan:
    return plan(
        {"key": "u:{id}", "as": "list", "dtype": dtype, "shape": shape, "last": last, **facts}, dtype=to
    )


def only(compiled: Plan, reply: Any, missing: Any = None) -> Any:
    """The tensor of a single row, or its error."""
    found = assembled(compiled, [reply], missing)
    return found.errors[0] if found.errors else found.groups[0].feeds["x"][0]


def raw(*numbers: float, dtype: str = "<f4") -> bytes:
    return np.array(numbers, dtype).tobytes()


def test_a_vector_is_one_get() -> None:
    assert vectors([3]).prepare([{"id": 7}]).commands == [("GET", "v:7")]


@given(
    data=st.data(),
    dtype=st.sampled_from(NUMERIC),
    shape=arrays.array_shapes(min_dims=1, max_dims=4, max_side=4),
    rows=st.integers(1, 3),
)
def test_a_vector_of_any_type_and_shape_comes_back_as_it_was_stored(
    data: st.DataObject, dtype: str, shape: tuple[int, ...], rows: int
) -> None:
    finite = {} if dtype == "bool" or "int" in dtype else {"allow_nan": False, "allow_infinity": False}
    elements = arrays.from_dtype(np.dtype(dtype), **finite)  # type: ignore[arg-type]  # only for floats
    stored = data.draw(arrays.arrays(np.dtype(dtype), (rows, *shape), elements=elements))

    found = assembled(vectors(list(shape), dtype, dtype), [row.tobytes() for row in stored])

    read = found.groups[0].feeds["x"]
    assert read.dtype == np.dtype(dtype)
    assert read.flags.writeable
    np.testing.assert_array_equal(read, stored)


def test_a_stored_vector_is_cast_to_the_type_of_the_input() -> None:
    assert only(vectors([3], "int16", "float32"), raw(1, -2, 3, dtype="<i2")).tolist() == [1.0, -2.0, 3.0]
    assert only(vectors([3], "float64", "int64"), raw(1, -2, 3, dtype="<f8")).tolist() == [1, -2, 3]
    assert only(vectors([2], "bool", "float32"), b"\x00\x01").tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("dtype", "to", "stored", "at"),
    [
        ("float32", "float32", raw(1, np.nan, 2), 1),
        ("float32", "float32", raw(1, 2, np.inf), 2),
        ("float64", "float32", raw(1, 2, 1e39, dtype="<f8"), 2),
        ("float64", "float16", raw(70000, 2, 1, dtype="<f8"), 0),
        ("float32", "int64", raw(1, 2.5, 2), 1),
        ("float32", "int64", raw(1, 2, 2.0**63), 2),
        ("float32", "int32", raw(2.0**31, 2, 2), 0),
        ("float32", "int32", raw(0, np.nan, 2), 1),
        ("float64", "uint64", raw(0, -1, 2, dtype="<f8"), 1),
        ("float64", "uint64", raw(0, 2.0**64, 2, dtype="<f8"), 1),
        ("int16", "uint8", raw(1, 2, 256, dtype="<i2"), 2),
        ("int16", "uint8", raw(-1, 2, 3, dtype="<i2"), 0),
        ("uint64", "int64", raw(1, 2, 2**63, dtype="<u8"), 2),
        ("int8", "bool", raw(0, 1, 2, dtype="<i1"), 2),
        ("float32", "bool", raw(0, 0.5, 1), 1),
        ("bool", "float32", b"\x00\x01\x02", 2),
        ("bool", "bool", b"\xff\x01\x00", 0),
    ],
)
def test_an_element_that_does_not_fit_is_named_by_its_place(
    dtype: str, to: str, stored: bytes, at: int
) -> None:
    good = np.array([1, 1, 1], np.dtype("uint8" if dtype == "bool" else dtype)).tobytes()

    found = assembled(vectors([3], dtype, to), [good, stored])

    assert [group.rows for group in found.groups] == [[0]]
    assert isinstance(found.errors[1], NotANumber)
    assert str(found.errors[1]).startswith(f"element {at} of key 'v:1' holds ")


@pytest.mark.parametrize("reply", [b"", b"\x00" * 11, b"\x00" * 13, b"0.1,0.2,0.3"])
def test_a_vector_of_another_length_is_named_with_both(reply: bytes) -> None:
    error = only(vectors([3]), reply)

    assert isinstance(error, WrongLength)
    assert str(error) == f"key 'v:0' has {len(reply)} bytes, the model wants 12 (float32 [3])"


def tensor(*numbers: float, dtype: str = "float32", shape: tuple[int, ...] | None = None) -> bytes:
    """A tensor string of numbers."""
    array = np.array(numbers, dtype)
    return pack(of_array(array.reshape(shape or array.shape)))


@given(
    data=st.data(),
    dtype=st.sampled_from([name for name in NUMERIC if name not in {"uint32", "uint64", "float16"}]),
    shape=arrays.array_shapes(min_dims=1, max_dims=3, max_side=3),
    rows=st.integers(1, 3),
)
def test_a_vector_may_be_a_tensor_of_its_type_and_any_shape_of_as_many_elements(
    data: st.DataObject, dtype: str, shape: tuple[int, ...], rows: int
) -> None:
    finite = {} if dtype == "bool" or "int" in dtype else {"allow_nan": False, "allow_infinity": False}
    elements = arrays.from_dtype(np.dtype(dtype), **finite)  # type: ignore[arg-type]  # only for floats
    stored = data.draw(arrays.arrays(np.dtype(dtype), (rows, *shape), elements=elements))
    other = data.draw(st.sampled_from([shape, (1, *shape), (stored[0].size,)]))

    found = assembled(
        vectors(list(shape), dtype, dtype), [pack(of_array(row.reshape(other))) for row in stored]
    )

    read = found.groups[0].feeds["x"]
    assert read.dtype == np.dtype(dtype)
    assert read.flags.writeable
    np.testing.assert_array_equal(read, stored)


def test_raw_vectors_and_tensors_may_lie_beside_one_another() -> None:
    strings = [raw(1, 2), tensor(3, 4), tensor(5, 6, shape=(2, 1)), raw(7, 8)]

    found = assembled(vectors([2]), strings)

    assert found.groups[0].feeds["x"].tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]


@pytest.mark.parametrize(
    ("dtype", "reply", "found", "wanted"),
    [
        ("float32", tensor(1, 2), "FLOAT [2]", "FLOAT with 3 elements (float32 [3])"),
        ("float32", tensor(1, 2, 3, 4), "FLOAT [4]", "FLOAT with 3 elements (float32 [3])"),
        ("float32", tensor(1, 2, 3, dtype="int32"), "INT32 [3]", "FLOAT with 3 elements (float32 [3])"),
        ("int32", tensor(1, 2, 3, shape=(1, 3)), "FLOAT [1, 3]", "INT32 with 3 elements (int32 [3])"),
        ("bool", tensor(1, 2, 3, dtype="uint8"), "UINT8 [3]", "BOOL with 3 elements (bool [3])"),
        ("float16", tensor(1, 2, 3), "FLOAT [3]", "6 bytes (float16 [3])"),
        ("uint8", pack(of_array(np.array(["a"] * 3))), "STRING [3]", "UINT8 with 3 elements (uint8 [3])"),
    ],
)
def test_a_tensor_of_another_type_or_number_is_named_with_both(
    dtype: str, reply: bytes, found: str, wanted: str
) -> None:
    error = only(vectors([3], dtype), reply)

    assert isinstance(error, WrongLength)
    assert str(error) == f"key 'v:0' has a tensor of {found}, the model wants {wanted}"


@pytest.mark.parametrize("reply", [tensor(1, 2, 3)[1:], b"." + tensor(1, 2, 3), tensor(1, 2, 3) + MAGIC])
def test_a_tensor_that_its_trailer_does_not_fit_is_a_vector_of_another_length(reply: bytes) -> None:
    error = only(vectors([3]), reply)

    assert str(error) == f"key 'v:0' has {len(reply)} bytes, the model wants 12 (float32 [3])"


@pytest.mark.parametrize("rows", [1, 3])
def test_a_tensor_is_never_read_as_numbers_for_its_length(rows: int) -> None:
    """A FLOAT tensor of 3 elements has 24 bytes, as 6 raw ones have."""
    assert len(tensor(1, 2, 3)) == len(raw(*range(6)))

    found = assembled(vectors([6]), [raw(*range(6))] * (rows - 1) + [tensor(1, 2, 3)])

    assert sorted(found.errors) == [rows - 1]
    assert "a tensor of FLOAT [3]" in str(found.errors[rows - 1])


def test_raw_numbers_that_only_end_like_a_tensor_are_numbers() -> None:
    bytes_of_image = b"\x01\x02" + MAGIC

    assert only(vectors([8], "uint8"), bytes_of_image).tolist() == [*map(float, bytes_of_image)]


def test_a_tensor_of_numbers_that_are_not_finite_is_refused_like_raw_ones() -> None:
    assert str(only(vectors([2]), tensor(1, np.nan))).startswith("element 1 of key 'v:0' holds 'nan'")
    assert isinstance(only(vectors([1], "bool"), pack(StoredTensor("BOOL", (1,), b"\2"))), NotANumber)


def test_a_vector_that_is_not_there_is_missing() -> None:
    error = only(vectors([3]), None)

    assert isinstance(error, KeyMissing)
    assert str(error).startswith("key 'v:0' is not in Redis; write it")


def test_a_default_fills_every_element_and_is_told_by_the_key_template() -> None:
    found = assembled(vectors([2, 2], default=0.5), [None])

    assert found.groups[0].feeds["x"].tolist() == [[[0.5, 0.5], [0.5, 0.5]]]
    assert found.filled == {0: ["v:{id}"]}


@pytest.mark.parametrize("missing", [3, {"v:{id}": 3}])
def test_a_request_fills_a_vector_with_a_number_or_by_the_key_template(missing: Any) -> None:
    assert only(vectors([2], default=0.5), None, missing).tolist() == [3.0, 3.0]


@pytest.mark.parametrize("missing", [float("nan"), {"v:{id}": "abc"}])
def test_a_stand_in_for_a_vector_that_is_no_number_is_named(missing: Any) -> None:
    assert "the stand-in for key 'v:0' holds" in str(only(vectors([2]), None, missing))


@pytest.mark.parametrize("make", [vectors, lambda shape: lists(shape, 3)])
@pytest.mark.parametrize(
    ("refusal", "fault"),
    [("WRONGTYPE Operation", WrongType), ("unknown command", SourceUnsupported), ("NOPERM x", FeatureError)],
)
def test_a_refusal_of_redis_is_told_for_what_it_is(
    make: Any, refusal: str, fault: type[FeatureError]
) -> None:
    assert type(only(make([3]), ResponseError(refusal))) is fault


@pytest.mark.parametrize("reply", ["x" * 12, 12, 1.5, True, [], [b"1"], {}, object()])
def test_a_reply_that_is_no_string_is_another_type(reply: object) -> None:
    assert isinstance(only(vectors([3]), reply), WrongType)


def test_a_list_is_asked_for_its_last_steps() -> None:
    assert lists([2], 30).prepare([{"id": 7}]).commands == [("LRANGE", "u:7", -30, -1)]


def test_steps_come_oldest_first_and_their_number_is_free() -> None:
    row = only(lists([2], 30), [raw(1, 2), raw(3, 4), raw(5, 6)])

    assert row.tolist() == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


@pytest.mark.parametrize(
    ("pad", "expected"),
    [("left", [[-1.0], [-1.0], [1.0], [2.0]]), ("right", [[1.0], [2.0], [-1.0], [-1.0]])],
)
def test_padding_fills_up_to_the_number_of_steps(pad: str, expected: list[list[float]]) -> None:
    compiled = lists([1], 4, pad=pad, pad_value=-1)

    assert only(compiled, [raw(1), raw(2)]).tolist() == expected
    assert only(compiled, [raw(1), raw(2), raw(3), raw(4)]).tolist() == [[1.0], [2.0], [3.0], [4.0]]


@pytest.mark.parametrize("text", [b"1.5,2", b"1.5 2", b" 1.5,\t2 ", b"1.5 , 2", b"1.5\n2"])
def test_steps_of_text_are_numbers_between_commas_or_spaces(text: bytes) -> None:
    assert only(lists([2], 3, encoding="text"), [text]).tolist() == [[1.5, 2.0]]


@pytest.mark.parametrize("text", [b"", b"1", b"1,2,3", b"1;2"])
def test_a_step_with_another_count_of_numbers_is_named(text: bytes) -> None:
    error = only(lists([2], 3, encoding="text"), [b"1,2", text])

    assert isinstance(error, WrongLength)
    assert "numbers in entry 1, the model wants 2 ([2])" in str(error)


@pytest.mark.parametrize("word", [b"x", b"1_0", b"nan", b"1e39", b"\xff", b"0x1"])
def test_a_word_that_is_no_number_is_named_with_its_entry(word: bytes) -> None:
    error = only(lists([2], 3, encoding="text"), [b"1,2", b"1," + word])

    assert isinstance(error, NotANumber)
    assert str(error).startswith("entry 1 of key 'u:0' holds ")


@pytest.mark.parametrize(
    ("dtype", "text", "row"), [("int64", b"9007199254740993", 2**53 + 1), ("bool", b"true", True)]
)
def test_steps_of_text_are_read_as_their_own_type(dtype: str, text: bytes, row: object) -> None:
    assert only(lists([1], 3, dtype, dtype, encoding="text"), [text]).tolist() == [[row]]


def test_a_step_of_another_length_is_named() -> None:
    error = only(lists([2], 3), [raw(1, 2), raw(1)])

    assert isinstance(error, WrongLength)
    assert str(error) == "key 'u:0' has 4 bytes in entry 1, the model wants 8 (float32 [2])"


def test_an_element_of_a_step_that_is_not_finite_is_named() -> None:
    error = only(lists([2], 3), [raw(1, 2), raw(np.nan, 1)])

    assert str(error).startswith("element 2 of key 'u:0' holds 'nan'")


def test_an_empty_list_is_a_missing_key() -> None:
    assert isinstance(only(lists([2], 3), []), KeyMissing)


def test_a_default_is_one_step_and_is_padded_like_any() -> None:
    assert only(lists([2], 3, default=7), []).tolist() == [[7.0, 7.0]]
    assert only(lists([1], 3, default=7, pad="left"), []).tolist() == [[0.0], [0.0], [7.0]]
    assert only(lists([1], 3), [], {"u:{id}": 9}).tolist() == [[9.0]]


@pytest.mark.parametrize(
    "reply",
    [None, "text", b"bytes", 1, {}, (raw(1, 2),), ["text"], [1], [None], [[raw(1, 2)]], [raw(1, 2)] * 4],
)
def test_a_reply_that_is_no_list_of_steps_is_another_type(reply: object) -> None:
    assert isinstance(only(lists([2], 3), reply), WrongType)
    assert isinstance(only(lists([2], 3, encoding="text"), reply), WrongType)


@given(
    steps=st.lists(
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=2),
        min_size=1,
        max_size=5,
    ),
    pad=st.sampled_from(["none", "left", "right"]),
)
def test_text_and_raw_steps_of_the_same_numbers_are_the_same(steps: list[list[float]], pad: str) -> None:
    stored = [raw(*step) for step in steps]
    written = [",".join(str(np.float32(number)) for number in step).encode() for step in steps]

    from_raw = only(lists([2], 5, pad=pad), stored)
    from_text = only(lists([2], 5, pad=pad, encoding="text"), written)

    np.testing.assert_array_equal(from_raw, from_text)


@given(
    rows=st.lists(
        st.none()
        | st.binary(max_size=9)
        | st.lists(st.floats(width=32), min_size=1, max_size=3).map(lambda numbers: tensor(*numbers))
        | st.lists(st.floats(width=32), min_size=2, max_size=2).map(lambda numbers: raw(*numbers)),
        min_size=1,
        max_size=5,
    ),
    to=st.sampled_from(["float32", "float16", "int8", "int64", "bool"]),
)
def test_vectors_read_together_and_alone_are_the_same(rows: list[bytes | None], to: str) -> None:
    compiled = vectors([2], "float32", to)

    together = assembled(compiled, rows)
    alone = [assembled(compiled, [row]) for row in rows]

    assert sorted(together.errors) == [at for at, found in enumerate(alone) if found.errors]
    good = [found.groups[0].feeds["x"] for found in alone if not found.errors]
    if good:
        np.testing.assert_array_equal(together.groups[0].feeds["x"], np.concatenate(good))
