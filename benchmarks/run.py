"""Run: one benchmark from its first case to its last; cases add measurements, and notes on what they left out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from benchmarks import wrk
from benchmarks.claims import Claim
from benchmarks.measurements import Figures, Measurement, Measurements, Series
from benchmarks.options import Options
from benchmarks.progress import Unwatched, Watch
from benchmarks.stage import Stage

WRK_OVERHEAD_SECONDS = 0.3


@dataclass
class Run:
    """What a case is given."""

    options: Options
    stage: Stage
    watch: Watch = field(default_factory=Unwatched)
    measurements: Measurements = field(default_factory=Measurements)
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        series: Series,
        number: int,
        figures: Figures,
        samples: Sequence[tuple[float, float]] = (),
    ) -> None:
        """Keep one measurement."""
        self.measurements.made.append(Measurement(series, number, figures, tuple(samples)))

    def doing(self, series: Series, number: int) -> None:
        """Say what is measured now; a round below 1 is a warm-up."""
        which = f"round {number} of {self.options.rounds}" if number > 0 else "warm-up, every answer checked"
        self.watch.doing(f"{series.case}: {series.who}, {series.setting}, {which}")

    def time(self, series: Series, number: int, load: wrk.Load) -> Figures:
        """Measure one load with wrk and keep it.

        Raises: BenchmarkFailed, when any request failed.
        """
        self.doing(series, number)
        figures = wrk.measure(replace(load, check="whole") if self.options.quick else load).figures
        self.add(series, number, figures)
        self.watch.done(load.seconds + WRK_OVERHEAD_SECONDS)
        return figures

    def warm(self, series: Series, load: wrk.Load) -> None:
        """Run one load for a second and look at every answer; a quick run does so while it measures.

        Raises: BenchmarkFailed, when any answer is not a whole 200.
        """
        if not self.options.quick:
            self.doing(series, 0)
            wrk.measure(replace(load, seconds=1, check="whole"))
            self.watch.done(1 + WRK_OVERHEAD_SECONDS)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a case's table: a figure, its heading, and how many decimals it is read with."""

    heading: str
    figure: str
    decimals: int = 0
    spread: bool = False


RATE = Column("requests/s", "rate", spread=True)
LATENCY = (Column("median ms", "p50_ms", 3), Column("p99 ms", "p99_ms", 2))


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is measured, and what it shall reach; `seconds` is about how long it takes."""

    name: str
    about: str
    run: Callable[[Run], None]
    seconds: Callable[[Options], float]
    columns: tuple[Column, ...] = (RATE, *LATENCY)
    claims: tuple[Claim, ...] = ()


def warm_seconds(options: Options, count: int) -> float:
    """Return how long so many warm-ups take."""
    return 0.0 if options.quick else count * (1 + WRK_OVERHEAD_SECONDS)


def loads_seconds(options: Options, count: int) -> float:
    """Return how long so many measurements take with wrk."""
    return count * options.rounds * (options.seconds + WRK_OVERHEAD_SECONDS)
