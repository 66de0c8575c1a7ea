"""check: what is wrong with a set-up, found for real."""

from collections.abc import Callable

import pytest
from redis import Redis

from tests.integration.cli.conftest import Result, Running
from tests.servers import RedisServer, free_port

Insitu = Callable[..., Result]


def states(done: Result, area: str) -> list[str]:
    return [one["state"] for one in done.json["findings"] if one["area"] == area]


def test_a_set_up_that_works_is_code_0(
    insitu: Insitu,
    running: Callable[..., Running],
    redis_server: Callable[..., RedisServer],
    churn: tuple[str, str],
) -> None:
    place = redis_server(aof=True).url
    insitu("publish", churn[0], "--name", "churn", "--redis-url", place)
    words = ("serve", "--port", "0", "--redis-url", place, "--log-level", "error", "--json")
    url = running(*words, fresh=True).told()["url"]

    done = insitu("check", "--redis-url", place, "--url", url, "--json")
    shown = insitu("check", "--redis-url", place, "--url", url)

    assert done.code == 0
    assert done.json["ok"]
    assert states(done, "models") == ["ok"]
    assert states(done, "server") == ["ok"]
    assert "churn version 1 (production) is whole, and runs" in shown.out
    assert " 0 failed" in shown.out


def test_a_damaged_model_is_found(insitu: Insitu, published: None, redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        client.setrange("insitu:{churn}:v1:onnx:0", 20, b"damaged")

    done = insitu("check", "--json")

    assert done.code == 1
    assert states(done, "models") == ["fail"]
    assert any("insitu rollback churn" in one["cure"] for one in done.json["findings"])


def test_a_redis_that_keeps_nothing_or_evicts_models_fails(insitu: Insitu, redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            done = insitu("check")
        finally:
            client.config_set("maxmemory", "0")
            client.config_set("maxmemory-policy", "noeviction")

    assert done.code == 1
    assert "full memory evicts models too" in done.out
    assert "keeps nothing: a restart loses every model" in done.out


def test_a_redis_that_takes_no_writes_is_told_and_read(
    insitu: Insitu, redis_server: Callable[..., RedisServer]
) -> None:
    server = redis_server()
    place = ("--redis-url", server.url)
    with server.connect() as client:
        client.config_set("maxmemory", "1kb")
    full = insitu("check", *place)
    with server.connect() as client:
        client.config_set("maxmemory", 0)
    server.fill_the_disk()
    unsaved, models = insitu("check", *place), insitu("models", *place)

    assert "its memory is full" in full.out
    assert "takes no writes until it can (MISCONF)" in unsaved.out
    assert models.code == 0
    assert "no models are stored" in models.out


def test_a_user_who_may_not_ask_for_the_state_of_redis_is_told(
    insitu: Insitu, redis_server: Callable[..., RedisServer]
) -> None:
    server = redis_server(port=free_port())
    with server.connect() as client:
        client.execute_command(
            "ACL", "SETUSER", "reads", "on", ">pw", "~*", "-@all", "+@read", "+@connection"
        )

    done = insitu("check", "--redis-url", server.tcp_url.replace("//", "//reads:pw@"), "--json")

    assert done.code == 0
    assert "warn" in states(done, "Redis")
    assert any("+info" in one["cure"] for one in done.json["findings"])
    assert states(done, "models") == ["ok"]


@pytest.mark.parametrize("words", [("--json",), ()])
def test_a_redis_that_is_away_is_a_finding(insitu: Insitu, words: tuple[str, ...]) -> None:
    done = insitu("check", *words, "--redis-url", f"redis://:secret@127.0.0.1:{free_port()}")

    assert done.code == 1
    assert "does not answer" in done.out
    assert "secret" not in done.out


def test_something_else_at_the_servers_address_is_found(
    insitu: Insitu, redis_server: Callable[..., RedisServer]
) -> None:
    other = redis_server(port=free_port())

    done = insitu("check", "--url", f"http://127.0.0.1:{other.port}", "--json")

    assert states(done, "server") in (["warn"], ["fail"])


def test_a_server_open_to_everybody_is_told(insitu: Insitu) -> None:
    done = insitu("check", "--json", INSITU_HOST="192.0.2.1")

    assert done.code == 1
    assert states(done, "settings") == ["fail"]
