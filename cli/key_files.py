"""Whose key signs what commands publish, and whose signatures they ask for: from settings to keys, once a process."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli.errors import WrongUsage
from cli.settings import Settings
from models.errors import shown

if TYPE_CHECKING:
    from models.ed25519 import SigningKey
    from models.trust import Signing

PASSPHRASE_MOST_BYTES = 1023  # what OpenSSL takes to encrypt a key with


def signing_of(settings: Settings, *, signs: bool) -> "Signing":
    """Return what a store of these settings trusts, and where it `signs` what with.

    Raises: BadKey, SigningNotInstalled; WrongUsage, a passphrase is wanted and nobody can be asked, or
            INSITU_TRUSTED_KEYS names no key.
    """
    from models.trust import NO_SIGNING, Signing, Trust

    path = settings.sign_with if signs else None
    if path is None and not settings.trusted_keys:
        return NO_SIGNING
    key = None if path is None else signing_key(path, passphrase_of(settings))
    return Signing(key, Trust.of(entries_of(settings)))


def entries_of(settings: Settings) -> tuple[str, ...]:
    """Return the keys, and files of keys, that are trusted; none where the setting is not made.

    Raises: WrongUsage, it is made and names none: nobody who made it means to trust everybody.
    """
    given = settings.trusted_keys
    entries = tuple(filter(None, (one.strip() for one in (given or "").split(","))))
    if given and not entries:
        raise WrongUsage(
            f"INSITU_TRUSTED_KEYS is {shown(given)!r}: it names no key; "
            "leave it out to load every version, signed or not"
        )
    return entries


def passphrase_of(settings: Settings) -> str | None:
    """Return the passphrase that the environment gives.

    Raises: WrongUsage, no key can be encrypted with it.
    """
    given = settings.key_passphrase
    return None if given is None else checked(given.get_secret_value())


def checked(passphrase: str) -> str:
    """Return a passphrase that a key can be encrypted with.

    Raises: WrongUsage, which does not show it.
    """
    try:
        size = len(passphrase.encode())
    except UnicodeEncodeError as error:
        raise WrongUsage("the passphrase of the key is no UTF-8; choose another") from error
    if size > PASSPHRASE_MOST_BYTES:
        raise WrongUsage(
            f"the passphrase of the key has {size} bytes, the limit is {PASSPHRASE_MOST_BYTES}; shorten it"
        )
    return passphrase


@cache
def signing_key(path: Path, passphrase: str | None) -> "SigningKey":
    """Return the private key in a file; its passphrase is asked for where it has one that is not given, once.

    Raises: BadKey, SigningNotInstalled; WrongUsage, nobody can be asked.
    """
    from models.ed25519 import SigningKey, is_encrypted, read_private

    data = read_private(path)
    if passphrase is None and is_encrypted(data):
        passphrase = asked(f"Passphrase of {path}", confirm=False)
    return SigningKey.from_pem(data, f"the private key {shown(str(path))}", passphrase)


def asked(question: str, *, confirm: bool) -> str:
    """Return a passphrase that somebody types, who does not see it.

    Raises: WrongUsage, nobody is there to answer, or no key can be encrypted with the answer.
    """
    import sys

    if not sys.stdin.isatty():
        raise WrongUsage("nobody can be asked for the passphrase here; give it in INSITU_KEY_PASSPHRASE")
    return checked(str(typer.prompt(question, hide_input=True, confirmation_prompt=confirm, err=True)))
