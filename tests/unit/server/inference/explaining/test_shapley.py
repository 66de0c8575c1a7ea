"""Shapley values of games whose worth is a function of who is present, against the definition."""

from collections.abc import Callable
from itertools import combinations
from math import comb

import numpy as np
import pytest
from numpy.typing import NDArray

from server.inference.errors import TooFewSamples
from server.inference.explaining.shapley import Estimate, Game, game, least, t95

Numbers = NDArray[np.float64]
Worth = Callable[[NDArray[np.bool_], int], float]  # of who is present, and the reference row


def played(one: Game, worth: Worth, whole: float, part: int = 7) -> Estimate:
    """Ask for the worths a few at a time."""
    worths = np.empty(one.count)
    for start in range(0, one.count, part):
        rows = range(start, min(start + part, one.count))
        present, references = one.coalitions(rows)
        worths[start : rows.stop] = [worth(row, int(at)) for row, at in zip(present, references, strict=True)]
    return one.solve(worths, whole)


def defined(players: int, references: int, worth: Worth) -> Numbers:
    """Shapley's own sum over the coalitions without each player, mean over the reference rows."""
    values = np.zeros(players)
    for player in range(players):
        others = [one for one in range(players) if one != player]
        for size in range(players):
            for members in combinations(others, size):
                present = np.zeros(players, bool)
                present[list(members)] = True
                joined = present.copy()
                joined[player] = True
                weight = 1 / (players * comb(players - 1, size))
                gained = [worth(joined, at) - worth(present, at) for at in range(references)]
                values[player] += weight * float(np.mean(gained))
    return values


def table(players: int, seed: int) -> Worth:
    """Worths without any order in them: every coalition its own, everybody the same for all references."""
    numbers = np.random.default_rng(seed).normal(size=(2**players, 8))
    numbers[-1] = numbers[-1, 0]
    return lambda present, at: float(numbers[int(present @ (1 << np.arange(players))), at])


def of_everybody(players: int, worth: Worth) -> float:
    return worth(np.ones(players, bool), 0)


@pytest.mark.parametrize("players", [1, 2, 3, 5])
@pytest.mark.parametrize("references", [1, 3])
def test_few_players_have_their_exact_values(players: int, references: int) -> None:
    worth = table(players, seed=players)
    one = game(players, references, 2048, 0)

    estimate = played(one, worth, of_everybody(players, worth))

    assert one.exact
    assert np.allclose(estimate.contributions, defined(players, references, worth), atol=1e-12)
    assert not estimate.errors.any()
    assert estimate.baseline == pytest.approx(
        np.mean([worth(np.zeros(players, bool), at) for at in range(references)])
    )


@pytest.mark.parametrize("references", [1, 3])
@pytest.mark.parametrize("samples", [64, 100, 300])
def test_what_is_sampled_adds_up_whatever_the_worths_are(references: int, samples: int) -> None:
    worth = table(9, seed=1)
    whole = of_everybody(9, worth)

    one = game(9, references, samples, 0)
    estimate = played(one, worth, whole)

    assert not one.exact
    assert one.count <= samples
    assert estimate.contributions.sum() == pytest.approx(whole - estimate.baseline, abs=1e-12)


def test_two_orders_are_exact_where_players_depend_on_one_another_in_pairs() -> None:
    random = np.random.default_rng(2)
    alone, pairs = random.normal(size=12), random.normal(size=(12, 12))
    one = game(12, 1, least(12), 0)

    estimate = played(
        one,
        lambda present, _at: float(present @ alone + present @ pairs @ present),
        float(alone.sum() + pairs.sum()),
    )

    own = alone + np.diag(pairs)
    shared = (pairs + pairs.T).sum(1) - 2 * np.diag(pairs)
    assert one.count == least(12) == 45
    assert np.allclose(estimate.contributions, own + shared / 2, atol=1e-12)
    assert estimate.errors.max() < 1e-12


def test_a_player_who_adds_nothing_anywhere_has_nothing() -> None:
    whole_of_others = table(8, seed=3)

    def worth(present: NDArray[np.bool_], at: int) -> float:
        return whole_of_others(present[:8], at)

    estimate = played(game(9, 2, 200, 0), worth, of_everybody(9, worth))

    assert estimate.contributions[8] == 0
    assert estimate.errors[8] == 0
    assert (estimate.contributions[:8] != 0).all()


def test_the_stated_error_holds_for_about_nineteen_of_twenty() -> None:
    players, worth = 7, table(7, seed=4)
    truth, whole = defined(players, 1, worth), of_everybody(players, worth)
    within = []

    for seed in range(200):
        estimate = played(game(players, 1, 126, seed), worth, whole, part=126)
        within.append(np.abs(estimate.contributions - truth) <= estimate.errors)

    assert np.mean(within) > 0.93


def test_the_stated_error_holds_where_reference_rows_differ() -> None:
    players, worth = 7, table(7, seed=5)
    truth, whole = defined(players, 4, worth), of_everybody(players, worth)
    shares, widths = [], []

    for samples in (120, 400):
        estimates = [
            played(game(players, 4, samples, seed), worth, whole, part=samples) for seed in range(100)
        ]
        shares.append(np.mean([np.abs(one.contributions - truth) <= one.errors for one in estimates]))
        widths.append(np.mean([one.errors for one in estimates]))

    assert min(shares) > 0.92
    assert widths[1] < widths[0] / 1.8


def test_a_seed_gives_the_same_answer_and_another_seed_another() -> None:
    worth = table(9, seed=6)
    whole = of_everybody(9, worth)

    first, again, other = (
        played(game(9, 1, 200, seed), worth, whole, part).contributions
        for seed, part in ((5, 7), (5, 50), (6, 7))
    )

    assert (first == again).all()
    assert (first != other).any()


def test_only_as_many_reference_rows_are_used_as_there_are_runs_for() -> None:
    assert game(40, 16, 2048, 0).references == 16
    assert game(40, 16, 400, 0).references == 5
    assert game(40, 16, least(40), 0).references == 1


def test_too_few_samples_say_how_many_it_takes() -> None:
    with pytest.raises(TooFewSamples, match="64 samples are too few for 40 features; ask for at least 157"):
        game(40, 1, 64, 0)

    assert game(40, 1, 157, 0).count == 157


def test_the_interval_is_never_narrower_than_student_says() -> None:
    tables = {1: 12.706, 5: 2.571, 10: 2.228, 11: 2.201, 20: 2.086, 60: 2.000, 1000: 1.962}

    assert all(0 <= t95(freedom) - value < 0.01 for freedom, value in tables.items())
