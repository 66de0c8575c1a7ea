"""Errors of signing, which carry the facts and know no transport, like those of `models/errors.py`.

InsituError
  NotTrusted         a stored version that no trusted key has signed as it is
  UnsignedUpload     a file that nobody can have signed, where only signed versions are loaded
  BadKey             a key that is none, or cannot be read
  SigningNotInstalled  the package that signs and verifies is not there
"""

from models.errors import InsituError, shown

UNSIGNED = "it is unsigned"


class NotTrusted(InsituError):
    """A stored version that none of the trusted keys has signed as it lies in Redis; it is never run."""

    code = "not_trusted"

    def __init__(self, name: str, version: int, reason: str, cure: str) -> None:
        super().__init__(
            f"version {version} of model {name!r} is not trusted: {reason}; {cure}",
            model=name,
            version=version,
            reason=reason,
        )


class UnsignedUpload(InsituError):
    """A model file that came over the network to a server that loads only what trusted keys have signed."""

    code = "unsigned_upload"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"nothing is stored of model {shown(name)!r}: this server loads only versions that a key of "
            "INSITU_TRUSTED_KEYS has signed, and an upload has no signature; publish it where the key is: "
            f"`insitu publish FILE --name {shown(name)} --sign-with KEY`",
            model=shown(name),
        )


class BadKey(InsituError):
    """A key for signatures that is none or cannot be read."""

    code = "bad_key"


class SigningNotInstalled(InsituError):
    """The package that signs and verifies is not in this environment."""

    code = "not_installed"

    def __init__(self) -> None:
        super().__init__(
            "signatures need the Python package 'cryptography', which is not installed; "
            "run: pip install 'insitu[server]'"
        )
