"""Trust: whose signatures count, and what is wrong with a version that none of them has signed."""

from collections.abc import Iterable
from dataclasses import dataclass

from models.ed25519 import SigningKey, check_installed, fits
from models.errors import listed
from models.public_keys import PublicKey, read_every_public
from models.signature import Signature, Subject
from models.signatures import StoredVersion
from models.signing_errors import UNSIGNED, NotTrusted

AGAIN = "publish it again from its source, signed"


@dataclass(frozen=True, slots=True)
class Trust:
    """The keys whose signatures count: a version of which none has signed what is stored is not loaded."""

    keys: tuple[PublicKey, ...]

    @classmethod
    def of(cls, entries: Iterable[str]) -> "Trust | None":
        """Return the trust in keys, pasted or in files; None without any: then everything is loaded.

        Raises: BadKey; SigningNotInstalled.
        """
        given = tuple(entries)
        if not given:
            return None
        check_installed()
        return cls(read_every_public(given))

    def __str__(self) -> str:
        return listed(key.fingerprint for key in self.keys)

    def check(self, subject: Subject, stored: bytes | None) -> None:
        """Refuse a version whose stored signature is not one of it by one of the keys.

        Raises: NotTrusted, saying what is wrong and the cure.
        """
        place = (subject.name, subject.version)
        sign = f"sign it: `insitu sign {subject.name}:{subject.version} --key FILE`"
        if stored is None:
            raise NotTrusted(*place, UNSIGNED, sign)
        try:
            signature = Signature.from_json(stored)
        except ValueError as error:
            raise NotTrusted(*place, f"its signature cannot be read: {error}", sign) from error
        key = signature.key
        if key not in self.keys:
            known = f"none of those that are trusted here ({self})"
            cure = "sign it with one of these; where you know whose that key is, INSITU_TRUSTED_KEYS can name it too"
            raise NotTrusted(*place, f"it is signed by the key {key.fingerprint}, {known}", cure)
        if signature.page != subject.page:
            raise NotTrusted(
                *place, f"its model card is not the one that {key.fingerprint} has signed", AGAIN
            )
        if not fits(signature, subject):
            reason = f"the signature of {key.fingerprint} is not of what is stored: it was altered"
            raise NotTrusted(*place, reason, AGAIN)


@dataclass(frozen=True, slots=True)
class Signing:
    """What a store signs what it publishes with, and whose signatures it asks of what it loads; None for neither."""

    key: SigningKey | None = None
    trust: Trust | None = None

    def check(self, stored: StoredVersion, page: bytes | None) -> None:
        """Refuse a version that no trusted key has signed, where that is asked for; None for a page that nobody reads.

        Raises: NotTrusted; ManifestUnreadable.
        """
        if self.trust is not None:
            self.trust.check(stored.subject(page), stored.signature)


NO_SIGNING = Signing()
