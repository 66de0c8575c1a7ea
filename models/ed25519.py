"""Ed25519 by the package `cryptography`: pairs of keys, signing, verifying; nothing else here knows that package.

It is loaded with the first key: most processes sign nothing and trust everybody.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.errors import shown
from models.public_keys import PublicKey
from models.signature import Signature, Subject
from models.signing_errors import BadKey, SigningNotInstalled

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

OTHERS = 0o077  # bits of a mode: what group and world may do
FILE_MOST_BYTES = 65_536
PRIVATE, ENCRYPTED = b"PRIVATE KEY", b"ENCRYPTED PRIVATE KEY"


@contextmanager
def installed() -> Iterator[None]:
    """Import what signs.

    Raises: SigningNotInstalled.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise SigningNotInstalled from error


def check_installed() -> None:
    """Stop where signatures cannot be verified here.

    Raises: SigningNotInstalled.
    """
    with installed():
        import cryptography.hazmat.primitives.asymmetric.ed25519  # noqa: F401, PLC0415  # only who signs has it


def fits(signature: Signature, subject: Subject) -> bool:
    """Whether a signature is of this version and by the key that it names.

    Raises: SigningNotInstalled.
    """
    with installed():
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # as above
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415  # as above
            Ed25519PublicKey,
        )
    with suppress(InvalidSignature, ValueError):
        Ed25519PublicKey.from_public_bytes(signature.key.raw).verify(signature.signed, subject.statement())
        return True
    return False


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key; what it holds is never shown."""

    private: "Ed25519PrivateKey"

    def __repr__(self) -> str:
        return f"SigningKey({self.public.fingerprint})"

    @property
    def public(self) -> PublicKey:
        """The key that verifies what this one signs."""
        return PublicKey(self.private.public_key().public_bytes_raw())

    def sign(self, subject: Subject) -> Signature:
        """Return the signature of a version."""
        return Signature(self.public, subject.page, self.private.sign(subject.statement()))

    @classmethod
    def new(cls) -> "SigningKey":
        """Make a key.

        Raises: SigningNotInstalled.
        """
        with installed():
            from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415  # as above
                Ed25519PrivateKey,
            )
        return cls(Ed25519PrivateKey.generate())

    def to_pem(self, passphrase: str | None = None) -> bytes:
        """Return the key as PKCS #8 in PEM, encrypted where there is a passphrase."""
        from cryptography.hazmat.primitives import serialization as forms  # noqa: PLC0415  # as above

        sealed: Any = forms.NoEncryption()
        if passphrase:
            sealed = forms.BestAvailableEncryption(passphrase.encode())
        return self.private.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, sealed)

    @classmethod
    def from_pem(cls, data: bytes, place: str, passphrase: str | None = None) -> "SigningKey":
        """Read a key; `place` is where it comes from, for a message.

        Raises: BadKey, no key, one of another kind, or another passphrase; SigningNotInstalled.
        """
        with installed():
            from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  # as above
            from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  # as above
            from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415  # as above
                Ed25519PrivateKey,
            )
        secret = passphrase.encode() if passphrase and is_encrypted(data) else None
        try:
            private = serialization.load_pem_private_key(data, secret)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise BadKey(f"{place} {fault(data, passphrase)}") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise BadKey(f"{place} holds a key of another kind than Ed25519; `insitu key FILE` makes one")
        return cls(private)


def is_encrypted(data: bytes) -> bool:
    """Whether a PEM wants a passphrase."""
    return ENCRYPTED in data


def fault(data: bytes, passphrase: str | None) -> str:
    """Return why a private key could not be read, and what to do."""
    if not is_encrypted(data):
        return "holds no private key in PEM; `insitu key FILE` makes one, and FILE.pub is the public one"
    if passphrase:
        return "is encrypted with another passphrase than the one that is given"
    return "is encrypted; give its passphrase in INSITU_KEY_PASSPHRASE"


def read_private(path: Path) -> bytes:
    """Return the PEM in a file.

    Raises: BadKey, it cannot be read, or others than its owner can read it.
    """
    place = shown(str(path))
    try:
        with path.open("rb") as file:
            mode, data = os.fstat(file.fileno()).st_mode, file.read(FILE_MOST_BYTES + 1)
    except OSError as error:
        raise BadKey(
            f"the private key {place} cannot be read: {error.strerror}; `insitu key FILE` makes one"
        ) from error
    if len(data) > FILE_MOST_BYTES:
        raise BadKey(f"{place} has more than {FILE_MOST_BYTES} bytes, and no private key has")
    if mode & OTHERS and PRIVATE in data and not is_encrypted(data):
        raise BadKey(f"others than its owner can read the private key {place}; chmod 600 {place}")
    return data
