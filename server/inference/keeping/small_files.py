"""Small files that are whole or not there, each with the SHA-256 of what it says."""

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

SMALL_BYTES = 64 << 20  # a manifest of 65,536 long labels is shorter
DRAFT = ".new"
PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


def written(path: Path, payload: bytes) -> None:
    """Write a file, in the place of one that is there; who reads sees the old one or the new one.

    Raises: OSError.
    """
    path.parent.mkdir(PRIVATE_FOLDER, exist_ok=True)
    draft = path.with_name(f"{path.name}.{token_hex(8)}{DRAFT}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(sealed(payload))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def read(path: Path) -> bytes | None:
    """Return what a file says, None where it is damaged, or not a file at all.

    Raises: FileNotFoundError; OSError.
    """
    return unsealed(start_of(path, SMALL_BYTES))


def start_of(path: Path, most: int) -> bytes:
    """Return the bytes of a file, one more than `most` where it has more; of what is no plain file, none.

    Raises: FileNotFoundError; OSError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        if path.is_symlink():  # nobody of ours has made it
            return b""
        raise
    with os.fdopen(descriptor, "rb") as file:
        there = os.fstat(
            file.fileno()
        ).st_size  # room is made for what is asked for, and a manifest may say anything
        return file.read(min(most, there) + 1)


def sealed(payload: bytes) -> bytes:
    """Return what is written to say something."""
    return b"%b\n%b" % (sha256(payload).hexdigest().encode(), payload)


def unsealed(data: bytes) -> bytes | None:
    """Return what was sealed, None where that is damaged."""
    digest, _, payload = data.partition(b"\n")
    return payload if sha256(payload).hexdigest().encode() == digest else None


def removed(path: Path) -> None:
    """Take a file or an empty folder away, which may be gone already; a folder with something in it stays.

    Raises: OSError.
    """
    try:
        path.unlink(missing_ok=True)
    except (IsADirectoryError, PermissionError):  # the latter is what macOS says of a folder
        with suppress(OSError):
            path.rmdir()
