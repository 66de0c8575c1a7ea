"""insitu import redisai: files of tests/data/redisai/ into a real Redis."""

import json
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from redis import Redis, RedisCluster

from models.model_pointers import ModelPointer
from models.tensor_strings import array_of, unpack
from tests import graphs
from tests.data import make_redisai as made
from tests.integration.cli.conftest import ROOT, Result
from tests.servers import RedisNodes, RedisServer

Insitu = Callable[..., Result]
FILES = made.FOLDER
SHORT = b"\x05\xc3\x03\x04\x01ab"  # a string that is said to decompress to four bytes, and does to two
TORCH = "a TorchScript model; export it to ONNX with torch.onnx.export and store it with AI.MODELSTORE"


@pytest.mark.parametrize("encoding", made.ENCODINGS)
def test_a_file_moves_in_whole(encoding: int, insitu: Insitu, redis_url: str) -> None:
    done = insitu("import", "redisai", str(FILES / f"encoding-{encoding}.rdb"), "--json")

    assert done.code == 0, done.err
    assert (done.json["tensors"], done.json["expired"], done.json["failed"]) == (4 + (encoding == 4), 1, [])
    (model,) = done.json["models"]
    assert (model["key"], model["version"], model["verified"]) == ("model:{1}", 1, "loaded, run once")
    left_out = {one["key"]: one["reason"] for one in done.json["left_out"]}
    assert left_out["torch"] == TORCH
    assert "nothing here runs" in left_out["script"]
    with Redis.from_url(redis_url) as redis:
        assert tensor_at(redis, "numbers").tolist() == made.NUMBERS.tolist()
        assert tensor_at(redis, "counts").tolist() == made.COUNTS.tolist()
        assert tensor_at(redis, "flags").tolist() == made.FLAGS.tolist()
        assert redis.pttl("counts") > 10**9
        assert redis.pttl("numbers") == -1
        assert redis.exists("gone", "torch", "script") == 0
        assert pointer_at(redis, "model:{1}") == ModelPointer(model["model"], 1)
    with Redis.from_url(redis_url, db=3) as redis:
        assert tensor_at(redis, "scalar") == 2.5
        assert redis.dbsize() == 1


def tensor_at(redis: Redis, key: str) -> Any:
    value = redis.get(key)
    assert isinstance(value, bytes)
    tensor = unpack(value)
    assert tensor is not None
    return array_of(tensor)


def pointer_at(redis: Redis, key: str) -> ModelPointer | None:
    value = redis.get(key)
    assert isinstance(value, bytes)
    return ModelPointer.parse(value)


def test_how_a_model_was_stored_is_kept_in_its_manifest(insitu: Insitu) -> None:
    name = insitu("import", "redisai", str(FILES / "encoding-4.rdb"), "--json").json["models"][0]["model"]

    execution = insitu("models", f"{name}:production", "--json").json["execution"]

    assert execution == {
        "key": "model:{1}",
        "db": 0,
        "device": "CPU",
        "tag": "v1",
        "batch_rows": 8,
        "min_batch_rows": 2,
        "min_batch_wait_ms": 5,
    }


def test_a_person_gets_a_table_and_what_is_left_out_with_the_cure(insitu: Insitu) -> None:
    done = insitu("import", "redisai", str(FILES / "appendonlydir"))

    lines = done.out.splitlines()
    assert done.code == 0, done.err
    assert lines[0].split() == ["model's", "key", "db", "stored", "as", "size", "verified"]
    assert lines[1].split()[:3] == ["model:{1}", "0", "model-1-1a04e6ae"]
    assert lines[3] == "imported: 2 models, 9 tensors (187 B), 1 key expired"
    assert f"left out: model torch: {TORCH}" in lines
    assert any(line.startswith("left out: script script, s: ") for line in lines)
    assert done.err == ""


def test_the_page_shows_what_the_command_says(insitu: Insitu) -> None:
    page = (ROOT / "docs" / "leaving-redisai.md").read_text()
    (shown,) = re.findall(r"\$ insitu import redisai dump.rdb\n(.*?)```", page, re.DOTALL)

    done = insitu("import", "redisai", str(FILES / "encoding-4.rdb"))

    assert done.out == textwrap.dedent(shown)


def test_the_same_import_again_changes_nothing(insitu: Insitu, redis_url: str) -> None:
    words = ("import", "redisai", str(FILES / "preamble.aof"))
    insitu(*words)
    with Redis.from_url(redis_url) as redis:
        before = snapshot(redis)

        again = insitu(*words, "--json")

        assert snapshot(redis) == before
    assert (again.code, again.json["tensors"], again.json["tensors_there_already"]) == (0, 0, 10)
    assert {one["state"] for one in again.json["models"]} == {"same"}


def snapshot(redis: Redis) -> dict[bytes, bytes | None]:
    return {bytes(key): redis.dump(key) for key in redis.scan_iter()}


def test_a_tensor_of_the_same_size_and_other_numbers_is_something_else(
    insitu: Insitu, redis_url: str
) -> None:
    words = ("import", "redisai", str(FILES / "encoding-4.rdb"))
    insitu(*words)
    with Redis.from_url(redis_url) as redis:
        redis.setrange("counts", 0, "\x01")
    with Redis.from_url(redis_url, db=3) as redis:
        redis.setrange("scalar", 0, "\x01")

    refused = insitu(*words)

    assert "2 keys hold something else already (counts, scalar)" in refused.error


def test_keys_that_hold_something_else_are_named_and_nothing_is_written(
    insitu: Insitu, redis_url: str
) -> None:
    with Redis.from_url(redis_url) as redis:
        redis.hset("numbers", "f", "v")
        redis.set("model:{1}", "mine")

        refused = insitu("import", "redisai", str(FILES / "encoding-4.rdb"))

        assert refused.code == 1
        assert "2 keys hold something else already (numbers, model:{1})" in refused.error
        assert "--overwrite" in refused.error
        assert sorted(redis.keys()) == [b"model:{1}", b"numbers"]


def test_keys_are_replaced_when_that_is_asked_for_and_agreed_to(insitu: Insitu, redis_url: str) -> None:
    words = ("import", "redisai", str(FILES / "encoding-4.rdb"), "--overwrite")
    with Redis.from_url(redis_url) as redis:
        redis.hset("numbers", "f", "v")

        unasked = insitu(*words)
        kept = redis.type("numbers")
        agreed = insitu(*words, "--yes")

        assert unasked.code == 2
        assert "add --yes" in unasked.error
        assert kept == b"hash"
        assert agreed.code == 0, agreed.err
        assert tensor_at(redis, "numbers").tolist() == made.NUMBERS.tolist()


def test_a_model_that_was_renamed_is_kept_when_its_key_is_imported_again(
    insitu: Insitu, redis_url: str
) -> None:
    words = ("import", "redisai", str(FILES / "encoding-4.rdb"), "--match", "model*", "--json")
    with Redis.from_url(redis_url) as redis:
        for turn in range(4):
            done = insitu(*words)
            assert done.code == 0, done.err
            redis.rename("model:{1}", f"kept:{turn}")
        redis.delete("kept:1")
        assert insitu(*words).code == 0

        pointers = [ModelPointer.parse(redis.get(f"kept:{turn}") or b"") for turn in (0, 2, 3)]
        there = [redis.exists(f"insitu:{{{one.name}}}:v{one.version}:manifest") for one in pointers if one]

    assert there == [1, 1, 1]


def test_a_dry_run_tries_everything_and_writes_nothing(insitu: Insitu, redis_url: str) -> None:
    done = insitu("import", "redisai", str(FILES / "encoding-4.rdb"), "--dry-run", "--json")

    assert done.code == 0, done.err
    assert (done.json["dry_run"], done.json["tensors"]) == (True, 5)
    assert [one["verified"] for one in done.json["models"]] == ["loaded, run once"]
    assert [one["version"] for one in done.json["models"]] == [None]
    with Redis.from_url(redis_url) as redis:
        assert redis.dbsize() == 0


def test_databases_and_patterns_choose_what_is_imported(insitu: Insitu, redis_url: str) -> None:
    file = str(FILES / "encoding-4.rdb")

    far = insitu("import", "redisai", file, "--db", "3", "--json")
    few = insitu("import", "redisai", file, "--match", "[nf]*", "--json")
    none = insitu("import", "redisai", file, "--match", "x*")

    assert (far.json["tensors"], far.json["models"]) == (1, [])
    assert (few.json["tensors"], few.json["models"], few.json["left_out"]) == (2, [], [])
    assert none.code == 1
    assert (
        "has 8 keys of RedisAI, none of them as --match and --db want them; they lie in database 0, 3"
        in none.error
    )


def put(path: Path, *entries: bytes) -> str:
    path.write_bytes(made.rdb(made.database(0, *entries)))
    return str(path)


def test_a_model_that_cannot_be_served_is_told_and_the_others_move_in(
    insitu: Insitu, redis_url: str, tmp_path: Path
) -> None:
    file = put(
        tmp_path / "some.rdb",
        made.entry(b"broken", made.model(4, made.ONNX, b"no model")),
        made.entry(b"good", made.model(4, made.ONNX, made.MODEL)),
        made.entry(b"outside", made.model(4, made.ONNX, outside())),
        made.entry(b"odd", made.tensor(4, (2, 32), (3,), b"\0" * 8)),
        made.entry(b"short", made.module("AI_TENSOR", 4, *map(made.number, (2, 32, 1, 1)), SHORT)),
        made.entry(b"last", made.tensor(4, (2, 32), (1,), b"\0" * 4)),
    )

    done = insitu("import", "redisai", file, "--json")

    reasons = {one["key"]: one["reason"] for one in done.json["failed"]}
    assert done.code == 1
    assert [one["key"] for one in done.json["models"]] == ["good"]
    assert "no ONNX model" in reasons["broken"]
    assert "external data" in reasons["outside"]
    assert "8 bytes for FLOAT [3]" in reasons["odd"]
    assert "a compressed string cannot be read" in reasons["short"]
    with Redis.from_url(redis_url) as redis:
        assert redis.exists("broken", "outside", "odd", "short") == 0
        assert redis.exists("good", "last") == 2


def outside() -> bytes:
    """A graph whose weight lies in a file beside it."""
    import onnx  # noqa: PLC0415  # for this test alone

    graph = onnx.load_model_from_string(graphs.dense(np.ones((2, 2), np.float32)))
    weight = graph.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="/etc/passwd")
    data: bytes = graph.SerializeToString()
    return data


def test_a_destination_with_fewer_databases_is_named_with_the_cure(
    insitu: Insitu, redis_url: str, tmp_path: Path
) -> None:
    tensor = made.entry(b"t", made.tensor(4, (2, 32), (1,), b"\0" * 4))
    (tmp_path / "many.rdb").write_bytes(made.rdb(made.database(0, tensor), made.database(99, tensor)))
    words = ("import", "redisai", str(tmp_path / "many.rdb"))

    refused = insitu(*words)

    assert "keys of database 99 are to be written" in refused.error
    assert "add --db" in refused.error
    with Redis.from_url(redis_url) as redis:
        assert redis.exists("t") == 0
    assert insitu(*words, "--db", "0", "--json").json["tensors"] == 1


def test_models_of_another_door_are_not_mixed_with_imported_ones(
    insitu: Insitu, churn: tuple[str, str], tmp_path: Path
) -> None:
    insitu("publish", churn[0], "--name", "churn")
    file = put(tmp_path / "some.rdb", made.entry(b"churn", made.model(4, made.ONNX, made.MODEL)))

    done = insitu("import", "redisai", file, "--json")

    assert done.code == 1
    assert "was published by another door" in done.json["failed"][0]["reason"]
    assert insitu("models", "churn", "--json").json["versions"] == [1]


def test_models_of_one_key_in_two_databases_are_two_versions_and_both_stay(
    insitu: Insitu, redis_url: str, tmp_path: Path
) -> None:
    path, model = tmp_path / "two.rdb", made.entry(b"m", made.model(4, made.ONNX, made.MODEL))
    path.write_bytes(made.rdb(made.database(0, model), made.database(1, model)))

    done = insitu("import", "redisai", str(path), "--json")

    assert done.code == 0, done.err
    for db, version in ((0, 1), (1, 2)):
        with Redis.from_url(redis_url, db=db) as redis:
            assert pointer_at(redis, "m") == ModelPointer("m", version)
    assert insitu("models", "m", "--json").json["versions"] == [1, 2]


def test_a_cluster_gets_database_0_and_no_other(insitu: Insitu, redis_cluster: RedisNodes) -> None:
    url = redis_cluster.url.replace("redis://", "redis+cluster://")
    words = ("import", "redisai", str(FILES / "encoding-4.rdb"), "--redis-url", url)

    refused = insitu(*words)
    done = insitu(*words, "--db", "0", "--json")

    assert refused.code == 2
    assert "a Redis Cluster has database 0 alone" in refused.error
    assert "add --db 0" in refused.error
    assert done.code == 0, done.err
    assert (done.json["tensors"], len(done.json["models"])) == (4, 1)
    with RedisCluster.from_url(redis_cluster.url) as redis:
        assert redis.exists("numbers", "counts", "flags", "texts") == 4
        assert redis.get("model:{1}") == b'{"insitu_model":"model-1-1a04e6ae","version":1}'


def test_a_key_that_is_no_text_moves_in(insitu: Insitu, redis_url: str, tmp_path: Path) -> None:
    key = b"\xff\x00\n"
    file = put(tmp_path / "raw.rdb", made.entry(key, made.model(4, made.ONNX, made.MODEL)))

    done = insitu("import", "redisai", file)

    assert done.code == 0, done.err
    assert done.out.splitlines()[1].startswith("\\xff\\x00\\n")
    with Redis.from_url(redis_url) as redis:
        assert redis.exists(key) == 1


@pytest.mark.parametrize(
    ("source", "code", "told"),
    [
        ("/nowhere/dump.rdb", 2, "/nowhere/dump.rdb cannot be read: No such file or directory"),
        ("localhost:6379", 2, "for a running server give its URL, redis://localhost:6379"),
        ("README.md", 1, "is no file of Redis"),
        ("tests", 1, "a directory with 0 AOF manifests"),
        ("redis://127.0.0.1:1", 3, "does not answer"),
        ("ftp://somewhere", 2, "is not a valid URL"),
    ],
)
def test_a_source_that_is_none_is_refused(source: str, code: int, told: str, insitu: Insitu) -> None:
    refused = insitu("import", "redisai", source)

    assert (refused.code, told in refused.error) == (code, True), refused.err


def test_a_damaged_file_is_refused_before_anything_is_written(
    insitu: Insitu, redis_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "damaged.rdb"
    path.write_bytes(made.everything(4)[:-1] + b"!")

    refused = insitu("import", "redisai", str(path), "--json")

    assert refused.code == 1
    assert json.loads(refused.out)["error"]["code"] == "file_damaged"
    with Redis.from_url(redis_url) as redis:
        assert redis.dbsize() == 0


def test_a_file_of_another_server_has_nothing_to_import(
    insitu: Insitu, redis_server: Callable[..., RedisServer]
) -> None:
    server = redis_server()
    with server.connect() as redis:
        redis.set("a", "x")
        redis.save()

    nothing = insitu("import", "redisai", str(server.directory / "dump.rdb"))

    assert nothing.code == 1
    assert "has no tensor, model or script of RedisAI among 1 key" in nothing.error


def test_a_server_without_redisai_has_nothing_to_import(insitu: Insitu, redis_url: str) -> None:
    nothing = insitu("import", "redisai", redis_url)

    assert nothing.code == 1
    assert "the server has no tensor, model or script of RedisAI; is it the right server?" in nothing.error
