"""OpenAPI: whole, valid in its references, with examples that the API really takes."""

import json
import re
from typing import Any

import pytest_asyncio

from models.jobs import JobSpec
from models.store import ModelStore
from server.rest import asks, explain, job_asks
from server.rest.errors import STATUS
from server.rest.explanations import ExplainAnswer, ExplainRequest
from server.rest.job_schemas import JobRequest
from server.rest.schemas import ErrorBody, PredictAnswer, PredictRequest
from server.rest.v2.bodies import infer_of
from server.rest.v2.schemas import InferRequest, InferResponse, ProtocolError
from tests.integration.rest.conftest import Client, StartDoor, on_one_server
from tests.integration.rest.graphs import churn

PROTOCOL = (
    ("GET", "/v2"),
    ("GET", "/v2/health/live"),
    ("GET", "/v2/health/ready"),
    *(
        (method, f"/v2/models/{{name}}{version}{end}")
        for version in ("", "/versions/{version}")
        for method, end in (
            ("GET", ""),
            ("GET", "/ready"),
            ("GET", "/config"),
            ("GET", "/stats"),
            ("POST", "/infer"),
        )
    ),
    ("GET", "/v2/models/stats"),
    ("POST", "/v2/repository/index"),
    ("POST", "/v2/repository/models/{name}/load"),
    ("POST", "/v2/repository/models/{name}/unload"),
    *(
        (method, path)
        for method in ("GET", "POST")
        for path in ("/v2/trace/setting", "/v2/models/{name}/trace/setting", "/v2/logging")
    ),
    *(
        (method, f"/v2/{kind}sharedmemory/{end}")
        for kind in ("system", "cuda")
        for method, end in (
            ("GET", "status"),
            ("GET", "region/{region}/status"),
            ("POST", "region/{region}/register"),
            ("POST", "region/{region}/unregister"),
            ("POST", "unregister"),
        )
    ),
)
Operation = tuple[str, str, dict[str, Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def description(untouched: Client) -> dict[str, Any]:
    found: dict[str, Any] = (await untouched.get("/openapi.json")).json()
    return found


def operations(description: dict[str, Any]) -> list[Operation]:
    return [
        (method, path, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]


@on_one_server
async def test_every_route_is_described(description: dict[str, Any]) -> None:
    found = {(method.upper(), path) for method, path, _ in operations(description)}

    assert found == {
        ("POST", "/v1/models/{name}/predict"),
        ("GET", "/v1/models/{name}/predict"),
        ("POST", "/v1/models/{name}/versions/{version}/predict"),
        ("GET", "/v1/models/{name}/versions/{version}/predict"),
        ("POST", "/v1/models/{name}/explain"),
        ("GET", "/v1/models/{name}/explain"),
        ("POST", "/v1/models/{name}/versions/{version}/explain"),
        ("GET", "/v1/models/{name}/versions/{version}/explain"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/{name}"),
        ("GET", "/v1/models/{name}/versions/{version}"),
        ("GET", "/v1/models/{name}/versions/{version}/card"),
        ("POST", "/v1/models/{name}/versions"),
        ("PUT", "/v1/models/{name}/aliases/{alias}"),
        ("POST", "/v1/models/{name}/aliases/{alias}/rollback"),
        ("DELETE", "/v1/models/{name}/aliases/{alias}"),
        ("DELETE", "/v1/models/{name}/versions/{version}"),
        ("GET", "/v1/models/{name}/traffic"),
        ("PUT", "/v1/models/{name}/traffic"),
        ("DELETE", "/v1/models/{name}/traffic"),
        ("POST", "/v1/models/{name}/jobs"),
        ("GET", "/v1/jobs"),
        ("GET", "/v1/jobs/{job}"),
        ("GET", "/v1/jobs/{job}/events"),
        ("DELETE", "/v1/jobs/{job}"),
        ("GET", "/health/live"),
        ("GET", "/health/ready"),
        ("GET", "/metrics"),
    } | set(PROTOCOL)


@on_one_server
async def test_every_operation_has_a_summary_a_description_and_a_name_of_its_own(
    description: dict[str, Any],
) -> None:
    found = [operation for _, _, operation in operations(description)]

    assert all(operation["summary"] and operation["description"] for operation in found)
    names = [operation["operationId"] for operation in found]
    assert len(set(names)) == len(names)


@on_one_server
async def test_every_parameter_is_explained(description: dict[str, Any]) -> None:
    found = [
        (path, parameter["name"], parameter.get("description"))
        for _, path, operation in operations(description)
        for parameter in operation.get("parameters", [])
    ]

    assert len(found) > 20
    assert [place for *place, explained in found if not explained] == []


@on_one_server
async def test_every_reference_leads_somewhere(description: dict[str, Any]) -> None:
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(description)))

    assert references <= description["components"]["schemas"].keys()
    assert {"PredictRequest", "AliasTarget", "TrafficTarget", "ErrorBody", "VersionDetail"} <= references


@on_one_server
async def test_every_error_example_has_the_status_of_its_code(description: dict[str, Any]) -> None:
    statuses: dict[str, set[int]] = {}
    for known, status in STATUS.items():
        statuses.setdefault(known.code, set()).add(status)
    for _, path, operation in operations(description):
        for status, response in operation["responses"].items():
            examples = response.get("content", {}).get("application/json", {}).get("examples", {})
            for code, example in examples.items() if int(status) >= 400 else ():
                if path.startswith("/v2"):
                    assert ProtocolError.model_validate(example["value"]).error
                    assert int(status) != 422
                else:
                    assert code == ErrorBody.model_validate(example["value"]).error.code
                    assert int(status) in statuses.get(code, {422})


@on_one_server
async def test_what_a_model_that_is_not_there_is_answered_with_is_described(
    untouched: Client, description: dict[str, Any]
) -> None:
    answered = {}
    for method, path, described in operations(description):
        if "{name}" in path:
            place = re.sub(r"\{\w+\}", "1", path.replace("{name}", "nobody"))
            answer = await untouched.request(method, place, json={} if method in ("POST", "PUT") else None)
            answered[method, path] = (str(answer.status_code), {*described["responses"]})

    assert len(answered) > 20
    assert [where for where, (status, known) in answered.items() if status not in known] == []


@on_one_server
async def test_what_needs_a_token_says_so(description: dict[str, Any]) -> None:
    open_paths = {path for _, path, operation in operations(description) if "security" not in operation}

    assert open_paths == {"/health/live", "/health/ready", "/v2", "/v2/health/live", "/v2/health/ready"}


@on_one_server
async def test_the_examples_of_a_request_are_requests(description: dict[str, Any]) -> None:
    body = description["paths"]["/v1/models/{name}/predict"]["post"]["requestBody"]["content"][
        "application/json"
    ]

    for example in body["examples"].values():
        PredictRequest.model_validate(example["value"])
        asks.of_body("m", None, example["value"])


@on_one_server
async def test_the_examples_of_an_answer_are_answers(description: dict[str, Any]) -> None:
    responses = description["paths"]["/v1/models/{name}/predict"]["post"]["responses"]

    for example in responses["200"]["content"]["application/json"]["examples"].values():
        PredictAnswer.model_validate(example["value"])


@on_one_server
async def test_the_examples_of_the_protocol_are_what_is_asked_and_answered(
    description: dict[str, Any],
) -> None:
    posted = description["paths"]["/v2/models/{name}/infer"]["post"]

    for example in posted["requestBody"]["content"]["application/json"]["examples"].values():
        InferRequest.model_validate(example["value"])
        infer_of("m", None, memoryview(json.dumps(example["value"]).encode()), None)
    for example in posted["responses"]["200"]["content"]["application/json"]["examples"].values():
        InferResponse.model_validate(example["value"])


def test_the_request_that_is_described_is_the_one_that_is_read() -> None:
    assert tuple(PredictRequest.model_fields) == asks.FIELDS


@on_one_server
async def test_the_examples_of_explaining_are_what_is_asked_and_answered(description: dict[str, Any]) -> None:
    posted = description["paths"]["/v1/models/{name}/explain"]["post"]
    requests = posted["requestBody"]["content"]["application/json"]["examples"]
    answers = posted["responses"]["200"]["content"]["application/json"]["examples"]

    for example in requests.values():
        ExplainRequest.model_validate(example["value"])
        explain.of_body("m", None, example["value"], None)[1].check()
    for example in answers.values():
        ExplainAnswer.model_validate(example["value"])
    assert sorted(ExplainRequest.model_fields) == sorted(explain.FIELDS)
    parameters = {
        one["name"] for one in description["paths"]["/v1/models/{name}/explain"]["get"]["parameters"]
    }
    assert parameters - {"name", "X-Request-Timeout-Ms"} == set(explain.QUERY)


async def test_the_examples_of_a_job_are_jobs(description: dict[str, Any]) -> None:
    body = description["paths"]["/v1/models/{name}/jobs"]["post"]["requestBody"]["content"][
        "application/json"
    ]

    for example in body["examples"].values():
        JobRequest.model_validate(example["value"])
        job_asks.of_body("m", example["value"])


def test_the_job_that_is_described_is_the_one_that_is_read() -> None:
    assert set(JobRequest.model_fields) == set(JobSpec.model_fields) - {"model"} | {"job"}


async def test_the_description_is_made_once(start: StartDoor, store: ModelStore) -> None:
    await store.publish(churn())
    client = await start()

    first = await client.get("/openapi.json")
    second = await client.get("/openapi.json")

    assert first.content == second.content
