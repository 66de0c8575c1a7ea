"""ModelPointer: what stands at a key of Redis in place of a model: its name and version in the store.

It is a plain string, so that DEL, EXPIRE, RENAME and COPY do to it what they say.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

import orjson

from models.keys import NAME, VERSION_DIGITS

START = b'{"insitu_model":'
FIELDS = {"insitu_model", "version"}
POINTERS_KEPT = 1024
POINTER_BYTES = 512  # a name has 128 characters at most
OTHERS = re.compile(r"[^A-Za-z0-9._-]+")
READABLE_CHARACTERS = 100
DIGEST_DIGITS = 8


@dataclass(frozen=True, slots=True)
class ModelPointer:
    """The version of a model that a key stands for."""

    name: str
    version: int

    def pack(self) -> bytes:
        """Return the string that is stored at the key."""
        return b'%b"%b","version":%d}' % (START, self.name.encode(), self.version)

    @classmethod
    def parse(cls, value: bytes) -> "ModelPointer | None":
        """Return the pointer that a string is, None when it is none."""
        if not value.startswith(START) or len(value) > POINTER_BYTES:
            return None
        return parsed(value)


@lru_cache(POINTERS_KEPT)
def parsed(value: bytes) -> ModelPointer | None:
    """Return the pointer that a short string is, which begins as one does."""
    try:
        said = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    return of_facts(said) if isinstance(said, dict) and set(said) == FIELDS else None


def of_facts(said: dict[str, Any]) -> ModelPointer | None:
    """Return the pointer that a JSON object says, None when its name or its number is none."""
    name, version = said["insitu_model"], said["version"]
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return None
    if type(version) is not int or not 0 < version < 10**VERSION_DIGITS:
        return None
    return ModelPointer(name, version)


def name_of(key: bytes) -> str:
    """Return the name of the model that is stored at a key.

    The key itself where it can be one; else what can be read of it, and the start of its SHA-256.
    """
    text = key.decode("utf-8", "replace")
    if NAME.fullmatch(text):
        return text
    readable = OTHERS.sub("-", text).lstrip("._-")[:READABLE_CHARACTERS].rstrip("._-") or "model"
    return f"{readable}-{sha256(key).hexdigest()[:DIGEST_DIGITS]}"
