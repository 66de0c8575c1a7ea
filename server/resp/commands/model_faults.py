"""A model file that is refused, in the words of ONNX Runtime that RedisAI hands on: they have no code word."""

from google.protobuf.message import DecodeError

from models.errors import BadModelFile
from models.graph import IR_VERSIONS, NO_ONNX
from server.inference.admission import NOT_PUBLISHED
from server.resp.refusals import Refused, refused

OWN = ("the model ", "the file ", "output ")  # how reasons begin that are ours, not ONNX Runtime's


def refusal_of(error: BadModelFile) -> Refused:
    """Return what the client is told of a file."""
    said = of_the_file(error)
    if said is not None:
        return Refused(said)
    text = str(error)
    if text.endswith(NOT_PUBLISHED) and not text.startswith(OWN):
        return Refused(text.removesuffix(NOT_PUBLISHED))
    return refused(text)


def of_the_file(error: BadModelFile) -> str | None:
    """Return what ONNX Runtime, and RedisAI's build of it, says of a file that is looked at here before it."""
    if "tensor" in error.details:
        return "Initializer tensors with external data is not allowed."
    if "ir_version" in error.details:
        version, most = error.details["ir_version"], IR_VERSIONS[1]
        return f"Unsupported model IR version: {version}, max supported IR version: {most}"
    if not str(error).startswith(NO_ONNX):
        return None
    unread = isinstance(error.__cause__, DecodeError | ValueError)
    return (
        "Failed to load model because protobuf parsing failed."
        if unread
        else "No graph was found in the protobuf."
    )
