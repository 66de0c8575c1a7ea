"""Execution: where a model was stored through the Redis protocol, and how its publisher wants it run.

Keys and tags are any bytes, JSON is not: `text_of` writes them as text, `bytes_of` reads them again.
"""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

TEXT_LIMIT = 65_536  # characters of a key or a tag as they are stored
ROWS_LIMIT = (1 << 63) - 1
ESCAPED = re.compile(r"\\(?:\\|x[0-9a-f]{2})")

Text = Annotated[str, Field(max_length=TEXT_LIMIT)]
Rows = Annotated[int, Field(ge=0, le=ROWS_LIMIT)]


class Execution(BaseModel):
    r"""How a model at a key was stored.

    `key` and `tag` as `text_of` writes them: UTF-8, other bytes as `\xff`, a backslash twice. `db`
    is the database the key was in. `device` is RedisAI's word. 0 rows, and 0 milliseconds, are not
    set.

    Units: rows; min_batch_wait_ms, milliseconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Text
    db: Annotated[int, Field(ge=0)] = 0
    device: Annotated[str, Field(max_length=16)] = "CPU"
    tag: Text = ""
    batch_rows: Rows = 0
    min_batch_rows: Rows = 0
    min_batch_wait_ms: Rows = 0

    @property
    def place(self) -> bytes:
        """The key itself."""
        return bytes_of(self.key)


def text_of(data: bytes) -> str:
    r"""Return bytes as text that gives them back: what is no UTF-8 as `\xff`, a backslash twice."""
    return data.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def bytes_of(text: str) -> bytes:
    """Return the bytes that `text_of` has written."""
    parts, at = [], 0
    for found in ESCAPED.finditer(text):
        parts.append(text[at : found.start()].encode())
        parts.append(b"\\" if found[0] == "\\\\" else bytes.fromhex(found[0][2:]))
        at = found.end()
    return b"".join((*parts, text[at:].encode()))
