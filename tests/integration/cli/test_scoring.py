"""score: every key that matches, straight from Redis to Redis."""

import json
from collections.abc import Callable

from redis import Redis

from tests.integration.cli.conftest import Result

Insitu = Callable[..., Result]


def scores(redis_url: str) -> dict[bytes, bytes]:
    with Redis.from_url(redis_url) as client:
        return {key: client.get(key) for key in client.scan_iter("score:*")}


def test_every_key_is_scored_and_what_is_skipped_is_told(
    insitu: Insitu, published: None, redis_url: str
) -> None:
    done = insitu("score", "churn", "--match", "customer:*", "--json")

    written = scores(redis_url)
    assert done.code == 0
    assert (done.json["scored"], done.json["skipped"]) == (2, {"field_missing": 1})
    assert done.json["labels"] == {"stays": 1, "leaves": 1}
    assert json.loads(written[b"score:customer:2"])["label"] == "leaves"
    assert b"score:customer:3" not in written


def test_a_person_sees_the_same(insitu: Insitu, published: None) -> None:
    done = insitu("score", "churn", "--to", "risk:{key}")

    assert "churn version 1: 2 rows scored into risk:{key}" in done.out
    assert "field_missing     1" in done.out


def test_scoring_again_writes_the_same_bytes(insitu: Insitu, published: None, redis_url: str) -> None:
    insitu("score", "churn")
    first = scores(redis_url)
    insitu("score", "churn")

    assert scores(redis_url) == first


def test_answers_expire_when_asked(insitu: Insitu, published: None, redis_url: str) -> None:
    insitu("score", "churn", "--ttl", "1000")

    with Redis.from_url(redis_url) as client:
        assert 0 < int(client.ttl("score:customer:1")) <= 1000


def test_too_many_errors_are_code_1(insitu: Insitu, published: None) -> None:
    stopped = insitu("score", "churn", "--max-errors", "0")

    assert stopped.code == 1
    assert "1 row could not be scored, --max-errors allows 0; the first: key 'customer:3'" in stopped.error


def test_a_pattern_that_nothing_matches_is_code_1(insitu: Insitu, published: None) -> None:
    nothing = insitu("score", "churn", "--match", "costumer:*")

    assert nothing.code == 1
    assert nothing.out == ""
    assert "no key matches 'costumer:*'; this model reads 'customer:{id}'" in nothing.error


def test_a_pattern_of_other_keys_names_what_the_model_reads(
    insitu: Insitu, published: None, redis_url: str
) -> None:
    with Redis.from_url(redis_url) as client:
        client.hset("patient:1", "age", "60")

    nothing = insitu("score", "churn", "--match", "patient:*")

    assert (
        "1 key matches 'patient:*', none of them is a key this model reads ('customer:{id}')" in nothing.error
    )


def test_no_key_at_all_names_the_models_own_pattern(insitu: Insitu, published: None, redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        client.delete("customer:1", "customer:2", "customer:3")

    assert "no key matches 'customer:*'" in insitu("score", "churn").error


def test_a_program_gets_one_document_when_nothing_is_scored(insitu: Insitu, published: None) -> None:
    nothing = insitu("score", "churn", "--match", "customer:3", "--json")

    assert nothing.code == 1
    assert nothing.json["error"]["code"] == "nothing_scored"
    assert nothing.json["error"]["skipped"] == {"field_missing": 1}


def test_a_target_that_names_no_key_a_row_is_refused(insitu: Insitu, published: None) -> None:
    refused = insitu("score", "churn", "--to", "everything")

    assert refused.code == 1
    assert "{key}" in refused.error
