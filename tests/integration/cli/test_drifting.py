"""drift: rows of today beside those of the training, whatever they lie in; what has changed is named first."""

import asyncio
import csv
import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from redis import Redis

from models.bundle import Bundle
from models.features import FeatureView
from tests import forked
from tests.integration.cli.conftest import END_SECONDS, Result, inherited, publish
from tests.integration.rest import graphs
from tests.servers import RedisServer

CATEGORY = {"name": "plan", "categories": ["free", "paid"]}


@dataclass(frozen=True)
class Clinic:
    """A Redis with models that were trained on the real rows it holds."""

    redis: Redis
    environment: dict[str, str]

    def insitu(self, *words: str, given: str = "") -> Result:
        done = forked.run(words, self.environment, END_SECONDS, given)
        return Result(done.returncode, done.stdout, done.stderr)

    def drift(self, *words: str) -> Any:
        done = self.insitu("drift", *words, "--json")
        assert done.code == 0, done.err
        return done.json

    def copied(self, match: str, to: str, change: Callable[[int, Any], None]) -> None:
        """Write changed copies of hashes under keys of their own."""
        for at, key in enumerate(sorted(self.redis.scan_iter(match, 1000))):
            row: Any = self.redis.hgetall(key)
            change(at, row)
            self.redis.hset(key.decode().replace(":", f":{to}"), mapping=row)


@pytest.fixture(scope="module")
def clinic(redis_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    pytest.importorskip("torch", reason="the extra `trainer` is not installed")
    server = RedisServer(redis_binary).start()
    environment = inherited() | {
        "INSITU_REDIS_URL": server.url,
        "INSITU_DATA_DIR": str(tmp_path_factory.mktemp("data")),
        "COLUMNS": "160",
    }
    with server.connect() as client:
        clinic = Clinic(client, environment)
        for name in ("breast_cancer", "japanese_vowels", "diabetes"):
            assert clinic.insitu("train", name, "--load").code == 0
        yield clinic
    server.close()


def first(report: Any) -> tuple[str, str]:
    worst = report["features"][0]
    return worst["name"], worst["verdict"]


def verdicts(report: Any) -> set[str]:
    return {one["verdict"] for one in (*report["features"], *report["answers"])}


def test_the_rows_of_the_training_are_stable_and_the_answers_as_good(clinic: Clinic) -> None:
    report = clinic.drift("breast_cancer", "--match", "patient:[0-9]*")

    assert (report["rows"], report["found"], len(report["features"])) == (569, 569, 30)
    assert verdicts(report) == {"stable"}
    assert report["skill"]["metric"] == "accuracy"
    assert report["skill"]["rows"] == 569
    assert not report["skill"]["worse"]
    assert [one["name"] for one in report["answers"]] == ["probability of benign", "label"]


def test_a_field_in_another_unit_is_named_first_and_what_it_does_to_the_answers(clinic: Clinic) -> None:
    def in_tenths(_: int, row: Any) -> None:
        row[b"mean_radius"] = b"%f" % (10 * float(row[b"mean_radius"]))

    clinic.copied("patient:[0-9]*", "tenths", in_tenths)

    report = clinic.drift("breast_cancer", "--match", "patient:tenths*")
    failed = clinic.insitu("drift", "breast_cancer", "--match", "patient:tenths*", "--fail-over", "0.25")

    assert first(report) == ("mean_radius", "drifted")
    assert {one["verdict"] for one in report["features"][1:]} == {"stable"}
    assert report["features"][0]["outside"] == 1
    assert report["features"][0]["now"]["mean"] == pytest.approx(
        10 * report["features"][0]["then"]["mean"], rel=0.1
    )
    assert report["skill"]["worse"]
    assert failed.code == 1
    assert "over a PSI of 0.25: mean_radius" in failed.err
    assert "worse than it was" in failed.out


def test_where_half_the_cells_are_gone_that_is_told_of_the_field_though_its_rows_get_no_answer(
    clinic: Clinic,
) -> None:
    def halved(at: int, row: Any) -> None:
        if at % 2:
            del row[b"worst_area"]

    clinic.copied("patient:[0-9]*", "half", halved)

    report = clinic.drift("breast_cancer", "--match", "patient:half*")

    assert first(report) == ("worst_area", "drifted")
    assert report["features"][0]["missing"] == [0, pytest.approx(284 / 569)]
    assert report["features"][0]["now"]["absent"] == 284
    assert report["skipped"] == {"field_missing": 284}
    assert {one["now"]["rows"] for one in report["answers"]} == {285}
    assert {one["verdict"] for one in report["features"][1:]} == {"stable"}
    stood_in = clinic.drift("breast_cancer", "--match", "patient:half*", "--missing", '{"worst_area": 0}')
    assert (stood_in["skipped"], stood_in["features"][0]["now"]["filled"]) == ({}, 284)


def test_fifty_rows_cry_no_wolf_and_are_the_same_ones_each_time(clinic: Clinic) -> None:
    words = ("breast_cancer", "--match", "patient:[0-9]*", "--rows", "50")
    report = clinic.drift(*words)

    assert (report["rows"], report["found"]) == (50, 569)
    assert max(one["psi"] for one in report["features"]) > 0.1
    assert verdicts(report) <= {"stable", "chance"}
    assert clinic.insitu("drift", *words, "--fail-over", "0.1").code == 0
    assert clinic.drift(*words) == report
    assert "50 rows of 569, evenly chosen" in clinic.insitu("drift", *words).out


def test_sequences_of_another_length_are_seen_and_their_channels_apart(clinic: Clinic) -> None:
    for key in [key for key in clinic.redis.scan_iter("utterance:*", 1000) if key.count(b":") == 1]:
        steps: Any = clinic.redis.lrange(key, 0, -1)
        louder = [
            (np.frombuffer(step, "<f4") * [1, 1, 1, 3, *[1] * 8]).astype("<f4").tobytes() for step in steps
        ]
        clinic.redis.rpush(key.replace(b":", b":long"), *louder, *louder)

    same, report = (
        clinic.drift("japanese_vowels", "--match", match) for match in ("utterance:[0-9]*", "utterance:long*")
    )

    assert verdicts(same) == {"stable"}
    assert len(same["features"]) == 13
    worst = [one["name"] for one in report["features"] if one["verdict"] == "drifted"]
    assert worst == ["steps of x", "utterance:{id}[:,3]"]


def test_values_and_their_error_are_told_of_a_regression(clinic: Clinic) -> None:
    report = clinic.drift("diabetes", "--target", "progression")

    assert [one["name"] for one in report["answers"]] == ["value"]
    assert (report["skill"]["metric"], report["skill"]["rows"]) == ("mae", 442)
    assert verdicts(report) <= {"stable", "chance"}
    nothing = clinic.insitu("drift", "diabetes", "--target", "nothing", "--json")
    assert nothing.json["skill"] is None
    assert "--target 'nothing': 0 of the answered rows have a number in that field" in nothing.err


def test_a_person_sees_both_histograms_and_a_bar_by_version(clinic: Clinic) -> None:
    done = clinic.insitu("drift", "breast_cancer:1", "--match", "patient:[0-9]*")

    assert done.code == 0
    assert done.out.startswith(
        "breast_cancer version 1: 569 rows beside 370 training rows and the answers to 142"
    )
    assert "▅··█  ▅▁▁█" in done.out
    assert "and 18 more features: 18 stable" in done.out
    assert "accuracy 0.98" in done.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nobody",), 1, "nobody"),
        ((":1",), 2, "names no model; write NAME or NAME:VERSION"),
        (
            ("breast_cancer", "--match", "x:*"),
            1,
            "no rows among keys that match x:*; this model reads 'patient:{id}'",
        ),
        (
            ("breast_cancer", "--match", "diabetic:*"),
            1,
            "none of them is a key this model reads ('patient:{id}')",
        ),
        (("breast_cancer", "--keys-from", "-"), 1, "none of 1 row"),
        (("japanese_vowels:9",), 1, "9"),
        (("breast_cancer", "--rows", "0"), 2, "--rows"),
        (("breast_cancer", "--missing", '{"mean_radios": 0}'), 1, "did you mean 'mean_radius'?"),
        (("breast_cancer", "--match", "a", "--index", "b"), 2, "both say which rows"),
        (("japanese_vowels", "--instances", "nowhere.csv"), 1, "nowhere.csv"),
    ],
)
def test_what_cannot_be_compared_is_told_with_its_cure(
    clinic: Clinic, words: tuple[str, ...], code: int, said: str
) -> None:
    done = clinic.insitu("drift", *words, given="patient:nobody\n")

    assert said in done.err
    assert done.code == code


def churn(source: dict[str, Any]) -> Bundle:
    """A model from elsewhere, whose two features lie wherever a test likes."""
    view = FeatureView.read({"inputs": [{"name": "x", "sources": [source]}]})
    made = graphs.churn()
    return Bundle(made.manifest.model_copy(update={"features": view}), made.onnx)


def rows(client: Redis, prefix: str, ages: list[float], plans: list[str]) -> None:
    for at, (age, plan) in enumerate(zip(ages, plans, strict=True)):
        client.hset(f"customer:{prefix}{at}", mapping={"age": age, "plan": plan})


def test_a_model_from_elsewhere_is_compared_with_rows_that_were_well(
    insitu: Callable[..., Result], redis_url: str
) -> None:
    asyncio.run(
        publish(redis_url, churn({"key": "customer:{id}", "as": "hash", "fields": ["age", CATEGORY]}))
    )
    random = np.random.default_rng(0)
    with Redis.from_url(redis_url) as client:
        rows(client, "old", random.normal(40, 9, 300).tolist(), ["free", "paid", "paid"] * 100)
        rows(client, "new", random.normal(40, 9, 300).tolist(), ["free", "paid", "gold"] * 100)

    taught = insitu("drift", "churn", "--match", "customer:new*")
    report = insitu("drift", "churn", "--match", "customer:new*", "--against", "customer:old*", "--json").json

    assert taught.code == 1
    assert "it was not trained here; compare with rows that were well: --against PATTERN" in taught.err
    assert first(report) == ("plan", "drifted")
    assert report["features"][0]["new"] == {"(none of its categories)": pytest.approx(1 / 3)}
    assert report["features"][1]["verdict"] == "stable"
    assert report["skipped"] == {"unknown_category": 100}
    assert {one["now"]["rows"] for one in report["answers"]} == {200}
    shown = insitu("drift", "churn", "--match", "customer:new*", "--against", "customer:old*").out
    assert "plan: '(none of its categories)' has 33.3% of the rows" in shown


def test_documents_are_compared_and_the_truth_is_read_from_them(
    redis_server: Callable[..., RedisServer], tmp_path: Path
) -> None:
    server = redis_server(json=True)
    asyncio.run(
        publish(server.url, churn({"key": "customer:{id}", "as": "json", "fields": ["age", "spend"]}))
    )
    with server.connect() as client:
        for at in range(200):
            about = {"age": at % 50, "spend": at % 25, "left": "stays" if at % 4 else "leaves"}
            client.json().set(f"customer:{'old' if at < 100 else 'new'}{at}", "$", about)
    words = (
        "drift",
        "churn",
        "--match",
        "customer:new*",
        "--against",
        "customer:old*",
        "--target",
        "left",
        "--json",
    )

    done = forked.run(words, inherited() | {"INSITU_REDIS_URL": server.url}, END_SECONDS, "")

    report = json.loads(done.stdout)
    assert verdicts(report) <= {"stable", "chance"}
    assert (report["skill"]["rows"], report["skill"]["then"]) == (100, 0.91)


def test_vectors_and_what_only_requests_carry_are_compared_from_files(
    insitu: Callable[..., Result], redis_url: str, tmp_path: Path
) -> None:
    asyncio.run(publish(redis_url, graphs.price()))
    random = np.random.default_rng(0)
    with Redis.from_url(redis_url) as client:
        for at in range(100):
            client.set(f"flat:{at}", random.normal(size=2).astype("<f4").tobytes())
    for name, months in (("then", range(12)), ("now", range(11, 13))):
        with (tmp_path / f"{name}.csv").open("w") as file:
            lines = [{"id": at, "month": list(months)[at % len(months)]} for at in range(100)]
            writer = csv.DictWriter(file, ("id", "month"))
            writer.writeheader()
            writer.writerows(lines)
    now, then = str(tmp_path / "now.csv"), str(tmp_path / "then.csv")

    report = insitu("drift", "price", "--instances", now, "--against", then, "--json").json

    assert first(report) == ("month", "drifted")
    assert {one["name"]: one["verdict"] for one in report["features"][1:]} == {
        "flat:{id}[0]": "stable",
        "flat:{id}[1]": "stable",
    }
    assert report["against"] == "100 rows of --against"
    refused = insitu("drift", "price", "--instances", now, "--against", then, "--target", "sold")
    assert "neither hashes nor documents" in refused.err
    assert "--against FILE" in insitu("drift", "price", "--instances", now).err


def test_the_page_shows_what_the_command_prints_of_the_features(clinic: Clinic) -> None:
    page = (Path(__file__).parents[3] / "docs" / "drift.md").read_text(encoding="utf-8")
    of_tenths, of_fifty = re.findall(
        r"^```console\n\$ insitu (.+?)\n(.+?)^```$", page, re.MULTILINE | re.DOTALL
    )

    done = clinic.insitu(*shlex.split(of_fifty[0]))

    printed = done.out.splitlines()
    features = of_fifty[1].split("...")[0].splitlines()
    assert features == printed[: len(features)]
    assert "mean_radius       6.279   0.139  drifted  0.90" in of_tenths[1]
