"""Configuration: what AI.CONFIG sets, for all clients of the door of one process."""

from dataclasses import dataclass

CHUNK_BYTES = 535_822_336  # RedisAI's own: 511 MiB, since Redis refuses a string of 512 MiB


@dataclass(slots=True)
class Configuration:
    """What clients may set while the server runs; it ends with the process.

    Units: model_chunk_bytes, bytes of a model in one string of a reply.
    """

    model_chunk_bytes: int = CHUNK_BYTES
    backends_path: bytes | None = None
