"""Server reflection: what this door serves, told from its own descriptors, as both versions of the protocol."""

from typing import Any

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import aio

from server.rpc.messages import HEALTH, REFLECTION, SERVICE


def reflection_handler(pool: DescriptorPool) -> dict[str, Any]:
    """Return what answers calls of reflection; its versions differ in their names alone."""
    servicer = aio.ReflectionServicer((SERVICE, HEALTH, *REFLECTION), pool=pool)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return {"ServerReflectionInfo": handler}
