"""Write tests/data/redisai/: files as RedisAI's Redis leaves them, made by this writer and not by RedisAI.

    python -m tests.data.make_redisai

There is no RedisAI here. The bytes follow what is written of its format: of each encoding, 0 to 4,
one RDB file, and of the newest also an append-only file, one with an RDB before it, and the
directory of Redis 7. Values of ordinary types are not written here: real servers write those in
the tests.
"""

import struct
from pathlib import Path

import numpy as np

from cli.importing.checksum import crc64
from cli.importing.rdb_walk import NAME_CHARACTERS, NAMES, VERSION_BITS
from tests import graphs

FOLDER = Path(__file__).parent / "redisai"
ENCODINGS = range(5)
EXPIRES_AT_MS = 4_102_444_800_000  # the year 2100
LONG_AGO_MS = 1_000_000_000_000
SIGNED, UNSIGNED, STRING = 1, 2, 5
ONNX, TORCH = 3, 2

NUMBERS = np.array([[0.5, -1.25, 3.0], [1e-3, 65504.0, -0.0]], np.float32)
COUNTS = np.array([-5, 0, 7], np.int64)
FLAGS = np.array([True, False])
TEXTS = b"one\0two\0"
MODEL = graphs.scaled(3.0)
SCRIPT = b"def bar(a, b):\n    return a + b\n"


def length(number: int) -> bytes:
    """A length as RDB files have it, in as few bytes as it takes."""
    if number < 1 << 6:
        return bytes([number])
    if number < 1 << 14:
        return bytes([0x40 | number >> 8, number & 0xFF])
    return b"\x80" + struct.pack(">I", number) if number < 1 << 32 else b"\x81" + struct.pack(">Q", number)


def string(data: bytes) -> bytes:
    return length(len(data)) + data


def number(value: int) -> bytes:
    """A number within a module's value; Redis writes signed ones so too."""
    return length(UNSIGNED) + length(value & (1 << 64) - 1)


def text(data: bytes) -> bytes:
    """A string within a module's value."""
    return length(STRING) + string(data)


def module(name: str, encoding: int, *parts: bytes) -> bytes:
    """A module's value, without the byte that says so."""
    bits = 0
    for letter in name:
        bits = bits << 6 | NAMES.index(letter)
    assert len(name) == NAME_CHARACTERS
    return length(bits << VERSION_BITS | encoding) + b"".join(parts) + length(0)


def tensor(encoding: int, kind: tuple[int, int], shape: tuple[int, ...], data: bytes) -> bytes:
    """A tensor; `kind` is DLPack's code, and bits."""
    code, bits = kind
    if encoding == 4:
        offsets = [number(at) for at in (0, 4)] if code == 7 else []
        parts = [number(code), number(bits), *map(number, (len(shape), *shape)), text(data), *offsets]
        return module("AI_TENSOR", encoding, *parts)
    strides = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    head = (1, 0, bits, code, 1, len(shape), *shape, *strides, 0)
    return module("AI_TENSOR", encoding, *map(number, head), text(data))


def model(encoding: int, backend: int, file: bytes, tag: bytes = b"v1") -> bytes:
    """A model, its file in two chunks where the encoding cuts files."""
    head = [number(backend), text(b"CPU\0"), text(tag + b"\0" if encoding == 0 else tag)]
    head += [number(8), number(2), *([number(5)] if encoding >= 2 else [])]
    names = [number(1), text(b"x\0"), number(1), text(b"y\0")]
    cut = len(file) // 2
    chunks = [number(len(file)), number(2), text(file[:cut]), text(file[cut:])]
    return module("AI__MODEL", encoding, *head, *names, *([text(file)] if encoding == 0 else chunks))


def script(encoding: int) -> bytes:
    tag = b"s\0" if encoding == 0 else b"s"
    names = [number(1), text(b"bar\0")] if encoding >= 3 else []
    return module("AI_SCRIPT", encoding, text(b"CPU\0"), text(tag), text(SCRIPT + b"\0"), *names)


def entry(key: bytes, value: bytes, expires_at_ms: int | None = None) -> bytes:
    """A key with a module's value."""
    expiry = b"" if expires_at_ms is None else b"\xfc" + struct.pack("<q", expires_at_ms)
    return expiry + b"\x07" + string(key) + value


def database(index: int, *entries: bytes) -> bytes:
    return b"\xfe" + length(index) + b"\xfb" + length(len(entries)) + length(0) + b"".join(entries)


def rdb(*databases: bytes) -> bytes:
    """A whole file, its checksum at the end."""
    aux = b"\xfa" + string(b"redis-ver") + string(b"6.2.13")
    body = b"REDIS0009" + aux + b"".join(databases) + b"\xff"
    return body + struct.pack("<Q", crc64(body))


def everything(encoding: int) -> bytes:
    """A file with a tensor of each kind, models of two backends and a script, in two databases."""
    numbers = tensor(encoding, (2, 32), NUMBERS.shape, NUMBERS.tobytes())
    return rdb(
        database(
            0,
            entry(b"numbers", numbers),
            entry(b"counts", tensor(encoding, (0, 64), COUNTS.shape, COUNTS.tobytes()), EXPIRES_AT_MS),
            entry(b"flags", tensor(encoding, (6, 8), FLAGS.shape, FLAGS.tobytes())),
            *([entry(b"texts", tensor(encoding, (7, 8), (2,), TEXTS))] if encoding == 4 else []),
            entry(b"gone", numbers, LONG_AGO_MS),
            entry(b"model:{1}", model(encoding, ONNX, MODEL)),
            entry(b"torch", model(encoding, TORCH, b"PK\x03\x04")),
            entry(b"script", script(encoding)),
        ),
        database(3, entry(b"scalar", tensor(encoding, (2, 64), (), struct.pack("<d", 2.5)))),
    )


def command(*words: bytes | str | int) -> bytes:
    """A command as an append-only file has it."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def written() -> bytes:
    """What a RedisAI writes into its append-only file while it is used."""
    return b"".join(
        [
            b"#TS:1700000000\r\n",
            command("SELECT", 0),
            command("AI.TENSORSET", "t", "FLOAT", 2, "VALUES", "1.5", "2"),
            command("AI.TENSORSET", "blob", "INT64", 3, "BLOB", COUNTS.tobytes()),
            command("AI.TENSORSET", "deleted", "FLOAT", 1, "VALUES", 1),
            command("DEL", "deleted", "nothing"),
            command("AI.TENSORSET", "replaced", "FLOAT", 1, "VALUES", 1),
            command("SET", "replaced", "text"),
            command("AI.TENSORSET", "old", "FLOAT", 1, "VALUES", 9),
            command("RENAME", "old", "new"),
            command("PEXPIREAT", "new", EXPIRES_AT_MS),
            command("MULTI"),
            command("AI.TENSORSET", "both", "UINT8", 1, "VALUES", 3),
            command("EXEC"),
            stored_model(),
            command("AI.MODELSET", "tf", "TF", "CPU", "INPUTS", "a", "OUTPUTS", "b", "BLOB", b"graph"),
            command("AI.SCRIPTSET", "s", "CPU", "SOURCE", SCRIPT),
            command("SELECT", 3),
            command("AI.TENSORSET", "far", "DOUBLE", "BLOB", struct.pack("<d", 2.5)),
        ]
    )


def stored_model() -> bytes:
    """A model as a rewrite of the file has it, batch sizes of 0 included."""
    batching = ("BATCHSIZE", 0, "MINBATCHSIZE", 0, "MINBATCHTIMEOUT", 0)
    cut = len(MODEL) // 2
    return command(
        "AI.MODELSTORE", "m", "ONNX", "CPU", "TAG", "v1", *batching, "BLOB", MODEL[:cut], MODEL[cut:]
    )


def make(folder: Path) -> None:
    """Write every file."""
    (folder / "appendonlydir").mkdir(parents=True, exist_ok=True)
    for encoding in ENCODINGS:
        (folder / f"encoding-{encoding}.rdb").write_bytes(everything(encoding))
    (folder / "commands.aof").write_bytes(written())
    (folder / "preamble.aof").write_bytes(everything(4) + written())
    directory = folder / "appendonlydir"
    (directory / "appendonly.aof.1.base.rdb").write_bytes(everything(4))
    (directory / "appendonly.aof.2.incr.aof").write_bytes(written())
    (directory / "appendonly.aof.3.incr.aof").write_bytes(command("SELECT", 0) + command("DEL", "numbers"))
    (directory / "appendonly.aof.manifest").write_text(
        "file appendonly.aof.1.base.rdb seq 1 type b\n"
        "file appendonly.aof.1.incr.aof seq 1 type h\n"
        "file appendonly.aof.2.incr.aof seq 2 type i\n"
        "file appendonly.aof.3.incr.aof seq 3 type i\n"
    )


if __name__ == "__main__":
    make(FOLDER)
