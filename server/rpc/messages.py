"""Messages of the protocol, in a descriptor pool of their own.

tritonclient and kserve each register `inference.*` in the pool that a process has by default, and
so would a generated module: whoever comes second is refused. Why so: docs/adr/0017-a-private-pool-for-messages.md
"""

from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from models.errors import BadRequest, shown
from server.rpc.parts import check_parts

PACKAGE = "inference"
SERVICE = "inference.GRPCInferenceService"
HEALTH = "grpc.health.v1.Health"
REFLECTION = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
DESCRIPTORS = Path(__file__).parent / "descriptors.bin"


def filled_pool() -> DescriptorPool:
    """Return a pool with the messages of everything this door serves."""
    pool = DescriptorPool()
    for one in FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file:
        pool.Add(one)
    for generated in (health_pb2, reflection_pb2):
        pool.AddSerializedFile(generated.DESCRIPTOR.serialized_pb)
    return pool


POOL = filled_pool()


@cache
def message(name: str) -> Any:
    """Return the class of a message, such as `ModelInferRequest`."""
    return GetMessageClass(POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))


def parsed(name: str, data: bytes) -> Any:
    """Return a message of its bytes.

    Raises: BadRequest, they are none: cut off, or text in them is no UTF-8; or of too many parts.
    """
    check_parts(name, data)
    try:
        read: Message = message(name).FromString(data)
    except DecodeError as error:
        raise BadRequest(
            f"the {len(data)} bytes are no {name}: {shown(error)}; text in a message is UTF-8"
        ) from error
    return read
