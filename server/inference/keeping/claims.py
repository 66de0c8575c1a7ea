"""Claim: the right to fetch the bytes of a digest, which one process has at a time, and loses when it ends.

It is a lock of the system on an open file that is called DIGEST.part until all of its bytes are there. A process that
is killed leaves the file and no lock: the next one takes the file over, or sweeps it away.
"""

import fcntl
import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from server.inference.keeping.small_files import PRIVATE_FILE

PART = ".part"
PIECE_BYTES = 8 << 20


class Claim:
    """One file that is being fetched; it is to be released, written or not."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._written = False

    @classmethod
    def taken(cls, path: Path) -> "Claim | None":
        """Return the claim on a file to be; None where it is there by now, or another process has the claim.

        Raises: OSError.
        """
        part = path.with_name(path.name + PART)
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, PRIVATE_FILE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if same(part, descriptor):
                claim = cls(path, descriptor)
                if not path.exists():
                    return claim
                part.unlink()
        except BlockingIOError:
            pass
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def write(self, onnx: bytes) -> bool:
        """Write the bytes and give the file its name; False where they are not those of the digest.

        Raises: OSError.
        """
        view, digest = memoryview(onnx), sha256()
        with os.fdopen(os.dup(self._descriptor), "wb") as file:
            file.truncate(0)
            for at in range(0, len(view), PIECE_BYTES):
                file.write(view[at : at + PIECE_BYTES])
                digest.update(view[at : at + PIECE_BYTES])
            file.flush()
            if digest.hexdigest() != self._path.name:
                return False
            os.fsync(file.fileno())
        self._path.with_name(self._path.name + PART).replace(self._path)
        self._written = True
        return True

    def release(self) -> None:
        """Let others fetch it; what is not whole goes."""
        if not self._written:
            with suppress(OSError):
                self._path.with_name(self._path.name + PART).unlink(missing_ok=True)
        os.close(self._descriptor)


def same(path: Path, descriptor: int) -> bool:
    """Whether a path still leads to the file that was opened there: it may have got its name, or been swept, since."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def swept(part: Path) -> None:
    """Take a part away that a killed process has left; one that is being fetched stays.

    Raises: OSError.
    """
    claim = Claim.taken(part.with_suffix(""))
    if claim is not None:
        claim.release()
