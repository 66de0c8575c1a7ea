"""python -m benchmarks.skill: train the ready recipes with several seeds, and say where scikit-learn is better."""

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.machine import machine
from benchmarks.options import RESULTS
from benchmarks.progress import Bar
from benchmarks.skill.bouts import Bout, fought, rows_of
from benchmarks.skill.contests import CONTESTS, Contest
from benchmarks.skill.table import Result, drawn, result
from cli.embedded import EmbeddedRedis
from models.errors import InsituError
from models.recipe import ready_recipe
from trainer.errors import DatasetNotInstalled

SEEDS = 5
SECONDS_A_BOUT = 15.0  # about, for the bar alone
ABOUT = """Train every ready recipe with several seeds, each on other parts of its rows, and let scikit-learn's
LogisticRegression or Ridge, MLP, RandomForest and HistGradientBoosting learn from the same rows. What is
compared is the mean of a score on rows that nobody has seen. Data sets lie in a Redis of its own meanwhile.
"""
EXAMPLES = """examples:
  python -m benchmarks.skill                          everything
  python -m benchmarks.skill --only wine --seeds 2    one recipe, fewer seeds

The exit status is 0 whoever is better: 1 tells that the run could not be finished.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(
        "python -m benchmarks.skill",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = list(dict.fromkeys(one.recipe for one in CONTESTS))
    made.add_argument("--only", action="append", choices=names, metavar="RECIPE", help="; ".join(names))
    made.add_argument("--seeds", type=int, default=SEEDS, help=f"how many, from 0 ({SEEDS})")
    made.add_argument("--out", type=Path, default=RESULTS, help="folder of the results (benchmarks/results)")
    return made


def main() -> int:
    """Run what was asked for and return the exit status."""
    given = parser().parse_args()
    if given.seeds < 1:
        parser().error(f"--seeds is {given.seeds}; it takes at least one")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    contests = [one for one in CONTESTS if not given.only or one.recipe in given.only]
    try:
        results = measured(contests, given.seeds, console)
    except InsituError as error:
        Console(stderr=True).print(f"stopped: {error}", highlight=False, markup=False, soft_wrap=True)
        return 1
    console.print(drawn(results))
    keep(console, given, results)
    return 0


def measured(contests: list[Contest], seeds: int, console: Console) -> list[Result]:
    """Train and compare, recipe after recipe."""
    names = list(dict.fromkeys(one.recipe for one in contests))
    bouts: dict[str, list[Bout]] = {}
    with tempfile.TemporaryDirectory(prefix="insitu-skill-") as folder:
        redis = EmbeddedRedis.start(Path(folder) / "redis")
        try:
            with Bar(console if console.is_terminal else Console(stderr=True)) as bar:
                bar.begin(SECONDS_A_BOUT * len(names) * seeds)
                for name in names:
                    recipe = ready_recipe(name)
                    try:
                        table = rows_of(recipe, redis.url)
                    except DatasetNotInstalled as error:
                        console.print(f"{name} is left out: {error}", markup=False, soft_wrap=True)
                        continue
                    bouts[name] = []
                    for seed in range(seeds):
                        bar.doing(f"{name}, seed {seed}")
                        bouts[name].append(fought(recipe, table, seed))
                        bar.done(SECONDS_A_BOUT)
        finally:
            redis.stop()
    return [result(one, bouts[one.recipe]) for one in contests if one.recipe in bouts]


def keep(console: Console, given: argparse.Namespace, results: list[Result]) -> None:
    """Write the results; a run of a part is named so."""
    whole = not given.only and given.seeds == SEEDS
    now = datetime.now(UTC)
    told: dict[str, Any] = {
        "date": now.isoformat(timespec="seconds"),
        "seeds": given.seeds,
        "machine": machine(),
        "versions": {name: version(name) for name in ("torch", "scikit-learn", "onnxruntime", "numpy")},
        "results": [
            {
                "recipe": one.contest.recipe,
                "score": one.contest.score,
                "means": one.means,
                "deviation": one.deviation,
                "verdict": one.verdict,
            }
            for one in results
        ],
    }
    path = given.out / f"{now:%Y-%m-%d-%H%M}-skill{'' if whole else '-part'}.json"
    path.write_text(json.dumps(told, indent=1) + "\n")
    console.print(f"results: {path}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
