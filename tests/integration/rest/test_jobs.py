"""Scoring jobs over HTTP: begun, listed, shown, followed and ended; what a server cannot do is refused by name."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis

from models.errors import KeyMissing
from models.keys import Keys
from models.ledger import DONE, Ledger
from models.store import ModelStore
from models.tallies import Tally
from server.rest import job_events
from server.rest.job_schemas import JobList, JobView
from tests.integration.rest.conftest import Client, StartDoor
from tests.integration.rest.graphs import churn, embed
from tests.integration.rest.test_access import OWNER, READER, bearer, digest
from tests.servers import RedisServer

PATH = "/v1/models/churn/jobs"
NO_JOBS: list[tuple[Any, int, str, str]] = [
    ({"version": 9}, 404, "version_not_found", "no version 9"),
    ({"version": "nope"}, 404, "alias_not_found", "nope"),
    ({"version": "9" * 30}, 422, "bad_name", "at most 9 digits"),
    ({"job": "a b"}, 422, "bad_name", "job name"),
    ({"job": 7}, 400, "bad_request", "job is"),
    ({"job": ""}, 400, "bad_request", "job is"),
    ({"version": True}, 400, "bad_request", "version"),
    ({"row": {}}, 400, "bad_request", "did you mean 'rows'?"),
    ({"model": "price"}, 400, "bad_request", "field 'model' is not known"),
    ({"max_rate": 0}, 400, "bad_request", "max_rate"),
    ({"max_rate": 1e-9}, 400, "bad_request", "max_rate"),
    ({"to": []}, 400, "bad_request", "to"),
    ({"newer_than": 5}, 400, "bad_request", "give a source of the view `time_field`"),
    ({"to": [{"kind": "zset", "key": "insitu:jobs"}]}, 400, "bad_request", "where Insitu keeps models, jobs"),
    ({"to": [{"kind": "hash", "key": "insitu:{churn}:aliases"}]}, 400, "bad_request", "choose another key"),
    ({"to": [{"kind": "stream", "key": "insitu:events"}]}, 400, "bad_request", "'insitu:events'"),
    ({"to": [{"kind": "string", "key": "insitu:{key}"}]}, 400, "bad_request", "'insitu:{key}'"),
    ({"errors_to": "redis:insitu:{job:a}:parts"}, 400, "bad_request", "'insitu:{job:a}:parts'"),
    ({"rows": {"kind": "file", "path": "keys.txt"}}, 422, "bad_parameter", "rows names a file"),
    ({"rows": {"kind": "instances", "path": "a.csv"}}, 422, "bad_parameter", "use `insitu score`"),
    ({"to": [{"kind": "string"}, {"kind": "csv", "path": "a.csv"}]}, 422, "bad_parameter", "to.1 names"),
    ({"to": [{"kind": "output"}]}, 422, "bad_parameter", "to.0 names a file or standard output"),
    ({"errors_to": "errors.jsonl"}, 422, "bad_parameter", "errors_to names"),
    ({"label": "maybe"}, 400, "bad_request", "its labels are stays, leaves"),
    ({"missing": {"agee": 1}}, 400, "bad_request", "missing names 'agee'"),
    ({"to": [{"kind": "string", "key": "score:{who}"}]}, 400, "bad_request", "names 'who'"),
    ({"to": [{"kind": "string", "key": "customer:{id}"}]}, 400, "bad_request", "reads as features"),
    (
        {"to": [{"kind": "string"}, {"kind": "field", "field": "age"}]},
        400,
        "bad_request",
        "reads as a feature",
    ),
    ({"to": [{"kind": "hash", "key": "customer:7"}]}, 400, "bad_request", "reads as features"),
    ({"to": [{"kind": "zset", "key": "z"}], "outputs": True}, 400, "bad_request", "no single number to rank"),
    (
        {"to": [{"kind": "zset", "key": "z"}, {"kind": "hash", "key": "z"}]},
        400,
        "bad_request",
        "a zset and a hash",
    ),
    ({"errors_to": "redis:"}, 400, "bad_request", "no key; name a stream"),
    (
        {"to": [{"kind": "stream", "key": "s"}], "only_missing": True},
        400,
        "bad_request",
        "only_missing: a stream",
    ),
    ([], 400, "bad_request", "the body is a list"),
]
NO_MODELS: list[tuple[str, bytes, int, str]] = [
    ("nope", b"{}", 404, "model_not_found"),
    ("no%20pe", b"{}", 422, "bad_name"),
    ("embed", b"{}", 422, "bad_feature_view"),
    ("churn", b"", 400, "malformed_json"),
    ("churn", b'{"job": "a", "job": "b"}', 400, "malformed_json"),
]


@pytest.fixture(autouse=True)
async def stored(store: ModelStore) -> None:
    await store.publish(churn())
    await store.publish(churn(), alias="canary")
    await store.publish(embed())


def ledger(redis: Redis, name: str) -> Ledger:
    """A job as a process that works on it sees it."""
    return Ledger(redis, Keys(), name, "a")


async def started(client: Client, **body: Any) -> dict[str, Any]:
    answer = await client.post(PATH, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    JobView.model_validate(made)
    return made


async def half_done(redis: Redis, name: str) -> Ledger:
    """A job whose first half is found, three rows of it scored; a part waits."""
    one = ledger(redis, name)
    await one.beat([])
    assert await one.lead()
    await one.add([b"rows", b"more"], "position", 0.5)
    (taken,) = await one.take(1, 10)
    tally = Tally(scored=3, passed=1)
    tally.add_labels(Counter({"stays": 2, "leaves": 1}))
    tally.add_numbers(np.array([0.25, 0.5, 0.75]))
    tally.skip(KeyMissing("customer:9"), 2)
    assert await one.settle(taken, tally.to_json()) == 1
    return one


async def finish(one: Ledger) -> None:
    await one.walked()
    for taken in await one.take(9, 10):
        assert await one.settle(taken, Tally(scored=9).to_json(), await one.own())


async def test_a_job_is_made_with_the_version_it_begins_with(client: Client, redis: Redis) -> None:
    answer = await client.post(PATH, json={})

    made = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"/v1/jobs/{made['job']}")
    assert made["job"].startswith("churn-")
    assert (made["model"], made["version"], made["state"], made["working"]) == ("churn", 1, "running", False)
    assert made["spec"]["to"] == [{"kind": "string", "key": "score:{key}"}]
    standing = await ledger(redis, made["job"]).look()
    assert (standing.host, standing.spec.version) == ("server", 1)
    assert (await client.get(answer.headers["location"])).json()["job"] == made["job"]


async def test_a_job_of_a_version_has_a_name_if_it_is_given(client: Client) -> None:
    rows = {"kind": "match", "pattern": "customer:*"}

    for job, version in (("first", "canary"), ("second", 2), ("third", "2")):
        made = await started(client, job=job, version=version, rows=rows)
        assert (made["job"], made["version"], made["spec"]["rows"]) == (job, 2, rows)


async def test_what_is_no_job_is_refused(client: Client) -> None:
    for body, status, code, told in NO_JOBS:
        answer = await client.post(PATH, json=body)

        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (status, code), body
        assert told in error["message"]
    assert (await client.get("/v1/jobs")).json()["jobs"] == []


async def test_what_no_job_can_be_of_is_refused(client: Client) -> None:
    for model, body, status, code in NO_MODELS:
        answer = await client.post(
            f"/v1/models/{model}/jobs", content=body, headers={"content-type": "application/json"}
        )

        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), (model, body)


async def test_a_body_of_another_kind_is_refused(client: Client) -> None:
    answer = await client.post(PATH, content=b"{}", headers={"content-type": "text/plain"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_job_that_is_not_kept_is_named(client: Client, method: str) -> None:
    missing = await client.request(method, "/v1/jobs/nope")
    odd = await client.request(method, "/v1/jobs/n%20o")

    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "job_not_found")
    assert (odd.status_code, odd.json()["error"]["code"]) == (422, "bad_name")
    assert (await client.get("/v1/jobs/nope/events")).status_code == 404


async def test_the_same_job_is_under_way_until_it_has_ended(client: Client, redis: Redis) -> None:
    made = await started(client)

    again = await client.post(PATH, json={})
    await client.delete(f"/v1/jobs/{made['job']}")
    anew = await client.post(PATH, json={})

    assert (again.status_code, again.json()["error"]["code"]) == (409, "job_under_way")
    assert (anew.status_code, anew.json()["state"]) == (201, "running")


async def test_a_job_that_a_command_began_and_left_is_begun_anew(client: Client, redis: Redis) -> None:
    made = await started(client, job="nightly")
    await redis.hset(Keys().job("nightly"), "host", "")
    await ledger(redis, made["job"]).beat([])

    alive = await client.post(PATH, json={"job": "nightly"})
    await redis.delete(Keys().job_working("nightly"))
    left = await client.post(PATH, json={"job": "nightly"})

    assert (alive.status_code, left.status_code) == (409, 201)


async def test_a_job_tells_what_became_of_its_rows(client: Client, redis: Redis) -> None:
    made = await started(client)
    await half_done(redis, made["job"])

    shown = (await client.get(f"/v1/jobs/{made['job']}")).json()

    JobView.model_validate(shown)
    assert (shown["working"], shown["share"], shown["waiting"]) == (True, 0.5, 1)
    assert (shown["scored"], shown["passed"], shown["skipped"]) == (3, 1, {"key_missing": 2})
    assert "customer:9" in shown["examples"]["key_missing"]
    assert shown["labels"] == {"stays": 2, "leaves": 1}
    assert (shown["numbers"], shown["lowest"], shown["highest"], shown["mean"]) == (3, 0.25, 0.75, 0.5)
    assert sum(count for _, _, count in shown["histogram"]) == 3
    assert shown["rate"] > 0
    assert shown["eta_seconds"] == pytest.approx(6 / shown["rate"], rel=0.1, abs=0.06)
    assert shown["ended"] is None


async def test_a_job_says_of_which_label_its_numbers_are(client: Client) -> None:
    unsaid = await started(client, job="unsaid")
    said = await started(client, job="said", label="stays")
    raw = await started(client, job="raw", outputs=True)

    assert [one["spec"]["label"] for one in (unsaid, said)] == ["leaves", "stays"]
    assert raw["spec"].get("label") is None


async def test_jobs_are_listed_the_newest_first_in_pages(client: Client, redis: Redis) -> None:
    for name in ("one", "two", "three", "gone"):
        await started(client, job=name)
    await redis.delete(Keys().job("gone"))

    first = (await client.get("/v1/jobs?limit=2")).json()
    second = (await client.get(f"/v1/jobs?limit=2&after={first['next']}")).json()

    JobList.model_validate(first)
    assert [one["job"] for one in first["jobs"]] == ["three", "two"]
    assert first["next"] == "two"
    assert ([one["job"] for one in second["jobs"]], second["next"]) == (["one"], None)
    assert first["may_change"] is True


@pytest.mark.parametrize(
    ("query", "told"),
    [("limit=0", "limit is '0'"), ("after=nope", "which is no job that is kept")],
)
async def test_a_page_that_there_is_not_is_refused(client: Client, query: str, told: str) -> None:
    answer = await client.get(f"/v1/jobs?{query}")

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_parameter")
    assert told in answer.json()["error"]["message"]


async def test_a_cancelled_job_is_shown_and_cancelling_it_again_changes_nothing(
    client: Client, redis: Redis
) -> None:
    made = await started(client)
    one = await half_done(redis, made["job"])

    cancelled = await client.delete(f"/v1/jobs/{made['job']}")
    again = await client.delete(f"/v1/jobs/{made['job']}")

    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert (cancelled.json()["scored"], cancelled.json()["waiting"]) == (3, 0)
    assert again.json() == cancelled.json()
    assert await one.add([b"late"], "p", 0.6) == -2


async def test_a_job_that_a_newer_version_began_is_cancelled(client: Client, redis: Redis) -> None:
    await started(client, job="nightly")
    await redis.hset(Keys().job("nightly"), "spec", json.dumps({"model": "churn", "shards": 3}))

    answer = await client.delete("/v1/jobs/nightly")

    assert (answer.status_code, answer.content) == (204, b"")
    assert await redis.hget(Keys().job("nightly"), "state") == b"cancelled"
    assert (await client.get("/v1/jobs/nightly")).json()["error"]["code"] == "job_unreadable"


async def test_a_job_that_is_done_is_not_cancelled(client: Client, redis: Redis) -> None:
    made = await started(client)
    await finish(await half_done(redis, made["job"]))

    answer = await client.delete(f"/v1/jobs/{made['job']}")

    assert (answer.status_code, answer.json()["state"], answer.json()["share"]) == (200, "done", 1.0)
    assert answer.json()["ended"] is not None


def data_of(text: str) -> list[dict[str, Any]]:
    """The data of every event; `error` is the name of one that is no message."""
    blocks = [block for block in text.split("\n\n") if block]
    return [json.loads(block.rpartition("data: ")[2]) for block in blocks]


async def test_events_tell_of_a_job_until_it_has_ended(
    client: Client, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_events, "EVENT_SECONDS", 0.1)
    made = await started(client)
    one = await half_done(redis, made["job"])

    following = asyncio.create_task(client.get(f"/v1/jobs/{made['job']}/events"))
    await asyncio.sleep(0.3)
    await finish(one)
    answer = await following

    assert answer.headers["content-type"].startswith("text/event-stream")
    told = data_of(answer.text)
    for event in told:
        JobView.model_validate(event)
    assert len(told) > 2
    assert [event["state"] for event in told] == ["running"] * (len(told) - 1) + [DONE]
    assert told[-1]["scored"] > told[0]["scored"]


async def test_events_of_a_job_that_has_ended_are_one(client: Client) -> None:
    made = await started(client)
    await client.delete(f"/v1/jobs/{made['job']}")

    answer = await client.get(f"/v1/jobs/{made['job']}/events")

    assert [event["state"] for event in data_of(answer.text)] == ["cancelled"]


async def test_events_end_with_the_error_they_met_and_after_a_while(
    client: Client, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_events, "EVENT_SECONDS", 0.1)
    made = await started(client)

    following = asyncio.create_task(client.get(f"/v1/jobs/{made['job']}/events"))
    await asyncio.sleep(0.2)
    await redis.delete(Keys().job(made["job"]))
    text = (await following).text

    assert "event: error\n" in text
    assert data_of(text)[-1]["error"]["code"] == "job_not_found"
    made = await started(client)
    monkeypatch.setattr(job_events, "LONGEST_SECONDS", 0.3)
    assert data_of((await client.get(f"/v1/jobs/{made['job']}/events")).text)[-1]["state"] == "running"


async def test_who_may_predict_may_look_and_nothing_more(start: StartDoor) -> None:
    client = await start(tokens=f"predict:{digest(READER)},admin:{digest(OWNER)}")
    made = (await client.post(PATH, json={}, headers=bearer(OWNER))).json()
    path = f"/v1/jobs/{made['job']}"

    listed = await client.get("/v1/jobs", headers=bearer(READER))
    shown = await client.get(path, headers=bearer(READER))
    refused = [
        await client.post(PATH, json={}, headers=bearer(READER)),
        await client.delete(path, headers=bearer(READER)),
    ]

    assert (listed.status_code, shown.status_code) == (200, 200)
    assert listed.json()["may_change"] is False
    assert (await client.get("/v1/jobs", headers=bearer(OWNER))).json()["may_change"] is True
    assert [answer.status_code for answer in refused] == [403, 403]
    assert (await client.get(path)).status_code == 401


async def test_without_redis_a_job_is_told_to_be_out_of_reach(
    redis_server: Callable[..., RedisServer], start: StartDoor
) -> None:
    server = redis_server()
    client = await start(redis_url=server.url)
    server.kill()

    answers = [
        await client.get("/v1/jobs"),
        await client.get("/v1/jobs/j"),
        await client.delete("/v1/jobs/j"),
        await client.post(PATH, json={}),
    ]

    assert {(one.status_code, one.json()["error"]["code"]) for one in answers} == {(503, "redis_unavailable")}
