"""Public keys of signatures, as they are pasted into a setting and written beside a private one."""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from models.errors import shown
from models.signing_errors import BadKey

KIND = "ed25519:"
KEY_BYTES = 32  # RFC 8032, 5.1.5
FINGERPRINT_DIGITS = 16
FILE_MOST_BYTES = 65_536
KEYS_MOST = 64
PEM = "-----BEGIN "


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 public key: 32 bytes, written `ed25519:` and their Base64."""

    raw: bytes

    def __str__(self) -> str:
        return KIND + b64encode(self.raw).decode()

    @property
    def fingerprint(self) -> str:
        """The first 16 hex digits of the SHA-256 of its bytes: what people compare."""
        return sha256(self.raw).hexdigest()[:FINGERPRINT_DIGITS]

    @classmethod
    def parse(cls, text: str) -> "PublicKey":
        """Read a key as `str` writes it.

        Raises: BadKey.
        """
        try:
            raw = b64decode(text.removeprefix(KIND), validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if not text.startswith(KIND) or len(raw) != KEY_BYTES:
            raise BadKey(
                f"{shown(text)!r} is no public key; `insitu key FILE` writes one to FILE.pub: "
                f"{KIND} and 44 characters"
            )
        return cls(raw)


def read_public(entry: str) -> tuple[PublicKey, ...]:
    """Return the keys that an entry of a setting names: one key, or a file with one a line.

    Raises: BadKey, naming the entry and the cure.
    """
    if entry.startswith(KIND):
        return (PublicKey.parse(entry),)
    lines = [*lines_of(Path(entry))]
    if not lines:
        raise BadKey(f"{shown(entry)!r} holds no public key; name FILE.pub of `insitu key FILE`")
    return tuple(map(PublicKey.parse, lines))


def lines_of(path: Path) -> Iterator[str]:
    """Give the keys in a file, what is behind a blank or a # left out.

    Raises: BadKey, it cannot be read, is too large, or holds a PEM.
    """
    place = shown(str(path))
    try:
        with path.open("rb") as file:
            text = file.read(FILE_MOST_BYTES + 1).decode("utf-8", "replace")
    except OSError as error:
        raise BadKey(
            f"{place!r} is neither a public key ({KIND}...) nor a file that can be read: {error.strerror}; "
            "name FILE.pub of `insitu key FILE`"
        ) from error
    if len(text) > FILE_MOST_BYTES:
        raise BadKey(f"{place!r} has more than {FILE_MOST_BYTES} bytes, and no file of keys has")
    if PEM in text:
        raise BadKey(f"{place!r} holds a PEM, maybe the private key; name the public one beside it, FILE.pub")
    for line in text.splitlines():
        if words := line.partition("#")[0].split():
            yield words[0]


def read_every_public(entries: tuple[str, ...]) -> tuple[PublicKey, ...]:
    """Return the keys that entries of a setting name, each once.

    Raises: BadKey; also where they are more than 64: each is tried against nothing but its own signatures, but
            nobody keeps an eye on so many.
    """
    found = tuple(dict.fromkeys(key for entry in entries for key in read_public(entry)))
    if len(found) > KEYS_MOST:
        raise BadKey(
            f"{len(found)} keys are trusted, the limit is {KEYS_MOST}; leave out those that sign no more"
        )
    return found
