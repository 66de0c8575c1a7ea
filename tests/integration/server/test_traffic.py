"""Canary, shadow and pin on a running core: each key at its version, nobody harmed by the one beside."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from models.bundle import Bundle
from models.errors import BadRequest, VersionInUse
from models.store import ModelStore
from models.traffic import Traffic
from server.inference.asking import Answer, Ask
from server.inference.engine import Engine
from tests.graphs import bundle, constant, model, node, value
from tests.integration.server.conftest import Serve, StartEngine, until
from tests.integration.server.processes import load

VIEW = {"inputs": [{"name": "x", "sources": [{"key": "c:{id}", "as": "vector", "shape": [2]}]}]}
INLINE = {"inputs": [{"name": "x", "sources": [{"inline": True, "fields": ["a", "b"]}]}]}
KEYS = [f"c:{number}" for number in range(10_000)]
AT_ONCE = 1000


def telling(number: float, view: dict[str, Any] | None = None) -> Bundle:
    """A model that answers its number for any key."""
    return bundle(constant(number), view=VIEW if view is None else view)


def stepping(threshold: float) -> Bundle:
    """y = 1 where the first number of the vector is over a threshold, else 0."""
    nodes = [
        node("Slice", "x start end axis", "first"),
        node("Greater", "first t", "over"),
        node("Cast", "over", "y", to=1),
    ]
    weights = {
        "start": np.array([0]),
        "end": np.array([1]),
        "axis": np.array([1]),
        "t": np.array(threshold, np.float32),
    }
    graph = model(nodes, [value("x", ["rows", 2])], [value("y", ["rows", 1])], weights)
    return bundle(graph, view=VIEW)


@pytest.fixture
async def customers(redis: Redis) -> None:
    """Ten thousand vectors; the first number of c:N is N."""
    vectors = {key: np.array([number, 1], "<f4").tobytes() for number, key in enumerate(KEYS)}
    await redis.mset(vectors)


@pytest.fixture
async def three(store: ModelStore) -> ModelStore:
    """A model of three versions, each answering its number; production is 1."""
    for number in (1, 2, 3):
        await store.publish(telling(number), alias=None)
    await store.promote("m", 1)
    return store


async def ask(running: Engine, keys: list[str], reference: int | None = None) -> Answer:
    return await running.predictor.predict(Ask("m", reference, keys=keys))


def told(answer: Answer) -> list[int]:
    """The version that each row says answered it; its value must be that version's."""
    versions = [row.version or answer.version for row in answer.rows]
    assert [row.body["outputs"]["y"] for row in answer.rows] == [[float(one)] for one in versions]
    return versions


def counted(running: Engine, name: str, **labels: str) -> float:
    """The sum of a series over the samples with these labels."""
    families = text_string_to_metric_families(running.metrics.exposition().decode())
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return sum(one.value for one in samples if labels.items() <= one.labels.items())


def follows(running: Engine, rule: Traffic) -> bool:
    """Whether a rule is in force."""
    route = running.catalogue.route("m")
    if route is None or route.split is None:
        return False
    found = [route.split.of(key).manifest.version for key in KEYS]
    return found == [rule.version_for(key) for key in KEYS]


def beside(running: Engine, shadow: int | None) -> bool:
    """Whether that version is the shadow."""
    route = running.catalogue.route("m")
    if route is None or route.shadow is None:
        return route is not None and shadow is None
    return route.shadow.manifest.version == shadow


async def until_told(running: Engine, wanted: set[int]) -> None:
    """Wait until exactly these versions answer."""
    async with asyncio.timeout(10):
        while set(told(await ask(running, KEYS[:300]))) != wanted:  # noqa: ASYNC110  # nobody tells a test
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("customers")
async def test_a_canary_gets_its_share_and_each_key_its_version(
    three: ModelStore, engine: StartEngine
) -> None:
    rule = await three.set_traffic("m", {1: 90, 2: 7, 3: 3})
    running = await engine()

    answers = [await ask(running, KEYS[at : at + AT_ONCE]) for at in range(0, len(KEYS), AT_ONCE)]
    alone = [await ask(running, [key]) for key in KEYS[:200]]

    versions = [version for answer in answers for version in told(answer)]
    assert versions == [rule.version_for(key) for key in KEYS]
    met = Counter(versions)
    for version, share in ((1, 0.90), (2, 0.07), (3, 0.03)):
        assert abs(met[version] - 10_000 * share) <= 3 * math.sqrt(10_000 * share * (1 - share))
    assert {answer.version for answer in answers} == {1}
    assert [told(answer) for answer in alone] == [[version] for version in versions[:200]]
    assert all(answer.rows[0].version is None for answer in alone)
    for version in (1, 2, 3):
        assert (
            counted(running, "insitu_rows_total", version=str(version))
            == met[version] + Counter(versions[:200])[version]
        )


@pytest.mark.usefixtures("customers")
async def test_a_row_that_fails_under_a_rule_fails_alone(three: ModelStore, engine: StartEngine) -> None:
    rule = await three.set_traffic("m", {1: 50, 2: 50})
    running = await engine()

    answer = await ask(running, [*KEYS[:20], "c:absent", "odd", "c:also:odd"])

    assert [row.error.code for row in answer.rows[20:] if row.error] == ["key_missing"] + [
        "key_not_allowed"
    ] * 2
    assert told(Answer("m", answer.version, answer.rows[:20])) == [rule.version_for(key) for key in KEYS[:20]]


@pytest.mark.usefixtures("customers")
async def test_instances_count_by_the_key_that_they_fill(three: ModelStore, engine: StartEngine) -> None:
    rule = await three.set_traffic("m", {1: 50, 2: 50})
    running = await engine()
    instances = [{"id": number} for number in range(50)]

    odd: list[Any] = [{"other": 1}, "c:1"]
    answer = await running.predictor.predict(Ask("m", instances=[*instances, *odd]))

    assert told(Answer("m", answer.version, answer.rows[:50])) == [rule.version_for(key) for key in KEYS[:50]]
    assert [row.error.code for row in answer.rows[50:] if row.error] == ["instance_incomplete"] * 2


@pytest.mark.parametrize("empty", [Ask("m", keys=[]), Ask("m", instances=[])])
async def test_a_request_without_rows_is_refused_under_a_rule_too(
    three: ModelStore, engine: StartEngine, empty: Ask
) -> None:
    await three.set_traffic("m", {1: 50, 2: 50})
    running = await engine()

    with pytest.raises(BadRequest, match="has no rows"):
        await running.predictor.predict(empty)


async def test_what_has_no_key_goes_whole_to_one_version_in_turn(
    store: ModelStore, engine: StartEngine
) -> None:
    for number in (1, 2):
        await store.publish(telling(number, INLINE))
    await store.set_traffic("m", {1: 75, 2: 25})
    running = await engine()
    ways = (
        Ask("m", instances=[{"a": 1, "b": 2}] * 3),
        Ask("m", inputs={"x": [[1, 2]] * 3}),
    )

    for way in ways:
        answers = [await running.predictor.predict(way) for _ in range(100)]

        assert all(len(set(told(answer))) == 1 for answer in answers)
        assert abs(sum(answer.version == 2 for answer in answers) - 25) <= 2


@pytest.mark.usefixtures("customers")
async def test_a_request_that_pins_a_version_is_answered_by_it_alone(
    three: ModelStore, engine: StartEngine
) -> None:
    await three.set_traffic("m", {1: 50, 2: 50})
    running = await engine()

    for version in (1, 2, 3):
        answer = await ask(running, KEYS[:100], version)

        assert answer.version == version
        assert set(told(answer)) == {version}
        assert all(row.version is None for row in answer.rows)


@pytest.mark.usefixtures("customers")
async def test_growing_a_canary_leaves_its_keys_where_they_are(
    three: ModelStore, engine: StartEngine
) -> None:
    running = await engine()
    before: set[str] = set()

    for weight in (5, 10, 50):
        rule = await three.set_traffic("m", {1: 100 - weight, 2: weight})
        await until(partial(follows, running, rule))
        met = told(await ask(running, KEYS[:1000]))
        now = {key for key, version in zip(KEYS, met, strict=False) if version == 2}

        assert before < now
        before = now


@pytest.mark.usefixtures("customers")
async def test_two_servers_agree_on_every_key(three: ModelStore, redis_url: str, serve: Serve) -> None:
    rule = await three.set_traffic("m", {1: 80, 2: 15, 3: 5})
    wanted = [rule.version_for(key) for key in KEYS[:500]]

    for _ in range(2):
        server = serve(redis_url)
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
            found = (await client.post("/v1/models/m/predict", json={"keys": KEYS[:500]})).json()
            alone = [
                (await client.get("/v1/models/m/predict", params={"key": key})).json()["version"]
                for key in KEYS[:50]
            ]

        assert [row.get("version", found["version"]) for row in found["predictions"]] == wanted
        assert alone == wanted[:50]


Move = Callable[[ModelStore], Awaitable[object]]
MOVES: dict[str, tuple[Move, int]] = {
    "publish": (lambda store: store.publish(telling(4)), 4),
    "promote": (lambda store: store.promote("m", 3), 3),
    "rollback": (lambda store: store.rollback("m"), 2),
    "clear": (lambda store: store.clear_traffic("m"), 1),
}


@pytest.mark.usefixtures("customers")
@pytest.mark.parametrize("move", MOVES)
async def test_moving_production_ends_the_rule_for_every_key(
    three: ModelStore, engine: StartEngine, move: str
) -> None:
    for version in (2, 1):
        await three.promote("m", version)
    await three.set_traffic("m", {1: 50, 3: 50})
    running = await engine()
    await until_told(running, {1, 3})

    change, version = MOVES[move]
    await change(three)

    await until_told(running, {version})


@pytest.mark.usefixtures("customers")
async def test_rules_change_under_load_without_a_failed_or_mixed_answer(
    three: ModelStore, redis_url: str, serve: Serve
) -> None:
    server = serve(redis_url)

    async with load(server.url, "/v1/models/m/predict", {"keys": KEYS[:20]}) as made:
        for weight in range(5, 95, 3):
            await three.set_traffic("m", {1: 100 - weight, 2: weight})
            await made.until(5)
        await three.clear_traffic("m")
        await made.until(5)

    assert made.statuses() == {200}
    for one in made.told:
        for row in one.body["predictions"]:
            assert row["outputs"]["y"] == [row.get("version", one.body["version"])]


async def test_a_version_with_traffic_is_not_deleted_and_goes_on(
    three: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await three.set_traffic("m", {1: 50, 2: 50})
    running = await engine()

    with pytest.raises(VersionInUse):
        await three.delete("m", 2)

    route = running.catalogue.route("m")
    assert route is not None
    assert route.split is not None
    assert await three.traffic("m") == Traffic("m", {1: 50, 2: 50})


@pytest.mark.usefixtures("customers")
async def test_a_canary_that_cannot_answer_fails_its_own_rows_alone(
    three: ModelStore, engine: StartEngine
) -> None:
    await three.publish(bundle(constant(4)), alias=None)  # it reads no keys
    rule = await three.set_traffic("m", {1: 80, 4: 20})
    running = await engine()

    answer = await ask(running, KEYS[:100])

    codes = [row.error.code if row.error else "" for row in answer.rows]
    assert codes == ["bad_feature_view" if rule.version_for(key) == 4 else "" for key in KEYS[:100]]
    assert "bad_feature_view" in codes


@pytest.mark.usefixtures("customers")
async def test_a_canary_whose_queue_is_full_refuses_its_own_rows_alone(
    store: ModelStore, engine: StartEngine
) -> None:
    await store.publish(telling(1))
    await store.publish(slow(), alias=None)
    rule = await store.set_traffic("m", {1: 90, 2: 10})
    running = await engine(max_queue_rows=64)

    met = {version: [key for key in KEYS if rule.version_for(key) == version] for version in (1, 2)}

    # Two rows of production each: all of them fit its queue at once, those of the canary do not.
    answers = await asyncio.gather(*(ask(running, met[1][:2] + met[2][:20]) for _ in range(30)))

    found = [(row.key or "", row.error) for answer in answers for row in answer.rows]
    refused = [(key, error.code) for key, error in found if error is not None]
    assert {code for _, code in refused} == {"overloaded"}
    assert {rule.version_for(key) for key, _ in refused} == {2}
    assert {answer.version for answer in answers} == {1}


@pytest.mark.alone
@pytest.mark.usefixtures("customers")
async def test_a_slow_canary_does_not_hold_up_the_keys_of_production(
    store: ModelStore, redis_url: str, serve: Serve
) -> None:
    await store.publish(telling(1))
    await store.publish(slow(1500), alias=None)
    rule = await store.set_traffic("m", {1: 50, 2: 50})
    server = serve(redis_url)
    rounds: list[list[int]] = []

    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:

        async def one(key: str) -> None:
            answer = (await client.post("/v1/models/m/predict", json={"keys": [key]})).json()
            rounds[-1].append(answer["version"])
            assert answer["version"] == rule.version_for(key)
            assert "version" not in answer["predictions"][0]
            assert answer["predictions"][0]["outputs"]["y"] == [answer["version"]]

        for at in range(0, 200, 10):
            rounds.append([])
            await asyncio.gather(*map(one, KEYS[at : at + 10]))

    in_order = sum(versions == sorted(versions) for versions in rounds)
    assert in_order > len(rounds) / 2  # production first, whoever was asked first


async def shadowed(running: Engine, rows: int) -> None:
    """Wait until so many rows were compared."""
    await until(lambda: counted(running, "insitu_shadow_rows_total") >= rows)


@pytest.mark.usefixtures("customers")
async def test_a_shadow_counts_exactly_the_rows_that_differ(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(stepping(100.5))
    await store.publish(stepping(149.5), alias="shadow")
    running = await engine()
    await until(partial(beside, running, 2))

    answer = await ask(running, KEYS[:1000])
    for key in KEYS[95:155]:
        await ask(running, [key])
    await shadowed(running, 1060)

    assert answer.version == 1
    assert sum(row.body["outputs"]["y"][0] for row in answer.rows) == 899
    assert counted(running, "insitu_shadow_rows_total", version="2") == 1060
    assert counted(running, "insitu_shadow_different_rows_total", version="2") == 2 * 49
    assert counted(running, "insitu_shadow_largest_difference_sum", version="2") == 1 + 49
    assert counted(running, "insitu_shadow_skipped_rows_total") == 0
    assert counted(running, "insitu_errors_total") == 0


@pytest.mark.usefixtures("customers")
async def test_a_shadow_runs_beside_a_rule_and_not_beside_a_pin(
    three: ModelStore, engine: StartEngine
) -> None:
    await three.set_traffic("m", {1: 50, 2: 50})
    await three.promote("m", 3, "shadow")
    running = await engine()
    await until(partial(beside, running, 3))

    await ask(running, KEYS[:100], 1)
    await ask(running, KEYS[:100], 3)
    await ask(running, KEYS[:100])
    await shadowed(running, 100)

    assert counted(running, "insitu_shadow_rows_total", version="3") == 100
    assert counted(running, "insitu_shadow_different_rows_total", version="3") == 100


@pytest.mark.usefixtures("customers")
async def test_a_shadow_that_fails_harms_nobody_and_counts_as_its_own_errors(
    store: ModelStore, engine: StartEngine
) -> None:
    await store.publish(telling(1))
    view = {"inputs": [{"name": "x", "sources": [{"key": "absent:{id}", "as": "vector", "shape": [2]}]}]}
    await store.publish(telling(2, view), alias="shadow")
    await store.publish(bundle(constant(3)), alias=None)
    running = await engine()
    await until(partial(beside, running, 2))

    assert set(told(await ask(running, KEYS[:50]))) == {1}
    await until(lambda: counted(running, "insitu_errors_total", version="2") >= 50)
    await store.promote("m", 3, "shadow")
    await until(partial(beside, running, 3))
    assert set(told(await ask(running, KEYS[:50]))) == {1}

    await until(lambda: counted(running, "insitu_errors_total", version="3") >= 1)
    assert counted(running, "insitu_errors_total", version="1") == 0
    assert counted(running, "insitu_shadow_rows_total") == 0


def slow(size: int = 700) -> Bundle:
    """y = 2 after tens of milliseconds of matrix products, hundreds with a larger size."""
    nodes = [node("MatMul", "x w0", "h0")]
    nodes += [node("MatMul", f"h{step} w", f"h{step + 1}") for step in range(200)]
    nodes += [
        node("ReduceSum", "h200 axes", "s", keepdims=1),
        node("Mul", "s zero", "z"),
        node("Add", "z a", "y"),
    ]
    weights = {
        "w0": np.zeros((2, size), np.float32),
        "w": np.zeros((size, size), np.float32),
        "axes": np.array([1]),
        "zero": np.array(0, np.float32),
        "a": np.array(2, np.float32),
    }
    return bundle(model(nodes, [value("x", ["rows", 2])], [value("y", ["rows", 1])], weights), view=VIEW)


@pytest.mark.usefixtures("customers")
async def test_a_shadow_that_is_slow_is_skipped_and_delays_nobody(
    store: ModelStore, engine: StartEngine
) -> None:
    await store.publish(telling(1))
    await store.publish(slow(), alias="shadow")
    running = await engine(max_queue_rows=64, max_batch_rows=16)
    await until(partial(beside, running, 2))

    seconds = []
    for _ in range(60):
        started = time.monotonic()
        answers = await asyncio.gather(*(ask(running, KEYS[at : at + 8]) for at in range(0, 64, 8)))
        seconds.append(time.monotonic() - started)
        assert all(set(told(answer)) == {1} for answer in answers)

    assert counted(running, "insitu_shadow_skipped_rows_total", version="2") > 1000
    assert counted(running, "insitu_errors_total", version="1") == 0
    assert sorted(seconds)[30] < 1.0


@pytest.mark.usefixtures("customers")
async def test_a_shadow_that_is_taken_away_is_asked_no_more(three: ModelStore, engine: StartEngine) -> None:
    await three.promote("m", 2, "shadow")
    running = await engine()
    await until(partial(beside, running, 2))
    await ask(running, KEYS[:10])
    await shadowed(running, 10)

    await three.remove_alias("m", "shadow")
    await until(partial(beside, running, None))
    await ask(running, KEYS[:10])
    await asyncio.sleep(0.1)

    assert counted(running, "insitu_shadow_rows_total") == 10
