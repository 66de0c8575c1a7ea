"""Calls of the door by name, bytes built from its own messages: what a client of any language may send."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc.aio
import numpy as np
from ml_dtypes import bfloat16
from numpy.typing import NDArray

from server.inference.engine import Engine
from server.rpc.door import Door
from server.rpc.messages import SERVICE, message

SECONDS = 30.0
Array = NDArray[Any]


class Caller:
    """A channel to one door, and the engine behind it."""

    def __init__(self, door: Door, engine: Engine) -> None:
        self.door = door
        self.address = address = door.address
        self.engine = engine
        self.channel = grpc.aio.insecure_channel(
            address, options=[("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        )

    async def close(self) -> None:
        await self.channel.close()

    async def raw(self, name: str, data: bytes, **given: Any) -> bytes:
        """Call with any bytes."""
        call = self.channel.unary_unary(f"/{SERVICE}/{name}")
        return bytes(await call(data, **{"timeout": SECONDS, **given}))

    async def call(self, name: str, request: Any = None, *, metadata: Any = None, **fields: Any) -> Any:
        """Call with a message, or the fields of one."""
        request = message(f"{name}Request")(**fields) if request is None else request
        return message(f"{name}Response").FromString(
            await self.raw(name, request.SerializeToString(), metadata=metadata)
        )

    async def infer(self, model: str, inputs: dict[str, Array] | None = None, **given: Any) -> dict[str, Any]:
        """Run tensors, raw, and return the outputs."""
        return outputs_of(await self.call("ModelInfer", infer_request(model, inputs or {}, **given)))

    def stream(self, requests: AsyncIterator[bytes], **given: Any) -> Any:
        """Open a stream."""
        return self.channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")(requests, timeout=SECONDS, **given)


async def refused(call: Any) -> grpc.aio.AioRpcError:
    """Return the error of a call."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("the call was answered")


KINDS = {
    np.dtype(np.bool_): "BOOL",
    np.dtype(np.object_): "BYTES",
    np.dtype(bfloat16): "BF16",
    **{np.dtype(f"i{size}"): f"INT{8 * size}" for size in (1, 2, 4, 8)},
    **{np.dtype(f"u{size}"): f"UINT{8 * size}" for size in (1, 2, 4, 8)},
    **{np.dtype(f"f{size}"): f"FP{8 * size}" for size in (2, 4, 8)},
}


def packed(tensor: Array) -> bytes:
    """Return the raw form of a tensor."""
    if tensor.dtype == np.object_:
        return b"".join(len(one).to_bytes(4, "little") + one for one in map(encoded, tensor.reshape(-1)))
    return tensor.tobytes()


def encoded(one: Any) -> bytes:
    return one if isinstance(one, bytes) else str(one).encode()


def infer_request(
    model: str, inputs: dict[str, Array], *, version: str = "", outputs: Sequence[str] = (), called: str = ""
) -> Any:
    """Return a ModelInferRequest with raw tensors."""
    request = message("ModelInferRequest")(model_name=model, model_version=version, id=called)
    for name, tensor in inputs.items():
        request.inputs.add(name=name, datatype=KINDS[tensor.dtype], shape=tensor.shape)
        request.raw_input_contents.append(packed(tensor))
    for name in outputs:
        request.outputs.add(name=name)
    return request


def outputs_of(response: Any) -> dict[str, Any]:
    """Return the outputs of a ModelInferResponse: arrays, texts as lists of bytes."""
    dtypes = {kind: dtype for dtype, kind in KINDS.items()}
    found: dict[str, Any] = {}
    for one, data in zip(response.outputs, response.raw_output_contents, strict=True):
        if one.datatype == "BYTES":
            found[one.name] = unpacked(data)
        else:
            found[one.name] = np.frombuffer(data, dtypes[one.datatype]).reshape([*one.shape])
    return found


def unpacked(data: bytes) -> list[bytes]:
    """Return texts of their raw form."""
    found = []
    while data:
        end = 4 + int.from_bytes(data[:4], "little")
        found.append(data[4:end])
        data = data[end:]
    return found
