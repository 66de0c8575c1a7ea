"""The words of AI.MODELSTORE and AI.MODELSET -> the model to be stored; checked in RedisAI's order.

Source: https://oss.redis.com/redisai/commands/
"""

import re
from dataclasses import dataclass

from models.execution import TEXT_LIMIT, Execution, text_of
from server.resp.commands.command import Words
from server.resp.refusals import Refused, refused

ONNX = b"ONNX"
BACKENDS = (ONNX, b"TF", b"TFLITE", b"TORCH")
NO_BACKEND = "Could not load backend"
DEVICE = re.compile(rb"(?:CPU|GPU)(?::\d{1,5})?", re.IGNORECASE)  # fewer than 10 characters
COUNT = re.compile(rb"0|[1-9]\d{0,17}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model as it is to be stored at a key; its file is the chunks, one after the other, until they are joined."""

    key: bytes
    execution: Execution
    chunks: list[bytes]


@dataclass(frozen=True, slots=True)
class Batching:
    """What is said of batches; 0 is not set.

    Units: rows; wait_ms, milliseconds.
    """

    rows: int = 0
    least_rows: int = 0
    wait_ms: int = 0


class Cursor:
    """The words that are not read yet."""

    def __init__(self, words: Words, at: int = 0) -> None:
        self._words = words
        self._at = at

    @property
    def over(self) -> bool:
        """Whether every word is read."""
        return self._at >= len(self._words)

    @property
    def rest(self) -> Words:
        """The words that are left."""
        return self._words[self._at :]

    def matches(self, word: bytes) -> bool:
        """Whether the next word is that one, whatever its case; then it is read."""
        found = not self.over and self._words[self._at].upper() == word
        self._at += found
        return found

    def take(self) -> bytes:
        """Read a word; an empty one where there is none."""
        self._at += 1
        return self._words[self._at - 1] if self._at <= len(self._words) else b""

    def skip_to(self, word: bytes) -> None:
        """Pass everything before a word over."""
        while not self.over and self._words[self._at].upper() != word:
            self._at += 1

    def count(self, option: bytes) -> int:
        """Read the number of an option.

        Raises: Refused.
        """
        word = self.take()
        if not COUNT.fullmatch(word):
            raise refused(f"Invalid argument for {option.decode()}")
        return int(word)


def parse_modelstore(words: Words, db: int) -> Wanted:
    """Return what AI.MODELSTORE is to store, from its words after the name; `db` is where.

    Raises: Refused.
    """
    backend, device, cursor = begun(words)
    tag = cursor.take() if cursor.matches(b"TAG") else b""
    batching = batching_of(cursor)
    if backend == ONNX and cursor.matches(b"INPUTS"):
        raise refused("INPUTS argument should not be specified for this backend")
    check_backend(backend)
    if cursor.over:
        raise refused("Insufficient arguments, missing model BLOB")
    if not cursor.matches(b"BLOB"):
        raise refused("Invalid argument, expected BLOB")
    return Wanted(words[0], execution_of(words[0], db, device, tag, batching), [*cursor.rest])


def parse_modelset(words: Words, db: int) -> Wanted:
    """Return what AI.MODELSET is to store, from its words after the name; `db` is where.

    Raises: Refused.
    """
    backend, device, cursor = begun(words)
    tag = cursor.take() if cursor.matches(b"TAG") else b""
    batching = batching_of(cursor, whole="BATCHSIZE")
    if cursor.over:
        raise refused("Insufficient arguments, missing model BLOB")
    if backend == b"TF":
        check_names(cursor)
    cursor.skip_to(b"BLOB")
    if not cursor.matches(b"BLOB") or cursor.over:
        raise refused("Insufficient arguments, missing model BLOB")
    check_backend(backend)
    return Wanted(words[0], execution_of(words[0], db, device, tag, batching), [*cursor.rest])


def begun(words: Words) -> tuple[bytes, str, Cursor]:
    """Return the backend and the device that are named, and the words after them.

    Raises: Refused.
    """
    backend, device = words[1].upper(), words[2]
    if backend not in BACKENDS:
        raise refused("unsupported backend")
    if not DEVICE.fullmatch(device):
        raise refused("Invalid DEVICE")
    return backend, device.decode(), Cursor(words, 3)


def check_backend(backend: bytes) -> None:
    """Refuse what ONNX Runtime does not run.

    Raises: Refused.
    """
    if backend != ONNX:
        raise refused(NO_BACKEND)


def batching_of(cursor: Cursor, whole: str = "MINBATCHSIZE") -> Batching:
    """Return what is said of batches; `whole` is what MINBATCHTIMEOUT is missed first.

    Raises: Refused.
    """
    rows = cursor.count(b"BATCHSIZE") if cursor.matches(b"BATCHSIZE") else 0
    least = wait = 0
    if cursor.matches(b"MINBATCHSIZE"):
        if not rows:
            raise refused("MINBATCHSIZE specified without BATCHSIZE")
        least = cursor.count(b"MINBATCHSIZE")
    if cursor.matches(b"MINBATCHTIMEOUT"):
        if not rows or not least:
            missed = "MINBATCHSIZE" if rows else whole
            raise refused(f"MINBATCHTIMEOUT specified without {missed}")
        wait = cursor.count(b"MINBATCHTIMEOUT")
    return Batching(rows, least, wait)


def check_names(cursor: Cursor) -> None:
    """Refuse a model of TensorFlow that says too little, as RedisAI does, before anything else is said of it.

    Raises: Refused.
    """
    said = [word.upper() for word in cursor.rest]
    said = said[: said.index(b"BLOB")] if b"BLOB" in said else said
    if not said:
        raise refused("Insufficient arguments, INPUTS and OUTPUTS not specified")
    if said[0] != b"INPUTS":
        raise refused("INPUTS not specified")
    if b"OUTPUTS" not in said:
        raise refused("OUTPUTS not specified")


def execution_of(key: bytes, db: int, device: str, tag: bytes, batching: Batching) -> Execution:
    """Return what the manifest keeps of it.

    Raises: Refused, a key or a tag that is too long for a manifest.
    """
    texts = text_of(key), text_of(tag)
    if max(map(len, texts)) > TEXT_LIMIT:
        raise Refused(f"ERR a model's key and tag may have {TEXT_LIMIT} characters each; name it shorter")
    return Execution(
        key=texts[0],
        db=db,
        device=device,
        tag=texts[1],
        batch_rows=batching.rows,
        min_batch_rows=batching.least_rows,
        min_batch_wait_ms=batching.wait_ms,
    )
