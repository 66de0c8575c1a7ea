"""Shapley values of a game whose worth is asked in batches; pure, knows no model and no tensors.

A coalition is a set of players that are present; the others are as in one reference row. Its worth
is the model's answer. A game says which coalitions it wants the worth of, and makes of these what
each player adds, so that all of it adds up to the worth of everybody less the mean worth of nobody.

    Exact      every coalition: 2^players runs a reference row
    Sampled    players join one by one in drawn orders, each order also walked backwards

Source: Castro, Gomez, Tejada 2009 (orders by chance); Mitchell, Cooper, Frank, Holmes 2022
        (antithetic orders: exact where no three players depend on one another).
"""

from dataclasses import dataclass
from math import comb
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from server.inference.errors import TooFewSamples

Masks = NDArray[np.bool_]
Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]

EXACT_PLAYERS = 16
# Student's t: the half-width of a 95 % interval in standard errors, by degrees of freedom from 1.
T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What each player adds, and half the width of its 95 % interval.

    Shape: both (players,).
    """

    contributions: Numbers
    errors: Numbers
    baseline: float


class Game(Protocol):
    """Coalitions to run, and what their worths mean."""

    @property
    def count(self) -> int:
        """How many coalitions there are to run."""

    @property
    def references(self) -> int:
        """How many reference rows are used, the first ones."""

    @property
    def exact(self) -> bool:
        """Whether nothing is left to chance."""

    def coalitions(self, rows: range) -> tuple[Masks, Indices]:
        """Return some of them: who is present (rows, players), and the reference row of the rest (rows,)."""

    def solve(self, worths: Numbers, whole: float) -> Estimate:
        """Return what each player adds; `worths` (count,), `whole` is the worth of everybody."""


def game(players: int, references: int, samples: int, seed: int) -> Game:
    """Return the game that makes the best of `samples` runs.

    Raises: TooFewSamples, not even two orders fit.
    """
    if players <= EXACT_PLAYERS and references * (2**players - 1) <= samples:
        return Exact(players, references)
    order = 2 * (players - 1)  # the runs of one order and its reverse, their ends left out
    used = min(references, max(1, samples // (order + 1)))
    rounds = (samples - used) // (used * order)
    if used * rounds < 2:
        raise TooFewSamples(samples, players, least(players))
    return Sampled(players, used, rounds, seed)


def least(players: int) -> int:
    """Return the fewest runs that explain so many players: two orders, or every coalition of a few."""
    return min(4 * (players - 1) + 1, 2**players - 1 if players <= EXACT_PLAYERS else 1 << 62)


class Exact:
    """Every coalition of every reference row; a coalition's bits are its players."""

    exact = True

    def __init__(self, players: int, references: int) -> None:
        self.players, self.references = players, references
        self._each = 2**players - 1  # all but everybody
        self.count = references * self._each

    def coalitions(self, rows: range) -> tuple[Masks, Indices]:
        """Return some coalitions, by their number."""
        reference, number = np.divmod(np.arange(rows.start, rows.stop), self._each)
        return (number[:, None] >> np.arange(self.players) & 1).astype(bool), reference

    def solve(self, worths: Numbers, whole: float) -> Estimate:
        """Weigh what a player adds to each coalition without it."""
        worth = np.append(worths.reshape(self.references, -1).mean(0), whole)  # (2^players,)
        numbers = np.arange(len(worth))
        sizes = np.bitwise_count(numbers)
        weights = np.array(
            [1 / (self.players * comb(self.players - 1, size)) for size in range(self.players)]
        )
        added = np.zeros(self.players)
        for player in range(self.players):
            without = numbers[numbers >> player & 1 == 0]
            added[player] = (worth[without | 1 << player] - worth[without]) @ weights[sizes[without]]
        return Estimate(added, np.zeros(self.players), float(worth[0]))


class Sampled:
    """Orders by chance: for each reference row so many, and the reverse of each."""

    exact = False

    def __init__(self, players: int, references: int, rounds: int, seed: int) -> None:
        self.players, self.references, self.rounds = players, references, rounds
        pairs = references * rounds
        random = np.random.default_rng(seed)
        orders = np.tile(np.arange(players), (pairs, 1))
        random.permuted(orders, axis=1, out=orders)
        self._orders = np.stack((orders, orders[:, ::-1]), 1).reshape(2 * pairs, players)
        self._places = np.argsort(self._orders, 1)  # when each player joins
        self._steps = players - 1  # of an order: neither nobody nor everybody is run for it
        self.count = references + len(self._orders) * self._steps

    def coalitions(self, rows: range) -> tuple[Masks, Indices]:
        """Return some coalitions: nobody for each reference row, then order after order."""
        number = np.arange(rows.start, rows.stop) - self.references
        walk, step = np.divmod(number, self._steps)
        present = self._places[walk] <= step[:, None]
        present[number < 0] = False
        pair = walk // 2
        return present, np.where(number < 0, number + self.references, pair % self.references)

    def solve(self, worths: Numbers, whole: float) -> Estimate:
        """Take what each player adds where it joins: mean of an order and its reverse, then of all."""
        nobody = worths[: self.references]
        walks = worths[self.references :].reshape(-1, self._steps)
        first = nobody[np.arange(len(walks)) // 2 % self.references]
        last = np.full(len(walks), whole)
        added = np.diff(np.column_stack((first, walks, last)), axis=1)  # (walks, players), as they join
        by_player = np.take_along_axis(added, self._places, 1)
        pairs = by_player.reshape(-1, 2, self.players).mean(1)
        return Estimate(pairs.mean(0), self._errors(pairs), float(nobody.mean()))

    def _errors(self, pairs: Numbers) -> Numbers:
        """Return half the width of the 95 % interval of each mean.

        All reference rows are used, none is drawn: they differ from one another without that being
        an error. With one order each that cannot be told apart, and the interval is too wide.
        """
        rounds = pairs.reshape(self.rounds, self.references, self.players)
        if self.rounds > 1:
            variance = rounds.var(0, ddof=1).mean(0)
            freedom = self.references * (self.rounds - 1)
        else:
            variance, freedom = pairs.var(0, ddof=1), len(pairs) - 1
        errors: Numbers = t95(freedom) * np.sqrt(variance / len(pairs))
        return errors


def t95(freedom: int) -> float:
    """Return the half-width of a 95 % interval in standard errors; a little more from 11 on."""
    return T95[freedom - 1] if freedom <= len(T95) else 1.96 + 2.7 / freedom
