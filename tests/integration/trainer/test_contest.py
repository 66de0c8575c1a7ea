"""Champion and challenger on rows in a real Redis: the better one is promoted, and why is said."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import redis as plain_redis

from models.binding import bind
from models.bundle import Bundle
from models.composing import Wording, compose_bundle
from models.connecting import connect
from models.features import FeatureView
from models.recipe import Recipe
from models.store import ModelStore
from trainer.contest.champion import in_order_of
from trainer.contest.contest import Contest, challenge
from trainer.contest.unseen import unseen_by
from trainer.errors import Incomparable
from trainer.outcome import TrainResult
from trainer.run import Place, train

POINTS = """\
name: points
task: classification
data: {source: redis, match: "point:*", target: {key: "point:{id}", as: hash, field: side}}
features:
  inputs:
    - {name: x, sources: [{key: "point:{id}", as: hash, fields: [a, b]}]}
labels: [left, right]
network: [standardize, {linear: 8}, tanh]
training: {lr: 0.05, epochs: 25, batch: 32, test: 0.3}
"""
WEAK = POINTS.replace("lr: 0.05, epochs: 25", "optimizer: sgd, lr: 0.0001, epochs: 1")
ROWS = 600


@pytest.fixture
def points(redis_url: str) -> str:
    random = np.random.default_rng(1)
    with plain_redis.Redis.from_url(redis_url) as client, client.pipeline() as pipeline:
        for number in range(ROWS):
            right = number % 2
            a, b = random.normal(size=2) + 2.5 * right
            values: dict[Any, Any] = {"a": f"{a:.4f}", "b": f"{b:.4f}", "side": ("left", "right")[right]}
            pipeline.hset(f"point:{number}", mapping=values)
        pipeline.execute()
    return redis_url


def made(url: str, text: str) -> TrainResult:
    return train(Recipe.parse(text), url)


def contest(url: str, text: str, result: TrainResult, champion: Bundle | None) -> Contest:
    async def run() -> Contest:
        async with connect(url) as client:
            store = ModelStore(client)
            if champion is not None:
                await store.publish(champion)
            return await challenge(store, Recipe.parse(text), result, "production")

    return asyncio.run(run())


def test_the_first_model_has_nobody_to_beat(points: str) -> None:
    found = contest(points, POINTS, made(points, POINTS), None)

    assert found.promoted
    assert found.champion is None
    assert "there is no champion yet" in found.why


def test_a_better_challenger_takes_the_place_and_a_worse_one_does_not(points: str) -> None:
    good, weak = made(points, POINTS), made(points, WEAK)

    won = contest(points, POINTS, good, weak.bundle)
    lost = contest(points, WEAK, weak, good.bundle)

    assert (won.promoted, won.champion) == (True, 1)
    assert "the challenger is better: log loss" in won.why
    assert (lost.promoted, lost.champion) == (False, 2)
    assert lost.why.startswith("the champion is better")
    told = won.as_data()
    assert told["rows"] == len(good.outcome.held_out.keys)
    assert told["scores"]["challenger"] == pytest.approx(good.bundle.manifest.metrics["log_loss"], abs=1e-4)
    assert told["scores"]["champion"] == pytest.approx(weak.bundle.manifest.metrics["log_loss"], abs=1e-4)


def test_the_same_model_again_is_not_promoted(points: str) -> None:
    result = made(points, POINTS)

    found = contest(points, POINTS, result, result.bundle)

    assert not found.promoted
    assert "the difference may be chance" in found.why


def test_only_rows_that_the_champion_has_not_learned_from_count(points: str) -> None:
    other = POINTS.replace("test: 0.3", "test: 0.3, seed: 5")
    champion, challenger = made(points, WEAK), made(points, other)
    held = set(champion.outcome.held_out.keys)

    found = contest(points, other, challenger, champion.bundle)

    assert found.comparison is not None
    assert found.comparison.rows == len(held & set(challenger.outcome.held_out.keys)) < len(held)
    assert "the two recipes part their rows otherwise (seed 0 and 5)" in found.why


def test_rows_below_the_border_are_known_to_be_new_without_a_list_of_them(points: str) -> None:
    result = made(points, POINTS)
    manifest = result.bundle.manifest
    held_out = {key: one for key, one in manifest.card["held_out"].items() if key != "keys"}
    unlisted = manifest.model_copy(update={"card": manifest.card | {"held_out": held_out}})
    every = tuple(f"point:{number}" for number in range(ROWS))

    mask = unseen_by(unlisted, every).mask

    new = {key for key, one in zip(every, mask, strict=True) if one}
    assert new < set(result.outcome.held_out.keys)
    assert len(new) > 0.3 * len(result.outcome.held_out.keys)


def test_windows_of_one_series_lie_on_one_side_of_the_border(points: str) -> None:
    """The border is as uncertain as there are series: their windows do not make it surer."""
    manifest = made(points, POINTS).bundle.manifest
    series = tuple(f"point:{number}" for number in range(100))
    rows = {"train": 3500, "validation": 500, "held_out": 1000}
    card = {"held_out": {"rows": 1000, "seed": 0}, "data": {"rows": rows}}
    target = {"as": "following", "steps": 3}

    def known(windows: int) -> int:
        data = {"source": "redis", "match": "point:*", "target": target | {"windows": windows}}
        recipe = {"data": data, "training": {"test": 0.2}}
        return int(unseen_by(manifest.model_copy(update={"card": card, "recipe": recipe}), series).mask.sum())

    assert known(50) < 0.5 * known(1)


def test_a_recipe_that_parts_rows_by_something_else_is_taken_by_its_list(points: str) -> None:
    result = made(points, POINTS)
    manifest = result.bundle.manifest.model_copy(update={"recipe": {"split": {"by": "time"}}})
    every = tuple(f"point:{number}" for number in range(ROWS))

    found = unseen_by(manifest, every)

    assert {key for key, one in zip(every, found.mask, strict=True) if one} == set(
        result.outcome.held_out.keys
    )
    assert found.how == "its card lists the rows it held out"


def onnx_of(result: TrainResult, **facts: Any) -> Bundle:
    wording = Wording(
        features=result.bundle.manifest.features, labels=("left", "right"), output="probabilities"
    )
    return compose_bundle(result.bundle.onnx, "points", replace(wording, **facts))


def test_a_champion_that_was_not_trained_here_answers_every_held_out_row(points: str) -> None:
    result = made(points, WEAK)

    found = contest(points, POINTS, made(points, POINTS), onnx_of(result))

    assert found.promoted
    assert "it was not trained here, so what it learned from is not known" in found.why


def test_a_champion_whose_labels_stand_in_another_order_is_read_rightly(points: str) -> None:
    turned = POINTS.replace("labels: [left, right]", "labels: [right, left]")

    found = contest(points, POINTS, made(points, POINTS), made(points, turned).bundle)

    assert found.comparison is not None
    assert found.comparison.champion < 0.3


REFUSED = [
    ({"labels": ("west", "east")}, "the champion knows other labels: west, east"),
    ({"features": None}, "the champion has no feature view"),
    ({"labels": (), "task": "tensor", "output": None}, "the champion answers another question: tensor"),
    ({"features": "inline"}, "the champion reads values that only a request carries"),
    ({"features": "other"}, "by its own feature view: key 'point:"),
    ({"features": "absent"}, "by its own feature view: key 'point:100' has no field 'c'"),
]
VIEWS = {
    "inline": '{key: "point:{id}", as: hash, fields: [a]}, {inline: true, fields: [b]}',
    "other": '{key: "place:{id}", as: hash, fields: [a, b]}',
    "absent": '{key: "point:{id}", as: hash, fields: [a, c]}',
}


@pytest.mark.parametrize(("facts", "said"), REFUSED)
def test_what_cannot_be_compared_is_not_promoted_and_says_why(
    points: str, facts: dict[str, Any], said: str
) -> None:
    result = made(points, WEAK)
    view = facts.get("features")
    if isinstance(view, str):
        read = FeatureView.parse(f"inputs: [{{name: x, sources: [{VIEWS[view]}]}}]")
        facts = facts | {"features": bind(read, result.bundle.manifest.inputs)}

    found = contest(points, WEAK, result, onnx_of(result, **facts))

    assert not found.promoted
    assert said in found.why
    assert "--promote-if always promotes it unasked" in found.why


def test_a_challenger_all_of_whose_rows_the_champion_learned_from_is_not_promoted(points: str) -> None:
    champion = made(points, WEAK)
    manifest = champion.bundle.manifest
    card = manifest.card | {"held_out": {"keys": [], "seed": 0}}
    forgetful = Bundle(
        manifest.model_copy(update={"card": card, "recipe": {"split": "time"}}), champion.bundle.onnx
    )

    found = contest(points, POINTS, made(points, POINTS), forgetful)

    assert not found.promoted
    assert "no row is new to both" in found.why


def test_one_sigmoid_stands_for_two_labels_and_other_outputs_do_not_fit(points: str) -> None:
    bundle = made(points, WEAK).bundle

    assert in_order_of(("left", "right"), bundle, np.array([0.25])).tolist() == [[0.75, 0.25]]
    with pytest.raises(Incomparable, match="gives labels without probabilities"):
        in_order_of(("left", "right"), bundle, np.array([1]))
    with pytest.raises(Incomparable, match="gives 3 numbers a row for 2 labels"):
        in_order_of(("left", "right"), bundle, np.zeros((1, 3)))


def rows_of_points(folder: Path, count: int = ROWS) -> None:
    """The points as a CSV file, a Parquet file, arrays and a function, beside a recipe."""
    random = np.random.default_rng(1)
    side = np.arange(count) % 2
    x = random.normal(size=(count, 2)) + 2.5 * side[:, None]
    names = np.array(["left", "right"])[side]
    columns = {"id": np.arange(count), "a": x[:, 0], "b": x[:, 1], "side": names}
    pq.write_table(pa.table(columns), folder / "points.parquet")
    pa_csv.write_csv(pa.table(columns), folder / "points.csv")
    np.savez(folder / "points.npz", id=np.arange(count), a=x[:, 0], b=x[:, 1], side=names)
    (folder / "contest_rows.py").write_text(
        "import numpy as np\nfrom pathlib import Path\n"
        "def load():\n    return dict(np.load(Path(__file__).parent / 'points.npz'))\n"
    )


def of_file(text: str, source: str) -> str:
    where = 'source: redis, match: "point:*", target: {key: "point:{id}", as: hash, field: side}'
    assert where in text
    return text.replace(where, f"{source}, target: {{column: side}}")


def held(url: str, folder: Path, text: str, result: TrainResult, champion: Bundle) -> Contest:
    async def run() -> Contest:
        async with connect(url) as client:
            store = ModelStore(client)
            await store.publish(champion)
            return await challenge(store, Recipe.parse(text), result, "production", folder)

    return asyncio.run(run())


@pytest.mark.parametrize(
    "source",
    [
        "source: csv, path: points.csv",
        "source: parquet, path: points.parquet",
        "source: numpy, path: points.npz",
        "source: python, function: contest_rows:load",
    ],
)
def test_rows_of_a_file_are_read_again_by_the_champion_s_own_view(
    redis_url: str, tmp_path: Path, source: str
) -> None:
    rows_of_points(tmp_path)
    good, other = of_file(POINTS, source), of_file(WEAK.replace("[a, b]", "[b]"), source)
    challenger, weak = (train(Recipe.parse(text), None, place=Place(tmp_path)) for text in (good, other))

    won = held(redis_url, tmp_path, good, challenger, weak.bundle)
    lost = held(redis_url, tmp_path, other, weak, challenger.bundle)

    assert (won.promoted, lost.promoted) == (True, False)
    told = won.as_data()
    assert told["rows"] == len(challenger.outcome.held_out.keys)
    assert told["scores"]["champion"] == pytest.approx(weak.bundle.manifest.metrics["log_loss"], abs=1e-4)
    assert lost.why.startswith("the champion is better")


def test_a_champion_of_redis_rows_meets_a_challenger_from_a_file(points: str, tmp_path: Path) -> None:
    rows_of_points(tmp_path)
    text = of_file(POINTS, "source: csv, path: points.csv")
    challenger = train(Recipe.parse(text), None, place=Place(tmp_path))

    found = held(points, tmp_path, text, challenger, made(points, WEAK).bundle)

    assert found.promoted
    assert found.as_data()["rows"] == len(challenger.outcome.held_out.keys)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("[a, c]", "by its own feature view: points.csv has no column 'c'"),
        ("[a, side]", "by its own feature view: "),
    ],
)
def test_a_champion_that_a_file_cannot_answer_is_not_beaten(
    redis_url: str, tmp_path: Path, fields: str, told: str
) -> None:
    rows_of_points(tmp_path)
    text = of_file(POINTS, "source: csv, path: points.csv")
    result = train(Recipe.parse(text), None, place=Place(tmp_path))
    view = FeatureView.parse(
        f'inputs: [{{name: x, sources: [{{key: "point:{{id}}", as: hash, fields: {fields}}}]}}]'
    )
    champion = onnx_of(result, features=bind(view, result.bundle.manifest.inputs))

    found = held(redis_url, tmp_path, text, result, champion)

    assert not found.promoted
    assert told in found.why


def test_a_champion_of_other_keys_reads_the_columns_all_the_same(redis_url: str, tmp_path: Path) -> None:
    rows_of_points(tmp_path)
    text = of_file(POINTS, "source: csv, path: points.csv")
    result = train(Recipe.parse(text), None, place=Place(tmp_path))
    view = FeatureView.parse('inputs: [{name: x, sources: [{key: "place:{id}", as: hash, fields: [a, b]}]}]')
    champion = onnx_of(result, features=bind(view, result.bundle.manifest.inputs))

    found = held(redis_url, tmp_path, text, result, champion)

    assert "the difference may be chance" in found.why


def test_rows_that_a_function_gives_otherwise_each_time_are_not_compared(
    redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "contest_fickle.py").write_text(
        "import numpy as np\nR = np.random.default_rng(0)\n"
        "def load():\n    x = R.normal(size=(40, 2))\n    return {'x': x, 'y': x[:, 0]}\n"
    )
    text = (
        POINTS.replace("task: classification", "task: regression")
        .replace("labels: [left, right]\n", "")
        .replace(
            'source: redis, match: "point:*", target: {key: "point:{id}", as: hash, field: side}',
            "source: python, function: contest_fickle:load, target: {column: y}",
        )
    )
    result = train(Recipe.parse(text), None, place=Place(tmp_path))

    found = held(redis_url, tmp_path, text, result, result.bundle)

    assert not found.promoted
    assert "the rows that were held out are not found again" in found.why


WALKS = """\
name: walks
task: forecasting
data: {source: redis, match: "walk:*", target: {as: following, steps: 2, windows: 4}}
features:
  inputs:
    - {name: x, lengths: x_length, sources: [{key: "walk:{id}", as: list, shape: [1], last: 6}]}
network: [{gru: 8}]
training: {lr: 0.02, epochs: 12, batch: 32, test: 0.3}
"""


@pytest.mark.parametrize("source", ["redis", "parquet"])
@pytest.mark.parametrize("whole", [False, True])
def test_a_champion_is_shown_the_start_of_a_series_and_never_its_end(
    redis_url: str, tmp_path: Path, source: str, whole: bool
) -> None:
    """Two models alike: a champion that was shown the end, or another start, would forecast something else.

    Of whole numbers what follows is often the same after different starts.
    """
    random = np.random.default_rng(0)
    series = [np.sin(np.arange(20) / 2 + random.uniform(0, 6)).astype("<f4") for _ in range(60)]
    if whole:
        series = [np.floor(np.abs(one) * 2) for one in series]
    text = WALKS
    if source == "redis":
        with plain_redis.Redis.from_url(redis_url) as client:
            for number, one in enumerate(series):
                client.rpush(f"walk:{number}", *[step.tobytes() for step in one])
    else:
        columns = {"id": pa.array(range(60)), "x": pa.array([one.tolist() for one in series])}
        pq.write_table(pa.table(columns), tmp_path / "walks.parquet")
        text = WALKS.replace('source: redis, match: "walk:*"', "source: parquet, path: walks.parquet")
    result = train(Recipe.parse(text), redis_url, place=Place(tmp_path))

    found = held(redis_url, tmp_path, text, result, result.bundle).as_data()

    assert found["rows"] == len(result.outcome.held_out.keys)
    assert found["scores"]["champion"] == pytest.approx(found["scores"]["challenger"], rel=1e-3)
    assert not found["promoted"]


def test_rows_that_an_ancestor_of_either_learned_from_do_not_count(points: str) -> None:
    other = POINTS.replace("test: 0.3", "test: 0.3, seed: 5")
    ancestor, plain = made(points, POINTS), made(points, other)
    asyncio.run(published(points, ancestor.bundle))
    tuned = made(points, other.replace("seed: 5", "seed: 5, from: points:1"))
    new = set(ancestor.outcome.held_out.keys) & set(tuned.outcome.held_out.keys)

    ours = contest(points, other, tuned, plain.bundle)
    theirs = contest(points, other, plain, tuned.bundle)

    for found, whose in ((ours, "the challenger"), (theirs, "it")):
        assert found.comparison is not None
        assert found.comparison.rows == len(new) < len(plain.outcome.held_out.keys)
        assert (
            f"those do not count that points version 1 may have learned from, which {whose} began with"
        ) in found.why


def test_an_ancestor_of_other_keys_has_learned_from_none_of_these_rows(points: str) -> None:
    with plain_redis.Redis.from_url(points) as client:
        for number in range(100):
            client.copy(f"point:{number}", f"dot:{number}")
            client.hset(f"dot:{number}", "shop", number % 20)
    others = POINTS.replace("point", "dot").replace("features:", "split: {group: shop}\nfeatures:")
    asyncio.run(published(points, made(points, others).bundle))
    tuned = made(points, POINTS.replace("test: 0.3", "test: 0.3, from: dots"))

    found = contest(points, POINTS, tuned, made(points, WEAK).bundle)

    assert found.comparison is not None
    assert found.comparison.rows == len(tuned.outcome.held_out.keys)
    assert tuned.bundle.manifest.card["training"]["notes"] == []


ONE_SERIES = WALKS.replace("epochs: 12", "epochs: 1")


def grown(url: str, more: int) -> None:
    """So many new steps at the end of one series."""
    with plain_redis.Redis.from_url(url) as client:
        steps = np.random.default_rng(client.llen("walk:0")).normal(size=more).astype("<f4")
        client.rpush("walk:0", *(step.tobytes() for step in steps))


@pytest.mark.parametrize("every", [1, 3])
def test_windows_of_one_series_that_the_champion_learned_from_do_not_count(
    redis_url: str, every: int
) -> None:
    grown(redis_url, 10 + 150 * every)
    text = ONE_SERIES.replace("windows: 4", f"windows: 150, every: {every}")
    longer = text.replace("test: 0.3", "test: 0.5")
    champion, challenger = made(redis_url, text), made(redis_url, longer)

    found = contest(redis_url, longer, challenger, champion.bundle)

    assert found.comparison is not None
    assert found.comparison.rows == len(champion.outcome.held_out.keys) == 45
    assert "of 'walk:0' it learned from what is older than the windows it held out" in found.why


@pytest.mark.parametrize(("more", "new"), [(7, 45), (40, 45), (200, 0)])
def test_windows_that_came_to_one_series_since_are_new_to_the_champion(
    redis_url: str, more: int, new: int
) -> None:
    """Unless none that it held out is read any more: then nobody knows how old those are that are read."""
    grown(redis_url, 160)
    text = ONE_SERIES.replace("windows: 4", "windows: 150")
    champion = made(redis_url, text).bundle.manifest
    grown(redis_url, more)
    rows = made(redis_url, text).outcome.held_out

    found = unseen_by(champion, rows.keys, rows.windows)

    assert found.mask.sum() == new
    assert ("the oldest is not found again" in found.how) == (new == 0)


def test_one_series_is_told_apart_where_its_windows_are_more_than_a_card_lists(redis_url: str) -> None:
    grown(redis_url, 160)
    text = ONE_SERIES.replace("windows: 4", "windows: 150")
    manifest, longer = made(redis_url, text).bundle.manifest, made(redis_url, text.replace("0.3", "0.5"))
    held_out = {key: one for key, one in manifest.card["held_out"].items() if key != "keys"}
    unlisted = manifest.model_copy(update={"card": manifest.card | {"held_out": held_out}})
    rows = longer.outcome.held_out

    mask = unseen_by(unlisted, rows.keys, rows.windows).mask

    assert mask.tolist() == [True] * 45 + [False] * 30


def test_a_training_that_begins_with_a_version_says_which_windows_of_one_series_that_knows(
    redis_url: str,
) -> None:
    grown(redis_url, 160)
    text = ONE_SERIES.replace("windows: 4", "windows: 150")
    asyncio.run(published(redis_url, made(redis_url, text).bundle))

    manifest = made(redis_url, text.replace("test: 0.3", "test: 0.5, from: walks")).bundle.manifest

    assert "may have learned from 30 of the 75 rows held out" in manifest.card["training"]["notes"][1]


async def published(url: str, bundle: Bundle) -> None:
    async with connect(url) as client:
        await ModelStore(client).publish(bundle)
