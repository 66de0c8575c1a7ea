"""Models, versions and aliases over HTTP: what is shown is what is stored, loaded and meant."""

import asyncio

import pytest
from redis.asyncio import Redis

from models.bundle import Bundle
from models.connecting import connect
from models.manifest import Manifest
from models.store import ModelStore
from server.rest.schemas import AliasAnswer, ModelDetail, ModelList, VersionDetail
from tests.away import node_of, url_of_all, with_names_and_without, without_full_coverage
from tests.integration.rest.conftest import Client, StartDoor
from tests.integration.rest.graphs import churn, embed, price
from tests.servers import RedisNodes

CPU = "CPUExecutionProvider"


@pytest.fixture
async def stored(store: ModelStore) -> None:
    await store.publish(churn())
    await store.publish(churn(description="A second try."), alias="canary")
    await store.publish(embed())


@pytest.mark.usefixtures("stored")
async def test_models_are_listed_with_versions_aliases_and_what_is_loaded(start: StartDoor) -> None:
    client = await start()

    answer = (await client.get("/v1/models")).json()

    assert [model["name"] for model in answer["models"]] == ["churn", "embed"]
    assert answer["models"][0] == {
        "name": "churn",
        "description": "Will a customer leave?",
        "task": "classification",
        "versions": [1, 2],
        "aliases": {"production": 1, "canary": 2},
        "traffic": None,
        "loaded": [1],
        "metrics": {"accuracy": 0.91, "roc_auc": 0.95},
        "provider": CPU,
    }
    ModelList.model_validate(answer)


async def test_an_empty_redis_lists_no_models(client: Client) -> None:
    assert (await client.get("/v1/models")).json() == {"models": [], "next": None}


async def test_a_long_list_is_read_in_parts(client: Client, store: ModelStore) -> None:
    for name in ("a", "b", "c", "d", "e"):
        await store.publish(churn(name))

    names: list[list[str]] = []
    after: str | None = ""
    while after is not None:
        answer = (await client.get("/v1/models", params={"limit": 2, "after": after})).json()
        names.append([model["name"] for model in answer["models"]])
        after = answer["next"]

    assert names == [["a", "b"], ["c", "d"], ["e"]]


@pytest.mark.usefixtures("stored")
async def test_a_model_shows_its_versions_newest_first(start: StartDoor) -> None:
    client = await start()

    answer = (await client.get("/v1/models/churn")).json()

    assert [(one["version"], one["aliases"], one["provider"]) for one in answer["history"]] == [
        (2, ["canary"], None),
        (1, ["production"], CPU),
    ]
    assert answer["history"][0]["description"] == "A second try."
    ModelDetail.model_validate(answer)


@pytest.mark.usefixtures("stored")
async def test_a_model_shows_as_many_versions_as_are_asked_for_and_where_its_aliases_go_back_to(
    start: StartDoor,
) -> None:
    client = await start()
    await client.put("/v1/models/churn/aliases/production", json={"version": 2})

    shown = (await client.get("/v1/models/churn?limit=1")).json()
    refused = await client.get("/v1/models/churn?limit=0")
    await client.post("/v1/models/churn/aliases/production/rollback")
    back = (await client.get("/v1/models/churn")).json()

    assert ([one["version"] for one in shown["history"]], shown["versions"]) == ([2], [1, 2])
    assert (shown["previous"], back["previous"]) == ({"production": 1}, {})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "bad_parameter")


@pytest.mark.usefixtures("stored")
async def test_a_version_shows_everything_but_its_bytes(start: StartDoor) -> None:
    client = await start()

    answer = (await client.get("/v1/models/churn/versions/1")).json()

    VersionDetail.model_validate(answer)
    assert answer["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["rows", 2]}]
    assert answer["features"]["inputs"][0]["sources"] == [
        {"key": "customer:{id}", "as": "hash", "fields": [{"name": "age"}, {"name": "spend"}]}
    ]
    assert answer["keys"] == ["customer:{id}"]
    assert (answer["labels"], answer["output"], answer["task"]) == (
        ["stays", "leaves"],
        "y",
        "classification",
    )
    assert (answer["loaded"], answer["provider"], answer["problem"]) == (True, CPU, None)
    assert answer["card"]["verdict"] == "good"
    assert len(answer["digest"]) == 64


async def test_a_version_shows_its_threshold_as_the_schema_has_it(client: Client, store: ModelStore) -> None:
    found = churn()
    await store.publish(Bundle(found.manifest.model_copy(update={"threshold": 0.25}), found.onnx))

    answer = (await client.get("/v1/models/churn/versions/1")).json()

    assert VersionDetail.model_validate(answer).threshold == 0.25


def test_the_schema_of_a_version_has_every_fact_of_a_manifest() -> None:
    assert {*Manifest.model_fields} - {*VersionDetail.model_fields} == {"format", "chunks"}


@pytest.mark.usefixtures("stored")
async def test_a_version_that_is_not_loaded_says_so(client: Client) -> None:
    answer = (await client.get("/v1/models/churn/versions/canary")).json()

    VersionDetail.model_validate(answer)
    assert answer["version"] == 2
    assert (answer["loaded"], answer["provider"], answer["memory_bytes"], answer["loaded_at"]) == (
        False,
        None,
        None,
        None,
    )


@pytest.mark.usefixtures("stored")
async def test_a_version_of_plain_tensors_has_no_view_and_no_keys(client: Client) -> None:
    answer = (await client.get("/v1/models/embed/versions/1")).json()

    VersionDetail.model_validate(answer)
    assert (answer["features"], answer["keys"]) == (None, [])


async def test_a_version_that_could_not_be_loaded_says_why(client: Client, store: ModelStore) -> None:
    await store.publish(Bundle(churn().manifest, b"no model at all"))
    await client.post("/v1/models/churn/predict", json={"keys": ["customer:1"]})

    answer = (await client.get("/v1/models/churn/versions/1")).json()

    assert "cannot be loaded" in answer["problem"]


async def test_a_manifest_that_cannot_be_read_does_not_hide_the_others(
    client: Client, redis: Redis, store: ModelStore
) -> None:
    await store.publish(churn())
    await store.publish(price())
    await redis.set(store.keys.manifest("churn", 1), b"{}")

    listed = (await client.get("/v1/models")).json()
    shown = (await client.get("/v1/models/churn")).json()
    version = await client.get("/v1/models/churn/versions/1")

    assert [(model["name"], model["task"]) for model in listed["models"]] == [
        ("churn", None),
        ("price", "regression"),
    ]
    assert shown["history"][0]["problem"] == "its manifest cannot be read"
    assert (version.status_code, version.json()["error"]["code"]) == (500, "manifest_unreadable")


@pytest.mark.usefixtures("stored")
async def test_an_alias_is_moved_and_moved_back(client: Client) -> None:
    moved = await client.put("/v1/models/churn/aliases/production", json={"version": 2})
    back = await client.post("/v1/models/churn/aliases/production/rollback")

    assert moved.status_code == back.status_code == 200
    assert moved.json() == {"model": "churn", "alias": "production", "version": 2}
    assert back.json() == {"model": "churn", "alias": "production", "version": 1}
    AliasAnswer.model_validate(moved.json())


async def version_served(client: Client, wanted: int) -> int:
    """Return the version that answers, as soon as it is the wanted one or after a while."""
    served = 0
    for _ in range(1000):
        answer = await client.post("/v1/models/churn/predict", json={"inputs": {"x": [[1, 2]]}})
        served = answer.json()["version"]
        if served == wanted:
            break
        await asyncio.sleep(0.01)
    return served


@pytest.mark.usefixtures("stored")
async def test_what_an_alias_means_is_what_is_served(start: StartDoor) -> None:
    client = await start()
    served = []

    for version in (2, 1):
        await client.put("/v1/models/churn/aliases/production", json={"version": version})
        served.append(await version_served(client, version))

    assert served == [2, 1]


@pytest.mark.usefixtures("stored")
async def test_a_new_alias_is_made_and_taken_away(client: Client) -> None:
    made = await client.put("/v1/models/churn/aliases/shadow", json={"version": 1})
    gone = await client.delete("/v1/models/churn/aliases/shadow")
    again = await client.delete("/v1/models/churn/aliases/shadow")

    assert (made.status_code, gone.status_code, gone.content) == (200, 204, b"")
    assert (again.status_code, again.json()["error"]["code"]) == (404, "alias_not_found")


@pytest.mark.usefixtures("stored")
async def test_a_version_nobody_points_to_is_deleted(client: Client) -> None:
    await client.delete("/v1/models/churn/aliases/canary")

    gone = await client.delete("/v1/models/churn/versions/2")

    assert (gone.status_code, gone.content) == (204, b"")
    assert (await client.get("/v1/models/churn")).json()["versions"] == [1]


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("DELETE", "/v1/models/churn/versions/1", 409, "version_in_use"),
        ("DELETE", "/v1/models/churn/versions/9", 404, "version_not_found"),
        ("DELETE", "/v1/models/churn/versions/production", 422, "bad_parameter"),
        ("DELETE", "/v1/models/nope/versions/1", 404, "model_not_found"),
        ("DELETE", "/v1/models/churn/aliases/nope", 404, "alias_not_found"),
        ("POST", "/v1/models/churn/aliases/production/rollback", 409, "nothing_to_roll_back"),
        ("POST", "/v1/models/churn/aliases/nope/rollback", 404, "alias_not_found"),
        ("POST", "/v1/models/nope/aliases/production/rollback", 404, "model_not_found"),
        ("GET", "/v1/models/nope", 404, "model_not_found"),
        ("GET", "/v1/models/..", 422, "bad_name"),
        ("GET", "/v1/models/churn/versions/9", 404, "version_not_found"),
        ("GET", "/v1/models/churn/versions/nope", 404, "alias_not_found"),
        ("GET", "/v1/models/nope/versions/1", 404, "model_not_found"),
    ],
)
async def test_what_cannot_be_done_says_why(
    client: Client, method: str, path: str, status: int, code: str
) -> None:
    response = await client.request(method, path.replace("..", "%2E%2E"))

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("alias", "body", "status", "code"),
    [
        ("production", {"version": 9}, 404, "version_not_found"),
        ("production", {}, 422, "bad_parameter"),
        ("production", {"version": "2"}, 422, "bad_parameter"),
        ("production", {"version": 0}, 422, "bad_parameter"),
        ("production", {"version": 2, "alias": "x"}, 422, "bad_parameter"),
        ("production", [], 422, "bad_parameter"),
        ("Production", {"version": 2}, 422, "bad_name"),
        ("3", {"version": 2}, 422, "bad_name"),
    ],
)
async def test_a_promotion_that_is_none_is_refused(
    client: Client, alias: str, body: object, status: int, code: str
) -> None:
    response = await client.put(f"/v1/models/churn/aliases/{alias}", json=body)

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert (await client.get("/v1/models/churn")).json()["aliases"]["production"] == 1


async def test_models_of_the_other_nodes_are_listed_while_one_is_away(
    start: StartDoor, redis_cluster: RedisNodes
) -> None:
    nodes = {name: node_of(redis_cluster, name) for name in map("m{}".format, range(40))}
    hint, gone = with_names_and_without(redis_cluster)
    first = next(name for name in nodes if nodes[name] is gone)
    others = sorted(name for name in nodes if nodes[name] is not gone)[:3]
    without_full_coverage(redis_cluster)
    redis = connect(url_of_all(redis_cluster))
    for name in (first, *others):
        await ModelStore(redis).publish(price(name=name))
    await redis.aclose()
    client = await start(redis_url=url_of_all(redis_cluster))
    whole = (await client.get("/v1/models")).json()
    gone.kill()

    answer = await client.get("/v1/models")
    rest = await client.get("/v1/models", params={"limit": 2})
    hint.kill()
    unknown = await client.get("/v1/models")

    assert "missing" not in whole
    assert answer.status_code == 200
    assert [one["name"] for one in answer.json()["models"]] == others
    assert answer.json()["missing"] == [first]
    assert len(rest.json()["models"]) + len(rest.json().get("missing", [])) == 2
    assert ModelList.model_validate(answer.json()).missing == [first]
    assert unknown.status_code == 503
