"""Signature: what is signed of a version, word for word, and how the signature is written; it verifies nothing."""

import binascii
import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from models.public_keys import PublicKey
from models.signing_errors import BadKey

FORMAT = 1
SIGNATURE_BYTES = 64  # RFC 8032, 5.1.6
STORED_MOST_BYTES = 4096
NONE = "none"


@dataclass(frozen=True, slots=True)
class Subject:
    """One version as it is stored: the bytes of its manifest, and what these say of the ONNX file.

    `page` is the SHA-256 of the model card's page in hex, empty where there is none.
    """

    name: str
    version: int
    manifest: bytes
    digest: str
    page: str

    def statement(self) -> bytes:
        """Return what is signed: six lines, the same for the same version, and never what another program signs.

        Source: docs/signing.md#what-is-signed
        """
        lines = (
            f"insitu model signature {FORMAT}",
            f"model {self.name}",
            f"version {self.version}",
            f"manifest {sha256(self.manifest).hexdigest()}",
            f"onnx {self.digest}",
            f"card {self.page or NONE}",
        )
        return "".join(f"{line}\n" for line in lines).encode()


def digest_of(page: bytes) -> str:
    """Return the SHA-256 of a page in hex, empty where there is no page."""
    return sha256(page).hexdigest() if page else ""


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature as it is stored: of which key, of which page, and its 64 bytes."""

    key: PublicKey
    page: str
    signed: bytes

    def to_json(self) -> bytes:
        """Return the stored form."""
        signed = b64encode(self.signed).decode()
        return json.dumps(
            {"format": FORMAT, "key": str(self.key), "card": self.page, "signature": signed}
        ).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Signature":
        """Read the stored form.

        Raises: ValueError, it is none of this format.
        """
        if not data:
            raise ValueError("what lies there is no string")
        try:
            facts: Any = json.loads(data)
            if not isinstance(facts, dict) or facts.get("format") != FORMAT:
                raise ValueError(f"it is not of format {FORMAT}")
            key = PublicKey.parse(str(facts["key"]))
            signed = b64decode(str(facts["signature"]), validate=True)
        except (KeyError, BadKey, binascii.Error, RecursionError) as error:  # the last of lists within lists
            raise ValueError("it is malformed") from error
        if len(signed) != SIGNATURE_BYTES:
            raise ValueError("it is malformed")
        return cls(key, str(facts.get("card", "")), signed)
