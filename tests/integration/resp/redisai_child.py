"""RedisAI's own client in a process of its own: it wants a redis-py older than ours.

Run with a port of the door and a model file; prints what every call gave, by name, as JSON.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from redis.exceptions import ResponseError
from redisai import Client

TENSORS = {
    "float32": np.array([[1.5, -2.0]], np.float32),
    "float64": np.array([1e300, np.pi]),
    **{
        name: np.array([[0, 1], [2, 100]], name)
        for name in ("int8", "int16", "int32", "int64", "uint8", "uint16")
    },
    "bool": np.array([True, False]),
    "str": np.array([["one", "two"], ["", "grün"]]),
    "empty": np.zeros((0, 3), np.float32),
}


def plain(found: Any) -> Any:
    """What JSON can say of a reply."""
    if isinstance(found, np.ndarray):
        return [str(found.dtype), [*found.shape], [plain(one) for one in found.ravel().tolist()]]
    if isinstance(found, bytes):
        return found.decode("utf-8", "replace")
    if isinstance(found, (list, tuple)):
        return [plain(one) for one in found]
    if isinstance(found, dict):
        return {str(plain(name)): plain(value) for name, value in found.items()}
    return found if isinstance(found, (str, int, float, bool, type(None))) else repr(found)


def said(call: Callable[[], Any]) -> Any:
    try:
        return plain(call())
    except (ResponseError, RuntimeError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


def tensors(client: Any) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, tensor in TENSORS.items():
        told[f"tensorset {name}"] = said(partial(client.tensorset, f"t:{name}", tensor))
        told[f"tensorget {name}"] = said(partial(client.tensorget, f"t:{name}"))
    client.tensorset("list", [1, 2, 3, 4], shape=(2, 2), dtype="float32")
    full = {name: tensor for name, tensor in TENSORS.items() if name != "empty"}
    told["same"] = {
        name: bool(np.array_equal(client.tensorget(f"t:{name}"), tensor)) for name, tensor in full.items()
    }
    told["list"] = said(lambda: client.tensorget("list"))
    told["mutable"] = said(lambda: client.tensorget("list", as_numpy_mutable=True))
    told["values"] = said(lambda: client.tensorget("list", as_numpy=False))
    told["meta"] = said(lambda: client.tensorget("list", meta_only=True))
    told["texts as values"] = said(lambda: client.tensorget("t:str", as_numpy=False))
    told["no tensor"] = said(lambda: client.tensorget("nothing"))
    return told


def models(client: Any, onnx: bytes) -> dict[str, Any]:
    run = {"inputs": ["a"], "outputs": ["y"]}
    client.tensorset("a", TENSORS["float32"])
    return {
        "modelstore": said(lambda: client.modelstore("m", "ONNX", "CPU", onnx, tag="v1")),
        "modelget": said(
            lambda: {name: value for name, value in client.modelget("m").items() if name != "blob"}
        ),
        "modelget meta": said(lambda: client.modelget("m", meta_only=True)),
        "modelget blob": client.modelget("m")["blob"] == onnx,
        "modelexecute": said(lambda: client.modelexecute("m", **run)),
        "y": said(lambda: client.tensorget("y")),
        "modelexecute in time": said(lambda: client.modelexecute("m", **run, timeout=10_000)),
        "modelrun": said(lambda: client.modelrun("m", **run)),
        "modelscan": said(client.modelscan),
        "infoget": said(
            lambda: {name: value for name, value in client.infoget("m").items() if name != "duration"}
        ),
        "inforeset": said(lambda: client.inforeset("m")),
        "calls": client.infoget("m")["calls"],
        "too few": said(lambda: client.modelexecute("m", ["a", "a"], ["y"])),
        "batches": said(
            lambda: client.modelstore(
                "b", "ONNX", "CPU", onnx, batch=8, minbatch=2, minbatchtimeout=1, tag="t"
            )
        ),
        "batched": said(lambda: client.modelget("b", meta_only=True)),
        "modelset": said(lambda: client.modelset("old", "ONNX", "CPU", onnx)),
        "modeldel": said(lambda: client.modeldel("old")),
        "modelget of none": said(lambda: client.modelget("old")),
        "backend": said(lambda: client.modelstore("tf", "TORCH", "CPU", onnx)),
        "loadbackend": said(lambda: client.loadbackend("ONNX", "redisai_onnxruntime.so")),
        "config": said(lambda: client.config("MODEL_CHUNK_SIZE", 1 << 20)),
        "config get": said(lambda: client.config("MODEL_CHUNK_SIZE")),
        "in chunks": client.modelget("m")["blob"] == onnx,
    }


def dags(client: Any) -> dict[str, Any]:
    told: dict[str, Any] = {}
    dag = client.dag(load=["a"], persist=["out"])
    dag.modelexecute("m", ["a"], ["mid"])
    dag.modelexecute("m", ["mid"], ["out"])
    dag.tensorget("out")
    told["dag"] = said(dag.execute)
    told["persisted"] = said(lambda: client.tensorget("out"))
    reading = client.dag(load=["a"], readonly=True)
    reading.tensorset("b", TENSORS["float32"])
    reading.modelexecute("m", ["b"], ["c"])
    reading.tensorget("c", as_numpy=False)
    reading.tensorget("c", meta_only=True)
    told["read only"] = said(reading.execute)
    routed = client.dag(routing="a", timeout=10_000)
    routed.tensorset("b", [1.0, 2.0], shape=(1, 2), dtype="float32")
    routed.modelexecute("m", ["b"], ["c"])
    routed.tensorget("c")
    told["routed"] = said(routed.execute)
    old = client.dag(load=["a"])
    old.modelrun("m", ["a"], ["c"])
    old.tensorget("c")
    told["old"] = said(old.run)
    told["neither"] = said(lambda: client.dag().execute())
    return told


def pipelines(client: Any) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, transaction in (("pipeline", False), ("transaction", True)):
        pipe = client.pipeline(transaction=transaction)
        pipe.set("plain", 1)
        pipe.tensorset("p", TENSORS["float32"])
        pipe.get("plain")
        pipe.tensorget("p")
        pipe.incr("plain")
        told[name] = said(pipe.execute)
    return told


def scripts(client: Any) -> dict[str, Any]:
    source = "def f(tensors: List[Tensor], keys: List[str], args: List[str]):\n    return tensors[0]\n"
    return {
        "scriptset": said(lambda: client.scriptset("s", "CPU", source)),
        "scriptstore": said(lambda: client.scriptstore("s", "CPU", source, ["f"])),
        "scriptget": said(lambda: client.scriptget("s")),
        "scriptexecute": said(lambda: client.scriptexecute("s", "f", inputs=["a"], outputs=["y"])),
        "scriptrun": said(lambda: client.scriptrun("s", "f", inputs=["a"], outputs=["y"])),
        "scriptscan": said(client.scriptscan),
        "scriptdel": said(lambda: client.scriptdel("s")),
    }


def plain_redis(client: Any) -> dict[str, Any]:
    client.hset("h", mapping={"a": 1})
    return {
        "hgetall": said(lambda: client.hgetall("h")),
        "ping": said(client.ping),
        "delete": said(lambda: client.delete("m")),
    }


def main(port: int, file: Path) -> None:
    client = Client(host="127.0.0.1", port=port)
    told = {
        "tensors": tensors(client),
        "models": models(client, file.read_bytes()),
        "dags": dags(client),
        "pipelines": pipelines(client),
        "scripts": scripts(client),
        "redis": plain_redis(client),
    }
    print(json.dumps(told))  # noqa: T201  # the answer of this program


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
