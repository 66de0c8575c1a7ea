"""A value of RedisAI from the command that stored it, as an append-only file has it."""

from collections.abc import Sequence

from cli.importing.errors import ValueUnreadable
from cli.importing.inventory import Found
from cli.importing.values import ONNX, RaiModel, RaiScript, Value
from models.execution import Execution, text_of
from models.tensor_strings import StoredTensor
from server.resp.commands.tensors import parse_tensorset
from server.resp.refusals import Refused

OPTIONS = {
    b"BATCHSIZE": "batch_rows",
    b"MINBATCHSIZE": "min_batch_rows",
    b"MINBATCHTIMEOUT": "min_batch_wait_ms",
}


def value_of_command(words: Sequence[bytes], found: Found) -> Value:
    """Return what a command has stored.

    Raises: ValueUnreadable.
    """
    if found.kind == "script":
        return RaiScript()
    return tensor_of(words, found) if found.kind == "tensor" else model_of(words, found)


def unreadable(found: Found, why: str) -> ValueUnreadable:
    """Return the error of a command that stores nothing."""
    return ValueUnreadable(
        f"the {found.kind} at key {found.name!r} of database {found.db} cannot be read from its command ({why}); "
        "store it again in RedisAI, and import it with --match",
        key=found.name,
        db=found.db,
    )


def tensor_of(words: Sequence[bytes], found: Found) -> StoredTensor:
    """Return the tensor of AI.TENSORSET."""
    try:
        return parse_tensorset(words[1:])[1]
    except Refused as error:
        raise unreadable(found, str(error).removeprefix("ERR ")) from error


def model_of(words: Sequence[bytes], found: Found) -> RaiModel:
    """Return the model of AI.MODELSTORE or AI.MODELSET.

    RedisAI itself writes batch sizes of 0 into the file, which the commands refuse.
    """
    upper = [word[:16].upper() for word in words]
    if len(words) < 6 or b"BLOB" not in upper[4:]:
        raise unreadable(found, "it has no BLOB")
    blob = upper.index(b"BLOB", 4)
    said = execution_of(words[3], options(words[4:blob]), found)
    backend = words[2].upper().decode("utf-8", "replace")
    return RaiModel(backend, said, b"".join(words[blob + 1 :]) if backend == ONNX else b"")


def options(words: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the options before the BLOB; names of inputs and outputs are in the file itself."""
    said: dict[bytes, bytes] = {}
    at = 0
    while at + 1 < len(words) and (name := words[at].upper()) in (b"TAG", *OPTIONS):
        said[name] = words[at + 1]
        at += 2
    return said


def execution_of(device: bytes, said: dict[bytes, bytes], found: Found) -> Execution:
    """Return how a model was stored."""
    try:
        numbers = {field: int(said[name]) for name, field in OPTIONS.items() if name in said}
        return Execution(
            key=text_of(found.key),
            db=found.db,
            device=device.decode("utf-8", "replace"),
            tag=text_of(said.get(b"TAG", b"")),
            **numbers,
        )
    except ValueError as error:
        raise unreadable(found, "its device, tag or batch sizes are none") from error
