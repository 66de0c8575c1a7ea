"""Our messages are the wire's: each field has the number, the type and the label that clients know it by."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor

from models.errors import BadRequest
from server.rpc import make_descriptors
from server.rpc.messages import DESCRIPTORS, POOL, SERVICE, message, parsed
from tests.conftest import missing

ROOT = Path(__file__).parents[4]
KSERVE = {"ModelMetadataResponse.properties"}  # which Triton's file has not
# KServe has no repositories, so its models are named where Triton names these; both are understood.
APART = {f"inference.RepositoryModel{one}Request.model_name" for one in ("Load", "Unload")}
FACTS = """
import json, sys
sys.argv = ["x"]
from {module} import {files}
from google.protobuf.descriptor_pool import Default
def field(one):
    kind = one.message_type or one.enum_type
    repeated = one.is_repeated if hasattr(one, "is_repeated") else one.label == one.LABEL_REPEATED
    return [one.number, one.type, repeated, kind.full_name if kind else None]
def walk(one):
    found = {{f"{{one.full_name}}.{{each.name}}": field(each) for each in one.fields}}
    for each in one.nested_types:
        found |= walk(each)
    return found
fields, methods = {{}}, {{}}
for file in ({files},):
    for one in file.DESCRIPTOR.message_types_by_name.values():
        fields |= walk(one)
    for service in file.DESCRIPTOR.services_by_name.values():
        for one in service.methods:
            methods[one.name] = [one.input_type.full_name, one.output_type.full_name]
import server.rpc.messages
print(json.dumps([fields, methods]))
"""
CLIENTS = {
    "tritonclient": ("tritonclient.grpc", "service_pb2, model_config_pb2"),
    "kserve": ("kserve.protocol.grpc", "grpc_predict_v2_pb2"),
}


@pytest.fixture(scope="module", params=CLIENTS)
def client(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """What a client knows of the wire, told by a process that has our messages too."""
    if find_spec(request.param) is None:
        missing(f"no {request.param}: pip install 'insitu[clients]'")
    module, files = CLIENTS[request.param]
    told = subprocess.run(
        [sys.executable, "-c", FACTS.format(module=module, files=files)],
        cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    fields, methods = json.loads(told.stdout.splitlines()[-1])
    return request.param, fields, methods


def our_fields() -> dict[str, Any]:
    file = POOL.FindFileContainingSymbol(SERVICE)
    return {name: fact for one in file.message_types_by_name.values() for name, fact in walked(one)}


def walked(one: Any) -> list[tuple[str, Any]]:
    found = [(f"{one.full_name}.{each.name}", facts(each)) for each in one.fields]
    return found + [pair for each in one.nested_types for pair in walked(each)]


def facts(one: FieldDescriptor) -> list[Any]:
    kind = one.message_type or one.enum_type
    return [one.number, one.type, one.is_repeated, kind.full_name if kind else None]


def test_every_field_is_the_one_that_clients_know(client: tuple[str, dict[str, Any], dict[str, Any]]) -> None:
    name, theirs, _ = client
    ours = our_fields()

    shared = (ours.keys() & theirs.keys()) - (APART if name == "kserve" else set())
    assert len(shared) > 60
    assert {one: ours[one] for one in shared} == {one: theirs[one] for one in shared}
    if name == "tritonclient":
        unknown = {one.removeprefix("inference.") for one in ours.keys() - theirs.keys()}
        assert {
            one for one in unknown if not one.startswith("ModelMetadataResponse.PropertiesEntry")
        } == KSERVE


def test_every_call_that_clients_know_is_declared(client: tuple[str, dict[str, Any], dict[str, Any]]) -> None:
    name, _, theirs = client
    service = POOL.FindServiceByName(SERVICE)
    ours = {one.name: [one.input_type.full_name, one.output_type.full_name] for one in service.methods}

    if name == "tritonclient":
        assert ours == theirs
    else:
        assert set(theirs) - set(ours) == set()


def test_the_descriptors_are_those_of_the_text(tmp_path: Path) -> None:
    if find_spec("grpc_tools") is None:
        missing("no grpcio-tools: pip install grpcio-tools")

    assert make_descriptors.make(tmp_path) == 0

    assert (tmp_path / DESCRIPTORS.name).read_bytes() == DESCRIPTORS.read_bytes()


@pytest.mark.parametrize("data", [b"\x0a\x05\xff", b"\x0a\x02\xff\xff", b"\xff" * 20])
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(BadRequest, match="are no ModelInferRequest"):
        parsed("ModelInferRequest", data)


def test_a_message_is_made_of_a_class_of_our_own_pool() -> None:
    assert message("ModelInferRequest").DESCRIPTOR.file.pool is POOL
