"""The table of a run: the mean of everybody over the seeds, and whether the network is at the top."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from benchmarks.skill.bouts import NETWORK, Bout
from benchmarks.skill.contests import Contest

ROUNDING = 5e-5  # scores that print alike are alike


@dataclass(frozen=True, slots=True)
class Result:
    """Means over the seeds in one score, by who reached them; `deviation` is the network's."""

    contest: Contest
    means: Mapping[str, float]
    deviation: float
    bouts: int

    @property
    def best_rival(self) -> str:
        """The rival with the largest mean."""
        return max((name for name in self.means if name != NETWORK), key=self.means.__getitem__)

    @property
    def verdict(self) -> str:
        """Whether the network is at or above the best rival, and reaches what is asked of it."""
        own = self.means[NETWORK]
        if own < self.means[self.best_rival] - ROUNDING:
            return "behind"
        if self.contest.least is not None and own < self.contest.least - ROUNDING:
            return f"below {self.contest.least:.1%}"
        return "ahead" if own > self.means[self.best_rival] + ROUNDING else "level"


def result(contest: Contest, bouts: Sequence[Bout]) -> Result:
    """Return the means of a contest."""
    values = {name: [bout.scores[name][contest.score] for bout in bouts] for name in bouts[0].scores}
    means = {name: statistics.fmean(own) for name, own in values.items()}
    return Result(contest, means, statistics.pstdev(values[NETWORK]), len(bouts))


def drawn(results: Sequence[Result]) -> Table:
    """Return the table, a line a contest."""
    table = Table(
        box=SIMPLE_HEAD, title="held-out rows", title_justify="left", title_style="bold", pad_edge=False
    )
    for heading, side in (
        ("recipe", "left"), ("score", "left"), (NETWORK, "right"), ("linear", "right"), ("MLP", "right"),
        ("forest", "right"), ("boosting", "right"), ("", "left"),
    ):  # fmt: skip
        table.add_column(heading, justify="right" if side == "right" else "left", no_wrap=True)
    for one in results:
        own = f"{one.means[NETWORK]:.4f} ±{one.deviation:.4f}"
        others = [f"{mean:.4f}" for name, mean in one.means.items() if name != NETWORK]
        good = one.verdict in ("ahead", "level")
        verdict = Text(one.verdict, style="green" if good else "red")
        table.add_row(one.contest.recipe, one.contest.score, own, *others, verdict)
    return table
