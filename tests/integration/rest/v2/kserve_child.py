"""KServe's client for REST, in a process of its own: importing it reads the command line, and it registers
messages that other clients in the same process have too.

Run with the address of a server; prints what it was told as JSON.
"""

import asyncio
import json
import sys
from typing import Any

URL = sys.argv.pop()  # the import parses what is left

import numpy as np  # noqa: E402  # it reads the command line
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig  # noqa: E402  # it reads the command line

from server.open_inference.datatypes import DTYPES  # noqa: E402  # it reads the command line
from tests.integration.rest.v2.stored import extremes, same  # noqa: E402  # it reads the command line


def given(datatype: str, binary: bool) -> Any:
    tensor = extremes(datatype)
    one = InferInput("x", list(tensor.shape), datatype)
    one.set_data_from_numpy(tensor, binary_data=binary)
    return one


def plain(tensor: Any) -> Any:
    """Return a tensor with texts in place of their UTF-8, and numbers as their bytes."""
    if tensor.dtype.kind != "O":
        return tensor.tobytes().hex()
    return [one.decode() if isinstance(one, bytes) else one for one in tensor.reshape(-1).tolist()]


async def same_values(client: Any, datatype: str, binary_in: bool, binary_out: bool) -> bool:
    request = InferRequest(
        same(datatype),
        [given(datatype, binary_in)],
        request_id="7",
        parameters={"binary_data_output": binary_out},
    )
    answer = await client.infer(URL, request, model_name=same(datatype))
    return bool(
        answer.id == "7"
        and answer.outputs[0].datatype == datatype
        and plain(answer.outputs[0].as_numpy()) == plain(extremes(datatype))
    )


async def refused(client: Any, name: str, request: Any) -> str:
    try:
        await client.infer(URL, request, model_name=name)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is told
        return str(error)
    return ""


async def told() -> dict[str, Any]:
    config = RESTConfig(protocol="v2", timeout=30)
    async with InferenceRESTClient(config) as client:
        keys = {"inputs": [{"name": "id", "shape": [1], "datatype": "BYTES", "data": ["1"]}]}
        by_key = await client.infer(URL, keys, model_name="churn")
        return {
            "live": await client.is_server_live(URL),
            "ready": await client.is_server_ready(URL),
            "model": await client.is_model_ready(URL, "churn"),
            "nope": await client.is_model_ready(URL, "nope"),
            "key": np.asarray(by_key.outputs[0].as_numpy()).tolist(),
            "refused": [await refused(client, "nope", keys), await refused(client, "two", keys)],
            "differing": [
                (datatype, binary_in, binary_out)
                for datatype in DTYPES
                if datatype != "BF16"  # which this client does not know
                for binary_in in (True, False)
                for binary_out in (True, False)
                # What this client says itself: FP16 has no JSON in the protocol.
                if not (datatype == "FP16" and not binary_in)
                and not await same_values(client, datatype, binary_in, binary_out)
            ],
        }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(told())))
