"""AI.CONFIG: of what RedisAI lets be set, the length of chunks means something here."""

import re
from collections.abc import Callable

from server.resp.caller import Caller
from server.resp.commands.command import Command, Words
from server.resp.commands.model_parsing import BACKENDS, ONNX
from server.resp.commands.vouching import check_writes
from server.resp.configuration import Configuration
from server.resp.refusals import Refused, refused
from server.resp.wire.replies import OK, bulk, integer

ARITY = "ERR wrong number of arguments for 'ai.config' command"
CHUNK = re.compile(rb"[1-9]\d{0,17}")


async def config(caller: Caller, args: Words) -> bytes:
    """Answer AI.CONFIG.

    What is set holds for the clients of every worker, until the server ends; whoever sets it must be one
    who may run scripts.

    Raises: Refused; RedisUnavailable.
    """
    if args[0].upper() == b"GET":
        return got(caller, args[1:])
    change = CHANGES.get(args[0].upper())
    if change is None:
        raise refused("unsupported subcommand")
    await check_writes(caller)
    change(caller.configuration, args[1:])
    return OK


def got(caller: Caller, words: Words) -> bytes:
    """Return a value that can be set; nothing for any other name.

    Raises: Refused.
    """
    if len(words) != 1:
        raise Refused(ARITY)
    name, configuration = words[0].upper(), caller.configuration
    if name == b"MODEL_CHUNK_SIZE":
        return integer(configuration.model_chunk_bytes)
    path = configuration.backends_path if name == b"BACKENDSPATH" else None
    return caller.wire.null if path is None else bulk(path)


def set_chunk_size(configuration: Configuration, words: Words) -> None:
    """Set how long one string of a model's file may be.

    Raises: Refused.
    """
    if not words:
        raise refused("MODEL_CHUNK_SIZE: missing chunk size")
    if not CHUNK.fullmatch(words[0]):
        raise refused("MODEL_CHUNK_SIZE: invalid chunk size")
    configuration.model_chunk_bytes = int(words[0])


def set_path(configuration: Configuration, words: Words) -> None:
    """Keep a path that nothing is loaded from.

    Raises: Refused.
    """
    if not words:
        raise refused("BACKENDSPATH: missing path argument")
    configuration.backends_path = words[0]


def load_backend(_configuration: Configuration, words: Words) -> None:
    """Take the one backend for loaded that is.

    Raises: Refused.
    """
    if len(words) != 2:
        raise Refused(ARITY)
    if words[0].upper() not in BACKENDS:
        raise refused("unsupported backend")
    if words[0].upper() != ONNX:
        raise refused("error loading backend")


CHANGES: dict[bytes, Callable[[Configuration, Words], None]] = {
    b"MODEL_CHUNK_SIZE": set_chunk_size,
    b"BACKENDSPATH": set_path,
    b"LOADBACKEND": load_backend,
}
COMMANDS: tuple[Command, ...] = (
    Command(
        "AI.CONFIG",
        -2,
        config,
        "Set or return what can be set while the server runs",
        "GET name | MODEL_CHUNK_SIZE bytes | BACKENDSPATH path | LOADBACKEND backend path",
        ("write",),
        least=3,
    ),
)
