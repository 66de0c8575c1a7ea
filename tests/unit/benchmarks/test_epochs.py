"""What an epoch is held against: a loop by hand over the rows of each recipe that is measured."""

from math import log

import pytest
import torch

from benchmarks.bare_training import MODULES, BareLoop
from benchmarks.epochs import Contest


@pytest.mark.parametrize("name", MODULES)
def test_a_loop_by_hand_learns_the_rows_that_a_recipe_learns_from(name: str) -> None:
    torch.manual_seed(0)
    contest = Contest.of(name)
    loop = BareLoop(MODULES[name](contest.train), contest.recipe.training, contest.train, contest.validation)

    first, second = loop.epoch(1), loop.epoch(2)

    assert second < first < 1.2 * log(len(contest.recipe.classes))
