"""key: makes a pair of keys that sign models; the private one stays in its file, the public one is pasted."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import WrongUsage
from cli.key_files import asked, passphrase_of
from cli.manual import SERVER, Command
from cli.options import AsJson
from cli.settings import Settings, read_settings
from cli.terminal import Terminal
from models.errors import shown

PUBLIC_SUFFIX = ".pub"
PRIVATE_MODE, PUBLIC_MODE = 0o600, 0o644


def key(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Where the private key goes; the public one to FILE.pub.", show_default=False
        ),
    ],
    *,
    passphrase: Annotated[
        bool,
        typer.Option(
            "--passphrase",
            help="Encrypt it with a passphrase that is asked for. Environment: INSITU_KEY_PASSPHRASE.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a key that signs models: the private part for who publishes, the public one for servers."""
    from models.ed25519 import SigningKey

    if not file.name:
        raise WrongUsage(f"{shown(str(file))} is a directory; name a file in it")
    secret = secret_of(read_settings(), wanted=passphrase)
    made, beside = SigningKey.new(), file.with_name(file.name + PUBLIC_SUFFIX)
    entry = str(made.public)
    write_new({file: (made.to_pem(secret), PRIVATE_MODE), beside: (f"{entry}\n".encode(), PUBLIC_MODE)})
    terminal = Terminal(as_json=as_json)
    if as_json:
        facts = {"fingerprint": made.public.fingerprint, "private": str(file), "public": str(beside)}
        terminal.emit(facts | {"entry": entry, "encrypted": secret is not None})
        return
    terminal.fields(
        [
            ("fingerprint", made.public.fingerprint),
            ("private", f"{file}{', encrypted' if secret else ''}"),
            ("public", beside),
            ("entry", entry),
        ]
    )
    terminal.note(
        f"Who publishes keeps the private key: insitu publish ... --sign-with {file}, or INSITU_SIGN_WITH={file}.\n"
        "The server keeps the entry, or the public file: INSITU_TRUSTED_KEYS=ENTRY, several separated by commas."
    )


def secret_of(settings: Settings, *, wanted: bool) -> str | None:
    """Return the passphrase to encrypt a key with, None for none.

    Raises: WrongUsage, it is wanted and nobody can be asked.
    """
    given = passphrase_of(settings)
    return asked("Passphrase", confirm=True) if wanted and given is None else given


def write_new(files: dict[Path, tuple[bytes, int]]) -> None:
    """Write files with their modes, none of which is there yet, or none of them.

    Raises: WrongUsage.
    """
    written: list[Path] = []
    try:
        for path, (data, mode) in files.items():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            written.append(path)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
    except OSError as error:
        for path in written:
            path.unlink()
        raise WrongUsage(unwritten(error)) from error


def unwritten(error: OSError) -> str:
    """Return why a key was not written, and what to do."""
    place = shown(str(error.filename))
    if isinstance(error, FileExistsError):
        return f"{place} is there already, and no key is written over another; name another file"
    return f"{place} cannot be written: {error.strerror}"


COMMANDS = (
    Command(
        SERVER,
        key,
        ("insitu key release.key", "insitu key release.key --passphrase", "insitu key ./ci.key --json"),
        "0 made",
    ),
)
