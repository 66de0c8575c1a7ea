"""Append-only files: what their commands leave of RedisAI's keys, in one file or several."""

import asyncio
import struct
from pathlib import Path
from threading import Event

import pytest

from cli.importing.errors import FileDamaged, NotAFile, ValueUnreadable
from cli.importing.files import FileSource
from cli.importing.inventory import Inventory
from cli.importing.values import RaiModel
from models.tensor_strings import StoredTensor, array_of
from tests.data import make_redisai as made
from tests.data.make_redisai import command

TENSOR = ("FLOAT", 1, "VALUES", "1")


def looked(path: Path) -> Inventory:
    return asyncio.run(FileSource(path).look(lambda _done, _of: None))


def left(tmp_path: Path, *commands: bytes) -> dict[tuple[int, bytes], int | None]:
    """When each key expires that commands leave."""
    path = tmp_path / "some.aof"
    path.write_bytes(b"".join(commands))
    return {(found.db, found.key): found.expires_at_ms for found in looked(path).found}


def tensor(key: str) -> bytes:
    return command("AI.TENSORSET", key, *TENSOR)


def dumped() -> bytes:
    """A tensor as DUMP writes it."""
    return b"\x07" + made.tensor(4, (2, 32), (1,), struct.pack("<f", 1.5)) + b"\x09\x00" + bytes(8)


COMMANDS = (
    *("blob", "both", "m", "new", "s", "t", "tf"),
    *("counts", "flags", "model:{1}", "numbers", "script", "texts", "torch"),
)


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("commands.aof", COMMANDS[:7]),
        ("preamble.aof", COMMANDS),
        ("appendonlydir", [name for name in COMMANDS if name != "numbers"]),
        ("appendonlydir/appendonly.aof.manifest", [name for name in COMMANDS if name != "numbers"]),
        ("", [name for name in COMMANDS if name != "numbers"]),
    ],
)
def test_the_files_leave_the_keys_of_their_last_state(file: str, names: list[str]) -> None:
    found = looked(made.FOLDER / file)

    assert sorted(one.key.decode() for one in found.found if one.db == 0) == sorted(names)
    assert sorted(one.key for one in found.found if one.db == 3) == [
        b"far",
        *([b"scalar"] if "commands" not in file else []),
    ]
    assert found.notes == []
    assert found.expired == (0 if "commands" in file else 1)


def test_values_are_read_from_the_commands_that_stored_them() -> None:
    source = FileSource(made.FOLDER / "commands.aof")
    found = {one.key: one for one in asyncio.run(source.look(lambda _done, _of: None)).found}

    values = {key: asyncio.run(source.read(one)) for key, one in found.items()}

    tensors = {key: array_of(value) for key, value in values.items() if isinstance(value, StoredTensor)}
    assert tensors[b"t"].tolist() == [1.5, 2.0]
    assert tensors[b"blob"].tolist() == made.COUNTS.tolist()
    assert tensors[b"new"].tolist() == [9.0]
    assert tensors[b"far"] == 2.5
    model, other = values[b"m"], values[b"tf"]
    assert isinstance(model, RaiModel)
    assert isinstance(other, RaiModel)
    assert (model.backend, model.file, model.execution.tag) == ("ONNX", made.MODEL, "v1")
    assert (other.backend, other.file) == ("TF", b"")
    assert found[b"new"].expires_at_ms == made.EXPIRES_AT_MS


@pytest.mark.parametrize(
    ("commands", "keys"),
    [
        ([tensor("a"), command("del", "a")], set()),
        ([tensor("a"), command("UNLINK", "x", "a")], set()),
        ([tensor("a"), command("SET", "a", "x")], set()),
        ([tensor("a"), command("MSET", "x", 1, "a", 2)], set()),
        ([tensor("a"), command("BITOP", "AND", "a", "x", "y")], set()),
        ([tensor("a"), command("BITOP", "AND", "x", "a", "y")], {(0, b"a")}),
        ([tensor("a"), command("SUNIONSTORE", "a", "x")], set()),
        ([tensor("a"), command("SORT", "x", "STORE", "a")], set()),
        ([tensor("a"), command("SORT", "STORE", "BY", "a")], {(0, b"a")}),
        ([tensor("a"), command("RENAME", "a", "b")], {(0, b"b")}),
        ([tensor("a"), tensor("b"), command("RENAME", "x", "b")], {(0, b"a")}),
        ([tensor("a"), command("RENAMENX", "a", "b")], {(0, b"b")}),
        ([tensor("a"), command("COPY", "a", "b", "DB", 2)], {(0, b"a"), (2, b"b")}),
        ([tensor("a"), command("MOVE", "a", 5)], {(5, b"a")}),
        ([tensor("a"), command("SWAPDB", 0, 1)], {(1, b"a")}),
        ([tensor("a"), command("SELECT", 1), tensor("b"), command("FLUSHDB")], {(0, b"a")}),
        ([tensor("a"), command("SELECT", 1), tensor("b"), command("FLUSHALL")], set()),
        ([tensor("a"), command("HSET", "a", "f", "v")], {(0, b"a")}),
        ([command("MULTI"), tensor("a"), command("DISCARD")], set()),
        ([command("MULTI"), tensor("a"), command("EXEC")], {(0, b"a")}),
        ([command("RESTORE", "a", 0, dumped())], {(0, b"a")}),
        ([tensor("a"), command("RESTORE", "a", 0, b"\x00\x01x" + bytes(10), "REPLACE")], set()),
        ([command("SET", "long", b"x" * 100_000), tensor("a")], {(0, b"a")}),
        ([command("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", b""), command("AI.MODELDEL", "m")], set()),
    ],
)
def test_commands_do_to_keys_what_they_say(
    commands: list[bytes], keys: set[tuple[int, bytes]], tmp_path: Path
) -> None:
    assert set(left(tmp_path, *commands)) == keys


@pytest.mark.parametrize(
    "words",
    [
        *(("COPY", "a", "b", "DB", "x"), ("COPY", "a", "b", "DB")),
        *(("SWAPDB", "0"), ("SWAPDB", "0", "x"), ("MOVE", "a", "-1"), ("MOVE", "a", "9" * 5000)),
        *(("SELECT", "9" * 5000), ("SELECT", "-1"), ("PEXPIREAT", "a", "9" * 5000), ("EXPIRE", "a", "")),
    ],
)
def test_a_command_that_redis_would_have_refused_does_nothing(words: tuple[str, ...], tmp_path: Path) -> None:
    assert left(tmp_path, tensor("a"), command(*words), tensor("c")) == {(0, b"a"): None, (0, b"c"): None}


def test_when_keys_expire_is_followed(tmp_path: Path) -> None:
    later = made.EXPIRES_AT_MS

    assert left(
        tmp_path,
        *(tensor(key) for key in "abcd"),
        command("PEXPIREAT", "a", later),
        command("EXPIREAT", "b", later // 1000),
        command("PEXPIREAT", "c", later),
        command("PERSIST", "c"),
        command("PEXPIREAT", "d", made.LONG_AGO_MS),
        command("RESTORE", "e", later, dumped(), "ABSTTL"),
    ) == {(0, b"a"): later, (0, b"b"): later, (0, b"c"): None, (0, b"e"): later}


def test_a_restored_tensor_is_read_from_within_its_command(tmp_path: Path) -> None:
    path = tmp_path / "restored.aof"
    path.write_bytes(command("RESTORE", "a", 0, dumped()))
    (found,) = looked(path).found

    value = asyncio.run(FileSource(path).read(found))

    assert isinstance(value, StoredTensor)
    assert array_of(value).tolist() == [1.5]


def test_a_file_that_ends_in_a_command_leaves_it_out_and_says_so(tmp_path: Path) -> None:
    path, last = tmp_path / "crashed.aof", command("DEL", "a")

    for end in range(1, len(last)):
        path.write_bytes(tensor("a") + last[:end])
        found = looked(path)
        assert [one.key for one in found.found] == [b"a"]
        assert found.notes == ["crashed.aof ends in the middle of a command, which was left out"]


def test_a_transaction_without_an_end_is_left_out_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "crashed.aof"
    path.write_bytes(tensor("a") + command("MULTI") + command("DEL", "a") + tensor("b"))

    found = looked(path)

    assert [one.key for one in found.found] == [b"a"]
    assert found.notes == ["crashed.aof ends in the middle of a transaction, which was left out"]


def test_results_that_an_old_version_did_not_write_are_told_of(tmp_path: Path) -> None:
    path = tmp_path / "old.aof"
    path.write_bytes(tensor("a") + 2 * command("AI.MODELRUN", "m", "INPUTS", "a", "OUTPUTS", "b"))

    assert "the file has 2 commands AI.MODELRUN, whose results it does not hold" in looked(path).notes[0]


@pytest.mark.parametrize(
    "damage", [b"no command\r\n", b"*x\r\n", b"*1\r\n:5\r\n", b"*1\r\n$3\r\nabcde\r\n", b"*0\r\n"]
)
def test_what_is_no_command_is_refused_with_its_place(damage: bytes, tmp_path: Path) -> None:
    path, before = tmp_path / "damaged.aof", tensor("a")
    path.write_bytes(before + damage)

    with pytest.raises(FileDamaged) as met:
        looked(path)

    assert len(before) <= int(str(met.value.details["offset"])) <= len(before) + len(damage)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("AI.TENSORSET", "a", "FLOAT", 2, "BLOB", b"abc"), "data length does not match"),
        (("AI.MODELSTORE", "a", "ONNX", "CPU", "FILE", "x"), "it has no BLOB"),
        (("AI.MODELSTORE", "a", "ONNX", "CPU", "BATCHSIZE", "x", "BLOB", b""), "batch sizes are none"),
    ],
)
def test_a_command_that_stores_nothing_is_refused_by_its_key(
    words: tuple[object, ...], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.aof"
    path.write_bytes(command(*words))  # type: ignore[arg-type]  # the words of the cases above
    (found,) = looked(path).found

    with pytest.raises(ValueUnreadable, match=told) as met:
        asyncio.run(FileSource(path).read(found))

    assert "key 'a' of database 0" in str(met.value)


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        ("file gone.aof seq 1 type i\n", "it names gone.aof, which is not beside it"),
        ("file ../some.aof seq 1 type i\n", "not in its directory"),
        ("file some.aof seq one type i\n", "none of a manifest"),
        ("file some.aof\n", "none of a manifest"),
        ("\n", "it names no file"),
    ],
)
def test_a_manifest_that_is_none_is_refused(manifest: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "appendonly.aof.manifest"
    path.write_text(manifest)

    with pytest.raises(NotAFile, match=told):
        FileSource(path)


def test_a_name_with_a_blank_in_a_manifest_is_read(tmp_path: Path) -> None:
    (tmp_path / "my file.1.incr.aof").write_bytes(tensor("a"))
    (tmp_path / "a.manifest").write_text('file "my file.1.incr.aof" seq 1 type i\n')

    assert [one.key for one in looked(tmp_path).found] == [b"a"]


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"RESET everything", b"REDISxxxx"])
def test_a_file_of_something_else_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(data)

    with pytest.raises(NotAFile, match="give an RDB file"):
        looked(path)


async def test_a_look_that_is_given_up_goes_no_further(tmp_path: Path) -> None:
    path, told, going_on = tmp_path / "long.aof", Event(), Event()
    path.write_bytes(command("SET", "a", bytes(1 << 20)) * 64)
    calls: list[int] = []

    def watch(done: int, _of: int) -> None:
        calls.append(done)
        told.set()
        going_on.wait(10)

    look = asyncio.create_task(FileSource(path).look(watch))
    await asyncio.to_thread(told.wait, 10)
    look.cancel()
    with pytest.raises(asyncio.CancelledError):
        await look
    going_on.set()
    await asyncio.sleep(0.2)

    assert len(calls) == 1
