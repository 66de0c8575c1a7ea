"""score: every row, straight from Redis, to where it is wanted; killed at any moment it goes on."""

import asyncio
import json
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from models.ledger import SILENT_SECONDS
from tests.integration.cli.conftest import Result, Running, publish
from tests.integration.rest import graphs

Insitu = Callable[..., Result]
Start = Callable[..., Running]


def scores(redis_url: str) -> dict[bytes, Any]:
    with Redis.from_url(redis_url) as client:
        return {key: json.loads(client.get(key) or b"") for key in client.scan_iter("score:*", 1000)}


def until_it_scores(redis_url: str) -> None:
    """Wait until the first answers of a job are written."""
    until = time.monotonic() + 100
    while not scores(redis_url):
        assert time.monotonic() < until
        time.sleep(0.1)


def test_every_key_is_scored_and_what_is_skipped_is_told(
    insitu: Insitu, published: None, redis_url: str
) -> None:
    done = insitu("score", "churn", "--match", "customer:*", "--json")

    written = scores(redis_url)
    assert done.code == 0
    assert (done.json["scored"], done.json["skipped"]) == (2, {"field_missing": 1})
    assert (done.json["state"], done.json["share"], done.json["version"]) == ("done", 1.0, 1)
    assert done.json["labels"] == {"stays": 1, "leaves": 1}
    assert written[b"score:customer:2"]["label"] == "leaves"
    assert b"score:customer:3" not in written


def test_a_person_sees_the_same_and_how_the_probabilities_are_spread(insitu: Insitu, published: None) -> None:
    done = insitu("score", "churn", "--to", "risk:{key}")

    assert "churn version 1: 2 rows scored into risk:{key}" in done.out
    assert "field_missing     1" in done.out
    assert "probabilities of leaves" in done.out
    assert "█" in done.out
    assert "probabilities of leaves" in insitu("jobs", insitu("jobs", "--json").json[0]["job"]).out


def test_scoring_again_writes_the_same_answers(insitu: Insitu, published: None, redis_url: str) -> None:
    insitu("score", "churn")
    first = scores(redis_url)
    insitu("score", "churn")

    again = scores(redis_url)
    for one in (*first.values(), *again.values()):
        assert time.time() - one.pop("time") < 60
    assert again == first


def test_answers_expire_when_asked(insitu: Insitu, published: None, redis_url: str) -> None:
    insitu("score", "churn", "--ttl", "1000")

    with Redis.from_url(redis_url) as client:
        assert 0 < int(client.ttl("score:customer:1")) <= 1000


def test_the_riskiest_are_one_command_away(insitu: Insitu, published: None, redis_url: str) -> None:
    assert insitu("score", "churn", "--to-zset", "riskiest", "--label", "leaves").code == 0

    with Redis.from_url(redis_url) as client:
        (first, probability), _ = client.zrevrange("riskiest", 0, 99, withscores=True)
        assert not list(client.scan_iter("score:*"))
    assert first == b"customer:2"
    assert probability > 0.5


def test_keys_come_from_redis_a_file_or_standard_input_and_answers_go_to_standard_output(
    insitu: Insitu, published: None, redis_url: str, tmp_path: Path
) -> None:
    with Redis.from_url(redis_url) as client:
        client.sadd("vips", "customer:2")
    listed = tmp_path / "keys.txt"
    listed.write_text("customer:2\n")

    ways = [
        insitu("score", "churn", "--keys-from", "redis:vips", "--to", "-"),
        insitu("score", "churn", "--keys-from", str(listed), "--to", "-"),
        insitu("score", "churn", "--keys-from", "-", "--to", "-", given="customer:2\n"),
    ]

    for done in ways:
        assert done.code == 0, done.err
        (line,) = map(json.loads, done.out.splitlines())
        assert (line["key"], line["label"]) == ("customer:2", "leaves")


def test_bad_rows_are_listed(insitu: Insitu, published: None, tmp_path: Path) -> None:
    listed = tmp_path / "bad.jsonl"

    insitu("score", "churn", "--errors-to", str(listed))

    (line,) = map(json.loads, listed.read_text().splitlines())
    assert (line["key"], line["code"]) == ("customer:3", "field_missing")
    assert "customer:3" in line["message"]


@pytest.mark.parametrize("words", [("--to-csv", "{out}", "--to-parquet", "{out}"), ("--to-csv", "{rows}")])
def test_no_file_is_written_twice_and_none_that_rows_are_read_from(
    insitu: Insitu, published: None, tmp_path: Path, words: tuple[str, ...]
) -> None:
    rows = tmp_path / "keys.txt"
    rows.write_text("customer:1\ncustomer:none\n")
    places = [word.format(out=tmp_path / "out", rows=rows) for word in words]

    refused = insitu("score", "churn", "--keys-from", str(rows), *places, "--errors-to", str(rows))

    assert "give each a file of its own" in refused.error
    assert refused.code == 1
    assert [*tmp_path.iterdir()] == [rows]
    assert rows.read_text() == "customer:1\ncustomer:none\n"
    assert insitu("jobs", "--json").json == []


def test_too_many_errors_are_code_1(insitu: Insitu, published: None) -> None:
    stopped = insitu("score", "churn", "--max-errors", "0")

    assert stopped.code == 1
    assert "1 row could not be scored, max_errors allows 0; the first: key 'customer:3'" in stopped.error


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


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--to", "everything"), 1, "everything"),
        (("--match", "a", "--keys-from", "b"), 2, "--match and --keys-from both say which rows"),
        (("--query", "*"), 2, "--query needs --index"),
        (("--to-zset", "z", "--ttl", "5"), 2, "--ttl is for answers with a key of their own"),
        (("--newer-than", "soon"), 2, "--newer-than is 'soon'; write an age"),
        (("--pause-above-latency", "slow"), 2, "--pause-above-latency is 'slow'"),
        (("--newer-than", "2h"), 1, "time_field"),
        (("--label", "maybe"), 1, "label 'maybe' is none of model 'churn'; its labels are stays, leaves"),
        (("--keys-from", "nowhere.txt"), 1, "nowhere.txt"),
        (
            ("--only-missing", "--to-csv", "a.csv"),
            1,
            "only_missing: a csv does not tell which rows have an answer",
        ),
        (("--job", "a b"), 2, "job name 'a b'"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    insitu: Insitu, published: None, words: tuple[str, ...], code: int, told: str
) -> None:
    refused = insitu("score", "churn", *words)

    assert told in refused.error
    assert refused.code == code


ROWS, BAD = 3000, 300
KILLS = 20


@pytest.fixture
def customers(published: None, redis_url: str) -> None:
    """So many whole customers, and so many whose age is no number."""
    with Redis.from_url(redis_url) as client:
        client.delete("customer:3")
        whole = client.hgetall("customer:1")
        pipeline = client.pipeline(transaction=False)
        for number in range(10, 10 + ROWS):
            pipeline.hset(f"customer:{number}", mapping=whole)
        for number in range(BAD):
            pipeline.hset(f"customer:bad{number}", mapping={**whole, b"age": b"old"})
        pipeline.execute()


@pytest.mark.timeout(300)
def test_killed_twenty_times_a_job_goes_on_and_nothing_is_missing_or_half_written(
    running: Start, insitu: Insitu, customers: None, redis_url: str, tmp_path: Path
) -> None:
    chance = random.Random(7)
    table = tmp_path / "scores.csv"
    places = (
        "--to",
        "score:{key}",
        "--to-csv",
        str(table),
        "--to-stream",
        "told",
        "--errors-to",
        "redis:bad",
    )
    words = ("score", "churn", *places, "--json", "--job", "nightly", "--resume")
    for _ in range(KILLS):
        one = running(*words, "--max-rate", "80", fresh=True)
        time.sleep(chance.uniform(0.5, 3.0))
        assert one.end(signal.SIGKILL) == -signal.SIGKILL

    last, again = insitu(*words), insitu(*words)

    assert last.code == 0, last.err
    assert {**again.json, "seconds": 0} == {**last.json, "seconds": 0}
    written = scores(redis_url)
    lines = table.read_text().splitlines()
    assert last.json["scored"] == ROWS + 2
    assert len(written) == ROWS + 2
    assert len({line.split(",")[0] for line in lines[1:]}) == len(lines) - 1 == ROWS + 2
    expected = written[b"score:customer:1"]["probabilities"]
    assert all(
        written[b"score:customer:%d" % number]["probabilities"] == expected for number in range(10, 500)
    )
    assert sorted(tmp_path.glob("scores.csv*")) == [table]
    with Redis.from_url(redis_url) as client:
        told, bad = ([entry[b"key"] for _, entry in client.xrange(key)] for key in ("told", "bad"))
    assert sorted(told) == sorted(key.removeprefix(b"score:") for key in written)
    assert sorted(bad) == sorted(b"customer:bad%d" % number for number in range(BAD))


def test_an_unfinished_job_begins_anew_unless_it_is_resumed(
    running: Start, insitu: Insitu, customers: None, redis_url: str
) -> None:
    words = ("score", "churn", "--job", "nightly")
    one = running(*words, "--max-rate", "50", fresh=True)
    until_it_scores(redis_url)
    assert "is being scored right now; `insitu score --resume` works on it too" in insitu(*words).error
    one.end(signal.SIGKILL)
    time.sleep(SILENT_SECONDS + 1)

    done = insitu(*words)

    assert done.code == 0
    assert "began anew: the job was" in done.err


def test_a_job_is_not_forgotten_by_one_that_cannot_begin(
    insitu: Insitu, published: None, redis_url: str, tmp_path: Path
) -> None:
    waits = {
        "spec": '{"model": "churn", "version": 1}',
        "state": "running",
        "begun": 5.5,
        "share": 0.9,
        "position": "",
    }
    parts = tmp_path / "out.csv.parts"
    parts.mkdir()
    (parts / "job").write_bytes(json.dumps({"job": "nightly 5.5"}).encode())

    with Redis.from_url(redis_url) as client:
        client.hset("insitu:{job:nightly}", mapping={**waits, "passed_over": 0, "walk": 1, "walked": 0})
        before = client.hgetall("insitu:{job:nightly}")
        refused = insitu("score", "churn", "--job", "nightly", "--to-csv", str(tmp_path / "out.csv"))
        assert client.hgetall("insitu:{job:nightly}") == before
    assert (
        "out.csv.parts' holds parts of job 'nightly', which its command with --resume goes" in refused.error
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("churn", "--to-hash", "answers"), "begun otherwise (targets)"),
        (("churn", "--match", "customer:1", "--label", "stays"), "begun otherwise (rows, --label)"),
        (("churn", "--version", "2"), "begun otherwise (--version)"),
        (("price",), "begun otherwise (model"),
        (("churn", "--newer-than", "2h"), "begun otherwise (--newer-than)"),
    ],
)
def test_a_job_is_not_gone_on_with_by_the_command_of_another(
    insitu: Insitu, published: None, redis_url: str, words: tuple[str, ...], told: str
) -> None:
    assert insitu("score", "churn", "--job", "nightly").code == 0
    for bundle in (graphs.churn(), graphs.price()):
        asyncio.run(publish(redis_url, bundle))

    refused = insitu("score", *words, "--job", "nightly", "--resume")

    assert told in refused.error
    assert refused.code == 2
    assert (
        insitu("score", "churn", "--job", "nightly", "--resume", "--max-rate", "9", "--json").json["version"]
        == 1
    )


def test_whoever_interrupts_a_job_is_told_how_it_goes_on(
    running: Start, customers: None, redis_url: str
) -> None:
    one = running("score", "churn", "--job", "nightly", "--max-rate", "50", fresh=True)
    until_it_scores(redis_url)

    assert one.end(signal.SIGINT) == 130
    one.line_with("job nightly waits in Redis; the same command with --resume goes on with it")


def test_a_job_that_has_failed_is_not_resumed(insitu: Insitu, published: None) -> None:
    insitu("score", "churn", "--job", "nightly", "--max-errors", "0")

    refused = insitu("score", "churn", "--job", "nightly", "--max-errors", "0", "--resume")

    assert "job 'nightly' has failed; the same command without --resume begins it anew" in refused.error


def test_where_redis_has_no_room_for_more_it_is_told_how_the_job_goes_on(
    running: Start, customers: None, redis_url: str
) -> None:
    one = running("score", "churn", "--job", "nightly", "--max-rate", "50")
    until_it_scores(redis_url)

    with Redis.from_url(redis_url) as client:
        client.config_set("maxmemory", 1)
        try:
            one.line_with("job nightly waits in Redis; the same command with --resume goes on with it")
            last = one.line_with("error: Redis refused")
        finally:
            client.config_set("maxmemory", 0)

    assert "script" not in last


def test_what_is_skipped_is_told_beside_answers_on_standard_output(insitu: Insitu, published: None) -> None:
    done = insitu("score", "churn", "--to", "-")

    assert len(done.out.splitlines()) == 2
    assert "1 row could not be scored (field_missing 1); the first: key 'customer:3'" in done.err


def test_a_job_on_ray_is_not_gone_on_with(insitu: Insitu, published: None) -> None:
    refused = insitu("score", "churn", "--ray", "local", "--resume")

    assert refused.code == 2
    assert (
        "--resume does not go with --ray, which keeps no position; --only-missing passes over"
        in refused.error
    )
