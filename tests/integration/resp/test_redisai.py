"""Programs that use RedisAI's own client find here what they had, call by call."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.conftest import missing
from tests.graphs import scaled
from tests.integration.resp.doors import OpenedDoor

CHILD = Path(__file__).with_name("redisai_child.py")
PYTHON = Path(sys.prefix) / "redisai" / "bin" / "python"
CHILD_SECONDS = 60.0
NO_BACKEND = "ResponseError: Could not load backend"
EMPTY = "ResponseError: tensor key is empty or in a different shard"
META = {
    "backend": "ONNX", "device": "CPU", "tag": "v1", "batchsize": 0, "minbatchsize": 0, "minbatchtimeout": 0,
    "inputs": ["x"], "outputs": ["y"],
}  # fmt: skip
ROW = ["float32", [1, 2], [1.5, -2.0]]
DOUBLED = ["float32", [1, 2], [3.0, -4.0]]


async def everything(door: OpenedDoor, folder: Path) -> Any:
    """What every call of the client gave."""
    if not PYTHON.exists():
        missing("no client of RedisAI: make install EXTRAS=...,clients")
    onnx = folder / "scaled.onnx"
    onnx.write_bytes(scaled())
    child = await asyncio.create_subprocess_exec(
        PYTHON, "-W", "ignore", CHILD, str(door.port), onnx,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(CHILD_SECONDS):
        told, failed = await child.communicate()
    assert child.returncode == 0, failed.decode()
    return json.loads(told)


async def test_every_call_of_redisais_client_is_answered(door: OpenedDoor, tmp_path: Path) -> None:
    told = await everything(door, tmp_path)

    check_tensors(told["tensors"])
    check_models(told["models"])
    check_dags(told["dags"])
    assert told["pipelines"] == {name: [True, "OK", "1", ROW, 2] for name in ("pipeline", "transaction")}
    assert told["scripts"].pop("scriptscan") == []
    assert set(told["scripts"].values()) == {NO_BACKEND}
    assert told["redis"] == {"hgetall": {"a": "1"}, "ping": True, "delete": 1}


def check_tensors(told: Any) -> None:
    assert {one for name, one in told.items() if name.startswith("tensorset") and "empty" not in name} == {
        "OK"
    }
    assert set(told["same"].values()) == {True}
    assert told["tensorset empty"] == "ResponseError: invalid or negative value found in tensor shape"
    assert told["list"] == told["mutable"] == ["float32", [2, 2], [1.0, 2.0, 3.0, 4.0]]
    assert told["values"] == {"dtype": "FLOAT", "shape": [2, 2], "values": [1.0, 2.0, 3.0, 4.0]}
    assert told["meta"] == {"dtype": "FLOAT", "shape": [2, 2]}
    assert told["texts as values"]["values"] == ["one", "two", "", "grün"]
    assert told["no tensor"] == told["tensorget empty"] == EMPTY


def check_models(told: Any) -> None:
    done = (
        "modelstore",
        "modelexecute",
        "modelexecute in time",
        "modelrun",
        "modelset",
        "modeldel",
        "inforeset",
        "config",
    )
    assert {name: told[name] for name in (*done, "batches", "loadbackend")} == dict.fromkeys(
        (*done, "batches", "loadbackend"), "OK"
    )
    assert told["modelget"] == told["modelget meta"] == META
    assert told["modelget blob"] is told["in chunks"] is True
    assert told["y"] == DOUBLED
    assert told["modelscan"] == [["m", "v1"]]
    counted = {
        "key": "m",
        "type": "MODEL",
        "backend": "ONNX",
        "device": "CPU",
        "tag": "v1",
        "samples": 3,
        "calls": 3,
        "errors": 0,
    }
    assert told["infoget"] == counted
    assert told["calls"] == 0
    assert told["batched"] == {**META, "tag": "t", "batchsize": 8, "minbatchsize": 2, "minbatchtimeout": 1}
    assert told["modelget of none"] == "ResponseError: model key is empty"
    assert (
        told["too few"]
        == "ResponseError: Number of keys given as INPUTS here does not match model definition"
    )
    assert told["backend"] == NO_BACKEND
    assert told["config get"] == 1 << 20


def check_dags(told: Any) -> None:
    quadrupled = ["float32", [1, 2], [6.0, -8.0]]
    assert told["dag"] == ["OK", "OK", quadrupled]
    assert told["persisted"] == quadrupled
    assert told["read only"][:3] == ["OK", "OK", {"dtype": "FLOAT", "shape": [1, 2], "values": [3.0, -4.0]}]
    assert told["routed"] == ["OK", "OK", ["float32", [1, 2], [2.0, 4.0]]]
    assert told["old"] == ["OK", DOUBLED]
    assert told["neither"] == "ResponseError: wrong number of arguments for 'AI.DAGRUN' command"
