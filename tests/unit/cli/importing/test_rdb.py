"""RDB files with RedisAI's values, written by tests/data/make_redisai.py: what is read, and what is refused."""

import struct
from pathlib import Path

import numpy as np
import pytest

from cli.importing.checksum import crc64
from cli.importing.errors import EncodingUnknown, FileDamaged, NotAFile, ValueUnreadable
from cli.importing.files import read_value
from cli.importing.inventory import Found
from cli.importing.rdb_bytes import VALUE_BLOCK_BYTES
from cli.importing.rdb_walk import walk_rdb
from cli.importing.values import RaiModel, RaiScript
from models.tensor_strings import StoredTensor, array_of
from tests.data import make_redis_8
from tests.data import make_redisai as made

REFUSALS = (FileDamaged, EncodingUnknown, NotAFile)


def walked(path: Path) -> list[Found]:
    return walk_rdb(path, lambda _done, _of: None)[0]


def one(folder: Path, value: bytes) -> Found:
    """The key of a file with that value alone."""
    path = folder / "one.rdb"
    path.write_bytes(made.rdb(made.database(0, made.entry(b"k", value))))
    (found,) = walked(path)
    return found


def sealed(body: bytes) -> bytes:
    return body + struct.pack("<Q", crc64(body))


def test_the_files_are_what_the_writer_makes_today(tmp_path: Path) -> None:
    made.make(tmp_path)

    names = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]

    assert len(names) == 11
    assert [
        name for name in names if (tmp_path / name).read_bytes() != (made.FOLDER / name).read_bytes()
    ] == []


@pytest.mark.parametrize("encoding", made.ENCODINGS)
def test_keys_of_every_encoding_are_found_with_database_and_expiry(encoding: int) -> None:
    found, met = walk_rdb(made.FOLDER / f"encoding-{encoding}.rdb", lambda _done, _of: None)

    kinds = {(key.db, key.key.decode()): key.kind for key in found}
    texts = {(0, "texts"): "tensor"} if encoding == 4 else {}
    assert kinds == texts | {
        (0, "numbers"): "tensor",
        (0, "counts"): "tensor",
        (0, "flags"): "tensor",
        (0, "gone"): "tensor",
        (0, "model:{1}"): "model",
        (0, "torch"): "model",
        (0, "script"): "script",
        (3, "scalar"): "tensor",
    }
    assert (met.keys, met.checked) == (len(kinds), True)
    times = {key.key: key.expires_at_ms for key in found if key.expires_at_ms is not None}
    assert times == {b"counts": made.EXPIRES_AT_MS, b"gone": made.LONG_AGO_MS}


@pytest.mark.parametrize("encoding", made.ENCODINGS)
def test_tensors_of_every_encoding_are_read(encoding: int) -> None:
    values = {key.key: read_value(key) for key in walked(made.FOLDER / f"encoding-{encoding}.rdb")}

    tensors = {key: array_of(value) for key, value in values.items() if isinstance(value, StoredTensor)}
    np.testing.assert_array_equal(tensors[b"numbers"], made.NUMBERS)
    np.testing.assert_array_equal(tensors[b"counts"], made.COUNTS)
    np.testing.assert_array_equal(tensors[b"flags"], made.FLAGS)
    assert tensors[b"scalar"].shape == ()
    assert tensors[b"scalar"] == 2.5
    if encoding == 4:
        assert tensors[b"texts"].tolist() == ["one", "two"]


@pytest.mark.parametrize("encoding", made.ENCODINGS)
def test_models_and_scripts_of_every_encoding_are_read(encoding: int) -> None:
    values = {key.key: read_value(key) for key in walked(made.FOLDER / f"encoding-{encoding}.rdb")}

    model, torch = values[b"model:{1}"], values[b"torch"]
    assert isinstance(model, RaiModel)
    assert isinstance(torch, RaiModel)
    said = model.execution
    assert (model.backend, model.file) == ("ONNX", made.MODEL)
    assert (said.key, said.db, said.device, said.tag) == ("model:{1}", 0, "CPU", "v1")
    assert (said.batch_rows, said.min_batch_rows) == (8, 2)
    assert said.min_batch_wait_ms == (5 if encoding >= 2 else 0)
    assert (torch.backend, torch.file) == ("TORCH", b"")
    assert isinstance(values[b"script"], RaiScript)


def test_a_file_of_redis_8_is_walked_through_with_hashes_whose_fields_expire() -> None:
    found, met = walk_rdb(make_redis_8.FILE, lambda _done, _of: None)

    assert (found, met.keys, met.checked, met.db) == ([], make_redis_8.KEYS, True, 1)


def test_a_file_that_ends_anywhere_too_early_is_refused(tmp_path: Path) -> None:
    whole, path = made.everything(4), tmp_path / "short.rdb"

    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(REFUSALS):
            walked(path)


def test_a_file_with_any_bit_changed_is_refused(tmp_path: Path) -> None:
    whole, path = made.everything(4), tmp_path / "changed.rdb"

    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        with pytest.raises(REFUSALS):
            walked(path)


def test_a_wrong_checksum_is_told_with_both_sums(tmp_path: Path) -> None:
    path = tmp_path / "wrong.rdb"
    path.write_bytes(made.everything(4)[:-8] + b"\1" * 8)

    with pytest.raises(FileDamaged, match=r"its CRC is [0-9a-f]{16}, it says 0101010101010101"):
        walked(path)


def test_a_file_without_a_checksum_is_read_and_that_is_known(tmp_path: Path) -> None:
    path = tmp_path / "unsummed.rdb"
    path.write_bytes(made.everything(4)[:-8] + bytes(8))

    found, met = walk_rdb(path, lambda _done, _of: None)

    assert (len(found), met.checked) == (9, False)


@pytest.mark.parametrize("magic", [b"REDIS0012", b"VALKEY080"])
@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"\x63\x01kvalue", "a value of the type 99"),
        (b"\xf1\x01", "the opcode 241"),
        (b"\x06\x01k", "a value of the type 6"),
        (b"\x07\x01k\x81" + bytes(8) + b"\x09", "a part of a module's value of the kind 9"),
    ],
)
def test_what_is_not_known_is_named_with_its_offset(
    magic: bytes, body: bytes, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "newer.rdb"
    path.write_bytes(sealed(magic + b"\xfe\x00" + body + b"\xff"))

    with pytest.raises(EncodingUnknown, match=told) as met:
        walked(path)

    offset = met.value.details["offset"]
    assert offset == (23 if "part" in told else 11)
    assert f"at byte {offset}" in str(met.value)
    assert "insitu import redisai redis://HOST:6379" in str(met.value)


@pytest.mark.parametrize(
    "opcode",
    [b"\xf4\x01\x02\x03", b"\xf3\x01" + bytes(4) + b"\x02\x05\x00", b"\xf5\x03lib", b"\xf8\x05", b"\xf9\x05"],
    ids=["slots", "metadata", "function", "idle", "frequency"],
)
def test_opcodes_between_keys_are_passed_over(opcode: bytes, tmp_path: Path) -> None:
    path = tmp_path / "opcodes.rdb"
    tensor = made.entry(b"k", made.tensor(4, (0, 8), (1,), b"\1"))
    path.write_bytes(sealed(b"REDIS0013\xfe\x00" + opcode + tensor + b"\xff"))

    assert [found.key for found in walked(path)] == [b"k"]


def test_slots_that_move_in_a_valkey_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "slots.rdb"
    tensor = made.entry(b"k", made.tensor(4, (0, 8), (1,), b"\1"))
    path.write_bytes(sealed(b"VALKEY080\xf3\x03job\x02\x01\x05\x07\x09\xfe\x02" + tensor + b"\xff"))

    assert [(found.db, found.key) for found in walked(path)] == [(2, b"k")]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (made.tensor(4, (2, 32), (3,), b"\0" * 8), "8 bytes for FLOAT \\[3\\]"),
        (made.tensor(4, (7, 8), (2,), b"one\0two"), "7 bytes for STRING \\[2\\]"),
        (made.tensor(4, (5, 64), (1,), b"\0" * 8), "elements of code 5 and 64 bits"),
        (made.tensor(4, (2, 32), (-1,), b""), "shape \\[-1\\]"),
        (made.tensor(4, (2, 32), (1,) * 65, b"\0" * 4), "it has 65 axes"),
        (made.tensor(5, (2, 32), (1,), b"\0" * 4), "encoding 5, known are 0 to 4"),
        (made.module("AI_TENSOR", 4, made.text(b"x")), "a part of kind 2 should stand"),
        (
            made.module(
                "AI_TENSOR", 3, *map(made.number, (1, 0, 32, 2, 1, 2, 2, 2, 1, 2, 0)), made.text(b"")
            ),
            "strides \\[1, 2\\]",
        ),
        (
            made.module(
                "AI__MODEL",
                4,
                *(made.number(3), made.text(b"CPU\0"), made.text(b""), *map(made.number, (0, 0, 0, 0, 0))),
                *(made.number(9), made.number(1), made.text(b"four")),
            ),
            "its file has 4 bytes or more, it says 9",
        ),
        (
            made.module("AI_TENSOR", 4, *map(made.number, (2, 32, 1, 1)), b"\x05\xc3\x03\x04\x01ab"),
            r"at byte \d+: a compressed string cannot be read, it decompresses to 2 bytes",
        ),
    ],
)
def test_a_value_that_is_not_what_it_says_is_refused_by_its_key(
    value: bytes, told: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueUnreadable, match=told) as met:
        read_value(one(tmp_path, value))

    assert "at key 'k' of database 0" in str(met.value)
    assert met.value.details == {"key": "k", "db": 0}


def test_an_unknown_backend_is_named(tmp_path: Path) -> None:
    value = read_value(one(tmp_path, made.model(4, 9, b"file")))

    assert isinstance(value, RaiModel)
    assert (value.backend, value.file) == ("number 9", b"")


def test_the_whole_is_told_of_on_the_way(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = made.FOLDER / "encoding-4.rdb"

    walk_rdb(path, lambda done, of: told.append((done, of)))

    assert told == sorted(told)
    assert told[-1] == (path.stat().st_size, path.stat().st_size)


def test_a_value_larger_than_a_block_is_read_whole(tmp_path: Path) -> None:
    numbers = np.arange(VALUE_BLOCK_BYTES, dtype=np.float32)

    value = read_value(one(tmp_path, made.tensor(4, (2, 32), numbers.shape, numbers.tobytes())))

    assert isinstance(value, StoredTensor)
    np.testing.assert_array_equal(array_of(value), numbers)
