"""The ways of asking: each returns the answers of a case's rows, in order, worded as JSON."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from redis import Redis

from tests import forked
from tests.integration.agreement.cases import Case

END_SECONDS = 60.0
Answers = list[dict[str, Any]]


@dataclass(frozen=True)
class House:
    """A Redis with every case in it, and a server beside it."""

    redis: Redis
    redis_url: str
    server_url: str

    def post(self, path: str, body: dict[str, Any]) -> Answers:
        return answers(httpx.post(f"{self.server_url}/v1/models/{path}", json=body, timeout=30))

    def insitu(self, *arguments: str) -> str:
        """Run a command to its end and return what it printed."""
        where = ("--redis-url", self.redis_url) if arguments[0] == "score" else ("--url", self.server_url)
        done = forked.run((*arguments, *where, "--json"), os.environ, END_SECONDS)
        assert done.returncode == 0, done.stderr
        return done.stdout


def answers(response: httpx.Response) -> Answers:
    assert response.status_code == 200, response.text
    predictions: Answers = response.json()["predictions"]
    return predictions


def by_keys(house: House, case: Case) -> Answers:
    return house.post(f"{case.name}/predict", {"keys": case.keys})


def by_keys_one_by_one(house: House, case: Case) -> Answers:
    return [house.post(f"{case.name}/predict", {"keys": [key]})[0] for key in case.keys]


def by_instances(house: House, case: Case) -> Answers:
    return house.post(f"{case.name}/predict", {"instances": case.instances})


def by_inputs(house: House, case: Case) -> Answers:
    return house.post(f"{case.name}/predict", {"inputs": case.inputs})


def by_query(house: House, case: Case) -> Answers:
    url = f"{house.server_url}/v1/models/{case.name}/predict"
    return answers(httpx.get(url, params={"key": case.keys}, timeout=30))


def by_version_number(house: House, case: Case) -> Answers:
    return house.post(f"{case.name}/versions/1/predict", {"keys": case.keys})


def by_version_alias(house: House, case: Case) -> Answers:
    return house.post(f"{case.name}/versions/production/predict", {"keys": case.keys})


def by_command(house: House, case: Case) -> Answers:
    predictions: Answers = json.loads(house.insitu("predict", case.name, *case.keys))["predictions"]
    return predictions


def by_batch(house: House, case: Case) -> Answers:
    house.insitu("score", case.name, "--to", f"agreed:{case.name}:{{key}}")
    stored = [house.redis.get(f"agreed:{case.name}:{key}") for key in case.keys]
    return [json.loads(one) for one in stored if isinstance(one, bytes)]


WAYS: dict[str, Callable[[House, Case], Answers]] = {
    way.__name__: way
    for way in (
        by_keys,
        by_keys_one_by_one,
        by_instances,
        by_inputs,
        by_query,
        by_version_number,
        by_version_alias,
        by_command,
        by_batch,
    )
}
