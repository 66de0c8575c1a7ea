"""Requests of the Open Inference Protocol as bytes, with the statuses of their answers; the models are of stock.py."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from tests.integration.rest.speaking import post

PATH = "/v2/models/churn/infer"
BINARY = {"binary_data_output": True}
BYTES_KIND = "application/octet-stream"
Said = Mapping[str, tuple[bytes, tuple[int, ...]]]


def given(shape: list[int], **more: Any) -> dict[str, Any]:
    """The input of the model."""
    return {"name": "x", "shape": shape, "datatype": "FP32", **more}


def sized(shape: list[int], size: int | None = None) -> dict[str, Any]:
    """The input of the model, its values behind the JSON."""
    return given(shape, parameters={"binary_data_size": 4 * int(np.prod(shape)) if size is None else size})


def blob(*values: float) -> bytes:
    """Numbers as they follow the JSON."""
    return np.array(values, "<f4").tobytes()


def binary(*inputs: Any, data: bytes, path: str = PATH, lines: tuple[str, ...] = (), **more: Any) -> bytes:
    """A request whose JSON is followed by tensors."""
    json = orjson.dumps({"inputs": inputs, "parameters": BINARY, **more})
    length = f"Inference-Header-Content-Length: {len(json)}"
    return post(json + data, length, *lines, path=path, kind=BYTES_KIND)


def worded(*inputs: Any, path: str = PATH, lines: tuple[str, ...] = (), **more: Any) -> bytes:
    """A request of JSON alone."""
    return post(orjson.dumps({"inputs": inputs, **more}), *lines, path=path)


def twice(said: bytes) -> bytes:
    """A request that says its length of JSON twice."""
    line = next(line for line in said.split(b"\r\n") if line.startswith(b"Inference-Header"))
    return said.replace(line, line + b"\r\n" + line, 1)


ROW, TWO = blob(40, 10), blob(40, 10, 1, 2.5)
GOOD = binary(sized([1, 2]), data=ROW)
INFERRED: Said = {
    "a row": (GOOD, (200,)),
    "two rows": (binary(sized([2, 2]), data=TWO), (200,)),
    "many rows": (binary(sized([600, 2]), data=TWO * 300), (200,)),
    "many rows, compressed": (
        binary(sized([600, 2]), data=TWO * 300, lines=("Accept-Encoding: gzip, deflate",)), (200,)
    ),
    "a row, compressed": (binary(sized([1, 2]), data=ROW, lines=("Accept-Encoding: gzip",)), (200,)),
    "an id": (binary(sized([1, 2]), data=ROW, id="17"), (200,)),
    "JSON out": (binary(sized([1, 2]), data=ROW, parameters={}), (200,)),
    "one output as bytes": (
        binary(sized([1, 2]), data=ROW, outputs=[{"name": "y", "parameters": {"binary_data": True}}]), (200,)
    ),
    "one output as JSON": (
        binary(sized([1, 2]), data=ROW, outputs=[{"name": "y", "parameters": {"binary_data": False}}]), (200,)
    ),
    "classes": (
        binary(sized([1, 2]), data=ROW, outputs=[{"name": "y", "parameters": {"classification": 1}}]), (200,)
    ),
    "JSON in and out": (worded(given([1, 2], data=[40, 10])), (200,)),
    "JSON, nested": (worded(given([2, 2], data=[[40, 10], [1, 2.5]])), (200,)),
    "JSON in, bytes out": (worded(given([1, 2], data=[40, 10]), parameters=BINARY), (200,)),
    "a row by its key": (
        worded({"name": "id", "shape": [1], "datatype": "BYTES", "data": ["1"]}), (200,)
    ),
    "a row by a key as bytes": (
        binary(
            {"name": "id", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 5}},
            data=b"\x01\0\0\x001",
        ),
        (200,),
    ),
    "a key that is not there": (
        worded({"name": "id", "shape": [1], "datatype": "BYTES", "data": ["99"]}), (400,)
    ),
    "version 1": (binary(sized([1, 2]), data=ROW, path="/v2/models/churn/versions/1/infer"), (200,)),
    "an alias": (binary(sized([1, 2]), data=ROW, path="/v2/models/churn/versions/production/infer"), (200,)),
    "no such version": (binary(sized([1, 2]), data=ROW, path="/v2/models/churn/versions/9/infer"), (404,)),
    "no such model": (binary(sized([1, 2]), data=ROW, path="/v2/models/nope/infer"), (404,)),
    "the bytes of the only input": (
        post(ROW, "Inference-Header-Content-Length: 0", path=PATH, kind=BYTES_KIND), (200,)
    ),
    "too few bytes": (binary(sized([1, 2]), data=ROW[:-1]), (400,)),
    "too many bytes": (binary(sized([1, 2]), data=ROW + b"x"), (400,)),
    "a size that lies": (binary(sized([1, 2], 4), data=ROW), (400,)),
    "another width": (binary(sized([1, 3]), data=blob(1, 2, 3)), (400,)),
    "another type": (binary({**sized([1, 2]), "datatype": "INT32"}, data=ROW), (400,)),
    "no type there is": (binary({**sized([1, 2]), "datatype": "FP8"}, data=ROW), (400,)),
    "another name": (binary({**sized([1, 2]), "name": "z"}, data=ROW), (400,)),
    "no rows": (binary(sized([0, 2]), data=b""), (400,)),
    "a huge dimension": (binary(sized([1 << 40, 2], 8), data=ROW), (400,)),
    "a negative dimension": (binary({**sized([1, 2]), "shape": [-1, 2]}, data=ROW), (400,)),
    "an unknown output": (binary(sized([1, 2]), data=ROW, outputs=[{"name": "nope"}]), (400,)),
    "no inputs": (binary(data=b""), (400,)),
    "no JSON": (
        post(b"{" + ROW, "Inference-Header-Content-Length: 1", path=PATH, kind=BYTES_KIND), (400,)
    ),
    "a length over the body's": (
        post(b"{}", "Inference-Header-Content-Length: 3", path=PATH, kind=BYTES_KIND), (400,)
    ),
    "a length that is none": (
        post(b"{}", "Inference-Header-Content-Length: x", path=PATH, kind=BYTES_KIND), (400,)
    ),
    "two lengths": (
        post(
            b"{}",
            "Inference-Header-Content-Length: 2",
            "Inference-Header-Content-Length: 1",
            path=PATH,
            kind=BYTES_KIND,
        ),
        (400,),
    ),
    "two lengths of a request that is good": (
        binary(sized([1, 2]), data=ROW, lines=("Inference-Header-Content-Length: 1",)), (400,)
    ),
    "the same length twice": (twice(binary(sized([1, 2]), data=ROW)), (200,)),
    "time enough": (binary(sized([1, 2]), data=ROW, lines=("X-Request-Timeout-Ms: 20000",)), (200,)),
    "no time": (binary(sized([1, 2]), data=ROW, lines=("X-Request-Timeout-Ms: 0",)), (400,)),
    "a time of its own": (
        binary(sized([1, 2]), data=ROW, parameters={**BINARY, "timeout": 20_000_000}), (200,)
    ),
    "a time that is none": (binary(sized([1, 2]), data=ROW, parameters={"timeout": -1}), (400,)),
    "an index out of the table": (
        worded({"name": "i", "shape": [2], "datatype": "INT64", "data": [0, 9]}, path="/v2/models/gather/infer"),
        (400,),
    ),
}  # fmt: skip
