"""KServe's client for gRPC, in a process of its own: importing it reads the command line, and it registers
messages that other clients in the same process have too.

Run with the address of a server; prints what it was told as JSON.
"""

import asyncio
import json
import logging
import sys
from typing import Any

ADDRESS = sys.argv.pop()  # the import parses what is left

import grpc.aio  # noqa: E402  # after the command line is read
import numpy as np  # noqa: E402  # after the command line is read
from kserve import InferenceGRPCClient, InferInput, InferRequest  # noqa: E402  # after the command line is read

import server.rpc.messages  # noqa: E402, F401  # after the command line is read; beside the client's messages
from tests.integration.rpc.tensors import TENSORS, same  # noqa: E402  # after the command line is read


def given(datatype: str, raw: bool) -> Any:
    tensor = TENSORS[datatype]
    one = InferInput("x", list(tensor.shape), datatype)
    one.set_data_from_numpy(tensor, binary_data=raw)
    return one


def plain(tensor: Any) -> Any:
    """Return a tensor as its bytes, texts as they are."""
    if tensor.dtype.kind != "O":
        return tensor.tobytes().hex()
    return [one.decode() if isinstance(one, bytes) else one for one in tensor.reshape(-1).tolist()]


async def same_values(client: Any, datatype: str, raw: bool) -> bool:
    answer = await client.infer(InferRequest(same(datatype), [given(datatype, raw)], request_id="7"))
    return bool(answer.id == "7" and plain(answer.outputs[0].as_numpy()) == plain(TENSORS[datatype]))


async def refused(client: Any, name: str) -> list[str]:
    try:
        await client.infer(InferRequest(name, [given("FP32", True)]))
    except grpc.aio.AioRpcError as error:
        return [error.code().name, error.details() or ""]
    return []


async def told() -> dict[str, Any]:
    logging.disable()
    async with InferenceGRPCClient(ADDRESS) as client:
        keys = InferInput("id", [1], "BYTES")
        keys.set_data_from_numpy(np.array(["1"], object), binary_data=True)
        by_key = await client.infer(InferRequest("churn", [keys]))
        return {
            "live": await client.is_server_live(),
            "ready": await client.is_server_ready(),
            "model": await client.is_model_ready("churn"),
            "nope": await client.is_model_ready("nope"),
            "key": np.asarray(by_key.outputs[0].as_numpy()).tolist(),
            "refused": [await refused(client, "nope"), await refused(client, "same_int8")],
            "differing": [
                (datatype, raw)
                for datatype in TENSORS
                if datatype != "BF16"  # which this client does not know
                for raw in (True, False)
                if not (datatype == "FP16" and not raw)  # it has no typed contents in the protocol
                and not await same_values(client, datatype, raw)
            ],
        }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(told())))
