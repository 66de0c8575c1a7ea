"""python -m benchmarks: measure, print, and keep the results."""

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks import machine, results, wrk
from benchmarks.cases.catalogue import CASES, chosen
from benchmarks.claims import Judged, judge
from benchmarks.faults import BenchmarkFailed
from benchmarks.measurements import Measurements
from benchmarks.options import RESULTS, Options
from benchmarks.progress import Bar
from benchmarks.run import Run
from benchmarks.stage import staged
from benchmarks.tables import case_table, claims_table, summary
from models.errors import InsituError

FAILED, STOPPED = 1, 130
PIPE_WIDTH = 120
ABOUT = """Measure Insitu beside what one would use instead, in turns, on this machine.

Everything is started here and ended here: a Redis of its own behind a unix socket, the servers, the load (wrk).
Each server's answers are held against ONNX Runtime before it is timed; a failed request stops the run. Every
case is measured in rounds, contender after contender, and the medians count. Nothing else should run meanwhile.
"""
EXAMPLES = """examples:
  python -m benchmarks                                 everything, about 19 minutes
  python -m benchmarks --quick                         a glance at everything, about four minutes
  python -m benchmarks --only comparison --rounds 9    one case, more rounds
  python -m benchmarks --only soak --soak 600          memory over ten minutes of full load
  python -m benchmarks --draw benchmarks/results/2026-11-22-2130.json    draw a run again

The exit status is 0 whatever the timings are: 1 tells that the run could not be finished.
docs/benchmarks.md says what each case does and how to read it.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    cases = "\n".join(f"  {case.name:<14} {case.about}" for case in CASES)
    made = argparse.ArgumentParser(
        "python -m benchmarks",
        description=ABOUT,
        epilog=f"cases:\n{cases}\n\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [case.name for case in CASES]
    made.add_argument(
        "--only", action="append", choices=names, metavar="CASE", help="this case; may be repeated"
    )
    made.add_argument("--seconds", type=whole, help="length of one measurement (2)")
    made.add_argument("--rounds", type=whole, help="rounds that the medians are taken over (5)")
    made.add_argument(
        "--soak", type=int, help="seconds of full load that memory is watched for (60; 0 leaves it out)"
    )
    made.add_argument("--quick", action="store_true", help="one round of one second, five seconds of soak")
    made.add_argument("--out", type=Path, default=RESULTS, help="folder of the results (benchmarks/results)")
    made.add_argument(
        "--draw", type=Path, metavar="FILE", help="draw the pictures of an earlier run, measure nothing"
    )
    return made


def whole(text: str) -> int:
    """Read a number of at least one."""
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def read_options(given: argparse.Namespace) -> Options:
    """Return the options; what is given goes before what --quick says."""
    seconds, rounds, soak = (1, 1, 5) if given.quick else (2, 5, 60)
    return Options(
        seconds=given.seconds or seconds,
        rounds=given.rounds or rounds,
        soak=soak if given.soak is None else given.soak,
        quick=given.quick,
        only=tuple(given.only or ()),
        out=given.out,
    )


def main() -> int:
    """Run what was asked for and return the exit status."""
    given = parser().parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(
            number, signal.default_int_handler
        )  # every end unwinds, so that what was started is ended
    console = shown_on()
    try:
        if given.draw:
            redraw(given.draw, console)
        else:
            measure(read_options(given), console)
    except KeyboardInterrupt:
        Console(stderr=True).print("stopped; every process that was started is ended", highlight=False)
        return STOPPED
    except (BenchmarkFailed, InsituError) as error:
        Console(stderr=True).print(
            f"benchmark stopped: {error}", highlight=False, markup=False, soft_wrap=True
        )
        return FAILED
    return 0


def shown_on() -> Console:
    """Return where results are printed: a file or a pipe is wide enough for every table."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def measure(options: Options, console: Console) -> None:
    """Measure, print tables as cases end, and keep the results."""
    wrk.find_wrk()
    cases = chosen(options)
    # One console for bar and tables where both go to the terminal: two would write over one another.
    with Bar(console if console.is_terminal else Console(stderr=True)) as bar:
        bar.begin(sum(case.seconds(options) for case in cases))
        bar.doing("starting Redis and writing the features")
        with staged() as stage:
            run = Run(options, stage, bar)
            for case in cases:
                case.run(run)
                console.print(case_table(case, run.measurements))
            header = head(machine.versions(stage), run.notes)
    judged = [judge(claim, run.measurements) for case in cases for claim in case.claims]
    tell(console, header, judged)
    keep(console, options, header, run.measurements, judged)


def head(versions: dict[str, str], notes: Sequence[str]) -> results.Header:
    """Return what this run was."""
    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    return results.Header(datetime.now(UTC), command, machine.machine(), versions, tuple(notes))


def tell(console: Console, header: results.Header, judged: Sequence[Judged]) -> None:
    """Print the claims, what was left out, and the machine."""
    if judged:
        console.print(claims_table(judged))
        console.print(summary(judged))
    for note in header.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    console.print(header.text, markup=False, soft_wrap=True)


def keep(
    console: Console,
    options: Options,
    header: results.Header,
    measurements: Measurements,
    judged: Sequence[Judged],
) -> None:
    """Write the file and the pictures."""
    name = results.stem(header, options)
    console.print(
        f"results: {results.write(options.out, name, header, measurements, judged)}", soft_wrap=True
    )
    pictures(console, header, measurements, options.out / name)


def pictures(console: Console, header: results.Header, measurements: Measurements, where: Path) -> None:
    """Draw, where matplotlib is installed."""
    try:
        from benchmarks.picture import draw  # noqa: PLC0415 - only whoever draws needs matplotlib
    except ImportError:
        console.print("no picture: pip install 'insitu[bench]'", markup=False)
        return
    for path in draw(header, measurements, where.parent, where.name):
        console.print(f"picture: {path}", soft_wrap=True)


def redraw(path: Path, console: Console) -> None:
    """Draw an earlier run again.

    Raises: BenchmarkFailed, the file is no run.
    """
    try:
        header, measurements = results.read(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchmarkFailed(f"{path} is no result of this benchmark: {error!r}") from error
    pictures(console, header, measurements, path.with_suffix(""))


if __name__ == "__main__":
    sys.exit(main())
