"""Checking of keys that somebody listed: what no model can read is refused at once, with its place."""

from collections.abc import Callable, Sequence

from models.errors import BadRequest, shown
from models.templates import KEY_LIMIT_BYTES
from server.batch.parts import BETWEEN


def checked(keys: Sequence[bytes], place: Callable[[int], str]) -> Sequence[bytes]:
    """Return keys that are short and have no NUL in them; `place` says where the one at an index stands.

    Raises: BadRequest.
    """
    if max(map(len, keys), default=0) <= KEY_LIMIT_BYTES and not any(BETWEEN in key for key in keys):
        return keys
    for at, key in enumerate(keys):
        if len(key) > KEY_LIMIT_BYTES:
            raise too_long(place(at), key)
        if BETWEEN in key:
            raise BadRequest(
                f"{place(at)} is {shown(key)!r}, which has a NUL byte in it; no key that a model reads "
                "has one, so take it out, and give a file with columns a name that ends in .csv or .parquet"
            )
    return keys


def too_long(place: str, key: bytes) -> BadRequest:
    """Return the refusal of a key that is none."""
    return BadRequest(
        f"{place} begins {shown(key)!r} and is over {KEY_LIMIT_BYTES} bytes, which no key that a model reads is; "
        "take it out, or give each key a line or an entry of its own"
    )
