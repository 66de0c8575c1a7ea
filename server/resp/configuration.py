"""Configuration: what AI.CONFIG sets, for the clients of all workers of a server; it ends with the server.

Where there are several workers, each value is a file in the directory that they share. It is read anew each time: what
needs it is rare, and sends a model along.
"""

import os
from contextlib import suppress
from pathlib import Path

CHUNK_BYTES = 535_822_336  # RedisAI's own: 511 MiB, since Redis refuses a string of 512 MiB
CHUNK, BACKENDS = "model_chunk_bytes", "backends_path"


class Configuration:
    """What clients may set while the server runs; in `shared`, a directory, for all workers that share it.

    Units: model_chunk_bytes, bytes of a model in one string of a reply.
    """

    def __init__(self, shared: Path | None = None) -> None:
        self._shared = shared
        self._own: dict[str, bytes] = {}

    @property
    def model_chunk_bytes(self) -> int:
        """How long one string of a model's file may be.

        Raises: OSError, what is shared cannot be read.
        """
        said = self._get(CHUNK)
        return CHUNK_BYTES if said is None else int(said)

    @model_chunk_bytes.setter
    def model_chunk_bytes(self, size: int) -> None:
        self._set(CHUNK, b"%d" % size)

    @property
    def backends_path(self) -> bytes | None:
        """A path that nothing is loaded from.

        Raises: OSError, what is shared cannot be read.
        """
        return self._get(BACKENDS)

    @backends_path.setter
    def backends_path(self, path: bytes) -> None:
        self._set(BACKENDS, path)

    def _get(self, name: str) -> bytes | None:
        if self._shared is None:
            return self._own.get(name)
        try:
            return self._file(name).read_bytes()
        except FileNotFoundError:
            return None

    def _set(self, name: str, value: bytes) -> None:
        """Put a value in the place of another one at once: nobody reads half of it.

        Raises: OSError, what is shared cannot be written.
        """
        if self._shared is None:
            self._own[name] = value
            return
        mine = self._shared / f"config-{name}.{os.getpid()}"
        try:
            mine.write_bytes(value)
            mine.replace(self._file(name))
        except OSError:
            with suppress(OSError):
                mine.unlink()
            raise

    def _file(self, name: str) -> Path:
        return (self._shared or Path()) / f"config-{name}"
