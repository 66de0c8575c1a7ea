"""A network is ahead, level or behind by the mean over its seeds, and what is asked of it counts too."""

import pytest

from benchmarks.skill.bouts import NETWORK, Bout
from benchmarks.skill.contests import CONTESTS, Contest
from benchmarks.skill.table import drawn, result
from models.recipe import ready_recipe


def bouts(own: list[float], forest: list[float], linear: list[float]) -> list[Bout]:
    return [
        Bout(
            seed,
            {NETWORK: {"accuracy": a}, "forest": {"accuracy": b}, "linear": {"accuracy": c}},
            (8, 2),
            1.0,
        )
        for seed, (a, b, c) in enumerate(zip(own, forest, linear, strict=True))
    ]


@pytest.mark.parametrize(
    ("own", "least", "verdict"),
    [
        ([0.9, 1.0], None, "ahead"),
        ([0.9, 0.9], None, "level"),
        ([0.9, 0.89], None, "behind"),
        ([0.9, 1.0], 0.98, "below 98.0%"),
        ([1.0, 1.0], 1.0, "ahead"),
    ],
)
def test_the_verdict_is_by_the_best_rival_and_by_what_is_asked(
    own: list[float], least: float | None, verdict: str
) -> None:
    found = result(Contest("wine", "accuracy", least), bouts(own, [0.8, 1.0], [0.7, 0.9]))

    assert found.best_rival == "forest"
    assert found.verdict == verdict


def test_the_table_has_a_line_for_each_contest() -> None:
    made = [result(Contest("wine", "accuracy"), bouts([1.0], [0.9], [0.9]))] * 3

    assert drawn(made).row_count == 3


@pytest.mark.parametrize("contest", CONTESTS, ids=lambda one: f"{one.recipe}-{one.score}")
def test_every_contest_is_about_a_ready_recipe_with_a_data_set(contest: Contest) -> None:
    assert ready_recipe(contest.recipe).data.dataset == contest.recipe
