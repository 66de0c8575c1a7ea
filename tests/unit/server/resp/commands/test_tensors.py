"""AI.TENSORSET and AI.TENSORGET read their words, and word their replies, as RedisAI does."""

import asyncio
from typing import Any

import hiredis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from redis.exceptions import ResponseError

from models.tensor_strings import DTYPES, POINTER, StoredTensor, array_of, numpy_of, of_array, pack
from server.resp.commands import tensor_heads, tensors
from server.resp.commands.tensor_values import PART_ELEMENTS, STRING_LIMIT_BYTES
from server.resp.commands.tensors import (
    COMMANDS,
    TensorGet,
    parse_tensorget,
    parse_tensorset,
    replied,
    tensor_of,
)
from server.resp.refusals import Refused
from server.resp.wire.replies import RESP2, RESP3, Encoder

NUMERIC = [dtype for dtype in DTYPES if dtype != "STRING"]
FLOATING, WHOLE = NUMERIC[:2], NUMERIC[2:]
DATA = (
    "ERR a single binary string should come after the BLOB argument in 'AI.TENSORSET' command",
    "ERR data length does not match tensor shape and type",
    "ERR Number of string elements in data blob does not match tensor length",
    "ERR BOOL tensor elements must be 0 or 1",
)
SHAPE = "ERR invalid or negative value found in tensor shape"
VALUE = "ERR invalid value"
COUNT = "ERR wrong number of values was given in 'AI.TENSORSET' command"


def words(*given: Any) -> list[bytes]:
    return [word if isinstance(word, bytes) else str(word).encode() for word in given]


def parsed(*given: Any) -> StoredTensor:
    key, tensor = parse_tensorset(words("k", *given))
    assert key == b"k"
    return tensor


def refusal(*given: Any) -> str:
    with pytest.raises(Refused) as caught:
        parsed(*given)
    return str(caught.value)


def read(reply: bytes) -> Any:
    """A reply as a client reads it, and nothing left over."""
    reader: Any = hiredis.Reader(replyError=ResponseError)
    reader.feed(reply)
    found = reader.gets()
    assert reader.gets() is False
    return found


def answered(tensor: StoredTensor, *asked: str, wire: Encoder = RESP2) -> Any:
    return read(asyncio.run(replied(wire, tensor, parse_tensorget(words("k", *asked)))))


@given(
    data=st.data(),
    dtype=st.sampled_from(DTYPES),
    shape=arrays.array_shapes(min_dims=0, max_dims=4, max_side=3),
)
def test_a_blob_is_the_tensor_and_is_answered_again(
    data: st.DataObject, dtype: str, shape: tuple[int, ...]
) -> None:
    kind = "U3" if dtype == "STRING" else numpy_of(dtype)
    elements = st.text("aé ", max_size=3) if dtype == "STRING" else None
    tensor = of_array(data.draw(arrays.arrays(kind, shape, elements=elements)))

    twice = [parsed(dtype.lower(), *shape, "Blob", tensor.data) for _ in range(2)]

    assert twice == [tensor, tensor]
    assert answered(tensor, "BLOB") == tensor.data
    assert answered(tensor) == [b"dtype", dtype.encode(), b"shape", [*shape], b"blob", tensor.data]


@given(
    data=st.data(),
    dtype=st.sampled_from(NUMERIC),
    shape=arrays.array_shapes(min_dims=0, max_dims=3, max_side=3),
)
def test_values_are_the_tensor_and_are_answered_again(
    data: st.DataObject, dtype: str, shape: tuple[int, ...]
) -> None:
    finite = {"allow_nan": False, "allow_infinity": False} if dtype in FLOATING else {}
    elements = arrays.from_dtype(numpy_of(dtype), **finite)  # type: ignore[arg-type]  # only for floats
    tensor = of_array(data.draw(arrays.arrays(numpy_of(dtype), shape, elements=elements)))
    values = array_of(tensor).reshape(-1).tolist()

    assert (
        parsed(dtype, *shape, "VALUES", *(int(one) if dtype == "BOOL" else repr(one) for one in values))
        == tensor
    )
    for wire in (RESP2, RESP3):
        again = answered(tensor, "VALUES", wire=wire)
        assert [float(one) if dtype in FLOATING else one for one in again] == values
        assert answered(tensor, "values", "Meta", wire=wire)[:5] == [*answered(tensor, "META"), b"values"]


def test_integers_are_integers_and_floats_are_doubles_of_the_wire() -> None:
    tenth = of_array(np.array([0.1, 1, -0.0, np.inf, -np.inf], np.float32))

    assert answered(tenth, "VALUES") == [b"0.10000000149011612", b"1", b"-0", b"inf", b"-inf"]
    assert (
        asyncio.run(replied(RESP3, of_array(np.array([0.5, 2])), TensorGet(b"k", False, "values")))
        == b"*2\r\n,0.5\r\n,2\r\n"
    )
    assert (
        asyncio.run(replied(RESP2, of_array(np.array([True, False])), TensorGet(b"k", False, "values")))
        == b"*2\r\n:1\r\n:0\r\n"
    )


@pytest.mark.parametrize("dtype", ["FLOAT", "INT8", "STRING"])
def test_many_values_are_written_in_parts_and_others_have_their_turn_between(dtype: str) -> None:
    numbers = np.arange(3 * PART_ELEMENTS + 5) % 100
    tensor = of_array(numbers.astype(str) if dtype == "STRING" else numbers.astype(numpy_of(dtype)))
    turns = 0

    async def answered_beside_others() -> bytes:
        nonlocal turns
        task = asyncio.create_task(replied(RESP2, tensor, TensorGet(b"k", False, "values")))
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
        return await task

    assert [int(one) for one in read(asyncio.run(answered_beside_others()))] == numbers.tolist()
    assert turns >= 4


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_values_are_zeros_or_empty_texts(dtype: str) -> None:
    empty = "" if dtype == "STRING" else 0

    assert array_of(parsed(dtype, 2, 3)).tolist() == [[empty] * 3] * 2


def test_no_dimension_is_a_scalar() -> None:
    assert parsed("INT64", "VALUES", "-7") == StoredTensor(
        "INT64", (), (-7).to_bytes(8, "little", signed=True)
    )
    assert answered(parsed("FLOAT", "BLOB", b"\0\0\x80?"), "META", "VALUES") == [
        b"dtype",
        b"FLOAT",
        b"shape",
        [],
        b"values",
        [b"1"],
    ]


@pytest.mark.parametrize("dtype", WHOLE)
def test_an_integer_is_taken_to_its_bounds_and_no_further(dtype: str) -> None:
    bounds = np.iinfo(numpy_of(dtype)) if dtype != "BOOL" else None
    least, most = (bounds.min, bounds.max) if bounds else (0, 1)

    assert array_of(parsed(dtype, 2, "VALUES", least, most)).tolist() == [least, most]
    assert [refusal(dtype, 1, "VALUES", value) for value in (least - 1, most + 1)] == [VALUE] * 2


@pytest.mark.parametrize("dtype", WHOLE)
@pytest.mark.parametrize(
    "value",
    ["", "1.0", "+1", "01", "-0", " 1", "1 ", "1_0", "0x1", "a", "1e1", "\u0661", "9" * 5000, "nan", "1\n"],
)
def test_a_word_that_is_no_plain_integer_is_refused(dtype: str, value: str) -> None:
    assert refusal(dtype, 2, "VALUES", "1", value) == VALUE


@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize(
    "value", ["", "a", "nan", "inf", "-Infinity", "1_0", " 1", "1 ", "0x1", "1e400", "-", "1e", "\u0661"]
)
def test_a_word_that_is_no_finite_number_is_refused(dtype: str, value: str) -> None:
    assert refusal(dtype, 2, "VALUES", "1", value) == VALUE


def test_a_number_that_its_type_cannot_hold_is_refused_not_made_infinite() -> None:
    assert refusal("FLOAT", 1, "VALUES", "1e39") == VALUE
    assert array_of(parsed("DOUBLE", 1, "VALUES", "1e39")).tolist() == [1e39]
    assert array_of(parsed("FLOAT", 3, "VALUES", "1e-50", ".5", "+1.")).tolist() == [0.0, 0.5, 1.0]


def test_texts_may_end_in_their_nul_and_hold_no_other() -> None:
    assert parsed("STRING", 4, "VALUES", "a", b"b\0", "", b"\xff").data == b"a\0b\0\0\xff\0"
    assert refusal("STRING", 2, "VALUES", "a", b"b\0c") == "ERR C-string value contains null character"
    assert refusal("STRING", 1, "VALUES", b"b\0\0") == "ERR C-string value contains null character"
    assert answered(parsed("STRING", 2, "BLOB", b"\xff\0\0"), "VALUES") == [b"\xff", b""]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("UINT32", 1), "ERR invalid data type"),
        (("", 1), "ERR invalid data type"),
        (("FLOAT16", 0, "BLOB"), "ERR invalid data type"),
        (("FLOAT", 0), SHAPE),
        (("FLOAT", -1, "BLOB"), SHAPE),
        (("FLOAT", "x", "VALUES", 1), SHAPE),
        (("FLOAT", "01"), SHAPE),
        (("FLOAT", "+1"), SHAPE),
        (("FLOAT", "1.5"), SHAPE),
        (("FLOAT", ""), SHAPE),
        (("FLOAT", 1, "VALUE"), SHAPE),
        (("FLOAT", 1, "BLOBS"), SHAPE),
        (("FLOAT", 1, "VALUESVALUES"), SHAPE),
        (("FLOAT", *[1] * 65), SHAPE),
        (("FLOAT", *[1] * 65, "BLOB", b"1234"), SHAPE),
        (("FLOAT", "9" * 20, "BLOB", b"1234"), SHAPE),
        (("FLOAT", *["9" * 19] * 64, "BLOB", b"1234"), DATA[1]),
        (("FLOAT", *["9" * 19] * 64, "VALUES", 1), COUNT),
        (("FLOAT", *["9" * 19] * 64), SHAPE),
        (("FLOAT", 2, "BLOB"), DATA[0]),
        (("FLOAT", 2, "BLOB", b"1234", b"1234"), DATA[0]),
        (("FLOAT", 2, "BLOB", b"1234"), DATA[1]),
        (("FLOAT", 2, "BLOB", b""), DATA[1]),
        (("STRING", 2, "BLOB", b""), DATA[2]),
        (("STRING", 2, "BLOB", b"a\0"), DATA[2]),
        (("STRING", 2, "BLOB", b"a\0b\0c"), DATA[2]),
        (("STRING", 2, "BLOB", b"a\0b\0c\0"), DATA[2]),
        (("BOOL", 2, "BLOB", b"\2\1"), DATA[3]),
        (("BOOL", 2, "BLOB", b"\1\2"), DATA[3]),
        (("FLOAT", 2, "VALUES"), COUNT),
        (("FLOAT", 2, "VALUES", 1), COUNT),
        (("FLOAT", 2, "VALUES", "x", 2, 3), COUNT),
        (("FLOAT", "BLOB", b"12345678"), DATA[1]),
        (("FLOAT", 1, "VALUES", "VALUES"), VALUE),
    ],
)
def test_each_fault_has_its_words(given: tuple[Any, ...], said: str) -> None:
    assert refusal(*given) == said


def test_a_known_head_does_not_pass_for_bytes_that_do_not_fit_it() -> None:
    assert parsed("INT8", 2, "BLOB", b"12").data == b"12"

    assert refusal("INT8", 2, "BLOB", b"123") == DATA[1]
    assert refusal("INT8", 2, "BLOB") == DATA[0]
    assert refusal("INT8", 2, "BLOB", b"12", b"12") == DATA[0]
    assert parsed("INT8", 2, "VALUES", 1, 2).data == b"\1\2"


def test_the_heads_that_are_known_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_heads, "HEADS_KEPT", 3)

    for size in range(1, 20):
        assert parsed("INT8", size, "BLOB", b"1" * size).shape == (size,)
    assert len(tensors.heads) <= 3


@pytest.mark.parametrize("dtype", ["FLOAT", "STRING"])
def test_what_no_string_of_redis_holds_is_refused_before_it_is_made(dtype: str) -> None:
    size = STRING_LIMIT_BYTES // (4 if dtype == "FLOAT" else 1)

    assert "is too large, a string of Redis holds 536870912" in refusal(dtype, size)
    assert refusal(dtype, size, size) == SHAPE
    assert len(parsed("INT8", 1 << 10, 1 << 10).data) == 1 << 20


@pytest.mark.parametrize("given", [(), ("FLOAT",)])
def test_too_few_words_are_refused_as_inside_a_dag(given: tuple[str, ...]) -> None:
    assert refusal(*given) == "wrong number of arguments for 'AI.TENSORSET' command"


@pytest.mark.parametrize(
    ("asked", "meta", "form"),
    [
        ((), True, "blob"),
        (("META",), True, None),
        (("meta", "Meta"), True, None),
        (("blob",), False, "blob"),
        (("Values",), False, "values"),
        (("BLOB", "META"), True, "blob"),
        (("META", "values"), True, "values"),
        (("BLOB", "BLOB"), False, "blob"),
    ],
)
def test_what_is_asked_for_is_read_in_any_order(asked: tuple[str, ...], meta: bool, form: str | None) -> None:
    assert parse_tensorget(words("k", *asked)) == TensorGet(b"k", meta, form)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("X",), "ERR unsupported data format"),
        (("BLOB", "X"), "ERR unsupported data format"),
        (("",), "ERR unsupported data format"),
        (("BLOB", "VALUES"), "ERR both BLOB and VALUES specified"),
        (("META", "BLOB", "VALUES"), "wrong number of arguments for 'AI.TENSORGET' command"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(asked: tuple[str, ...], said: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_tensorget(words("k", *asked))

    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (None, "ERR tensor key is empty or in a different shard"),
        (b"", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        (b"abc", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        (POINTER + b'"m","version":12}', "WRONGTYPE Operation against a key holding the wrong kind of value"),
        (ResponseError("NOPERM no"), "NOPERM no"),
    ],
)
def test_a_reply_that_holds_no_tensor_is_refused(reply: Any, said: str) -> None:
    with pytest.raises(Refused) as caught:
        tensor_of(reply)

    assert str(caught.value) == said


def test_a_reply_that_holds_a_tensor_is_it() -> None:
    tensor = parsed("INT16", 1, 2, "VALUES", -1, 2)

    assert tensor_of(pack(tensor)) == tensor
    assert tensor_of(b"12345678") == StoredTensor("FLOAT", (2,), b"12345678")


def test_the_commands_say_what_they_are() -> None:
    told = {
        one.name: (one.arity, one.flags, one.keys, one.alongside, one.queued is not None) for one in COMMANDS
    }

    assert told == {
        "AI.TENSORSET": (-4, ("write", "denyoom"), (1, 1, 1), False, True),
        "AI.TENSORGET": (-2, ("readonly",), (1, 1, 1), True, True),
    }
