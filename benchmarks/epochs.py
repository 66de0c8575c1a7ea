"""An epoch of training beside the loop one writes by hand in PyTorch, on the three ready recipes.

python -m benchmarks.epochs [--rounds N]

Both do the same: the same rows, batches of the same size, network, loss, optimizer, clipping and schedule,
validation with loss and accuracy, the best weights kept. They run in turns in one process on one thread,
and the medians of their epochs are compared. `bare` is written with PyTorch's own modules, as one would;
`bare, our network` is that loop around the network that a recipe becomes, which tells the loop's share.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from benchmarks.bare_training import MODULES, BareLoop
from benchmarks.ready_tables import ready_table
from models.recipe import Recipe, ready_recipe
from trainer.blueprints import blueprint_of
from trainer.events import EpochEnded, Event
from trainer.fitting.fit import Fit, reproducible
from trainer.fitting.rows import Rows
from trainer.networks.building import build
from trainer.networks.network import Network
from trainer.split import split
from trainer.tasks.task import Task, task_of

EPOCHS = 12  # of one measurement; the first is left out, it fills caches
CPU = torch.device("cpu")
LIMIT = 1.25


@dataclass(frozen=True, slots=True)
class Contest:
    """One recipe with its rows, parted as the trainer parts them."""

    recipe: Recipe
    task: Task
    train: Rows
    validation: Rows | None

    @classmethod
    def of(cls, name: str) -> "Contest":
        """Read a ready recipe and its data set."""
        recipe = ready_recipe(name)
        table = ready_table(recipe)
        parts = split(table, recipe)
        train, validation = table.take(parts.train), table.take(parts.validation)
        judged = Rows.of(validation, CPU) if len(validation) else None
        return cls(recipe, task_of(recipe, train), Rows.of(train, CPU), judged)

    def ours(self) -> list[float]:
        """Return how long the trainer's epochs take, in seconds."""
        marks: list[float] = []

        def mark(event: Event) -> None:
            if isinstance(event, EpochEnded):
                marks.append(time.perf_counter())

        training = self.recipe.training.model_copy(update={"epochs": EPOCHS, "patience": None})
        with reproducible(training):
            Fit(self.network(), self.task, training, self.train, self.validation, mark).run()
        return [later - earlier for earlier, later in pairwise(marks)]

    def bare(self, network: nn.Module) -> list[float]:
        """Return how long the epochs of a loop by hand take, in seconds."""
        loop = BareLoop(network, self.recipe.training, self.train, self.validation)
        with reproducible(self.recipe.training):
            return list(timed(loop.epoch, EPOCHS))[1:]

    def network(self) -> Network:
        """Return the recipe's network with its scaling fitted."""
        network = build(blueprint_of(self.recipe))
        network.fit_scaling(self.train.inputs)
        return network


def timed(work: Callable[[int], object], times: int) -> Iterator[float]:
    """Give the seconds of each of several turns."""
    for number in range(times):
        began = time.perf_counter()
        work(number)
        yield time.perf_counter() - began


def measure(contest: Contest, rounds: int) -> dict[str, float]:
    """Return the median epoch of each contender, in seconds."""
    name = contest.recipe.name
    seconds: dict[str, list[float]] = {"bare": [], "bare, our network": [], "insitu": []}
    for _ in range(rounds):
        seconds["bare"] += contest.bare(MODULES[name](contest.train))
        seconds["insitu"] += contest.ours()
        seconds["bare, our network"] += contest.bare(contest.network())
    return {contender: statistics.median(every) for contender, every in seconds.items()}


def main() -> None:
    """Measure every recipe that has a loop by hand, and print the table."""
    options = argparse.ArgumentParser("python -m benchmarks.epochs", description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    rounds = options.parse_args().rounds
    torch.set_num_threads(1)
    sys.stdout.write(
        f"{'recipe':<16} {'bare':>9} {'our network':>12} {'insitu':>9} {'insitu / bare':>14}  within {LIMIT}\n"
    )
    for name in MODULES:
        found = measure(Contest.of(name), rounds)
        ratio = found["insitu"] / found["bare"]
        cells = [f"{1000 * found[one]:.2f} ms" for one in ("bare", "bare, our network", "insitu")]
        verdict = "yes" if ratio <= LIMIT else "no"
        sys.stdout.write(f"{name:<16} {cells[0]:>9} {cells[1]:>12} {cells[2]:>9} {ratio:>14.2f}  {verdict}\n")


if __name__ == "__main__":
    main()
