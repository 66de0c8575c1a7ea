"""What a person, or a program, is told of a scoring job."""

from typing import TYPE_CHECKING, Any

from cli.terminal import Terminal, count_text, duration_text, plain
from models.errors import InsituError
from models.jobs import Found, JobSpec, Matching, Named, ToCsv, ToField, ToOutput, ToParquet

if TYPE_CHECKING:
    from models.histograms import Histogram
    from models.ledger import Standing
    from models.tallies import Tally
    from models.templates import KeyTemplate

LABELS_SHOWN = 12
BARS = 12
BAR_WIDTH = 32
EIGHTHS = " ▏▎▍▌▋▊▉█"


class NothingScored(InsituError):
    """No row was scored at all."""

    code = "nothing_scored"


def targets_text(spec: JobSpec) -> str:
    """Return where the answers of a job go."""
    return ", ".join(
        one.path
        if isinstance(one, ToParquet | ToCsv)
        else f"field {one.field}"
        if isinstance(one, ToField)
        else "standard output"
        if isinstance(one, ToOutput)
        else one.key
        for one in spec.to
    )


def rows_text(spec: JobSpec) -> str:
    """Return where the rows of a job come from."""
    rows = spec.rows
    if isinstance(rows, Matching):
        return f"keys that match {rows.pattern}" if rows.pattern else "every key the model reads"
    if isinstance(rows, Named):
        return f"redis:{rows.key}"
    return f"index {rows.index}" if isinstance(rows, Found) else rows.path


def rate_text(rows: int, seconds: float) -> str:
    """Return how fast rows are scored."""
    return f"{rows / seconds if seconds else 0.0:,.0f} rows/s"


def show(terminal: Terminal, standing: "Standing", seconds: float, rows: int) -> None:
    """Show what came of a job; `rows` are those of this process, in `seconds`."""
    if terminal.as_json:
        terminal.emit(as_data(standing, seconds))
        return
    where = terminal.note if any(isinstance(one, ToOutput) for one in standing.spec.to) else terminal.say
    tally, spec = standing.tally, standing.spec
    where(
        f"{spec.model} version {spec.version}: {count_text(tally.scored, 'row')} scored into {targets_text(spec)} "
        f"in {duration_text(seconds)} ({rate_text(rows, seconds)})"
    )
    if where == terminal.note:
        if tally.skipped:
            where(f"{count_text(tally.skipped.total(), 'row')} could not be scored {reasons(tally)}")
        return
    labels = tally.labels.most_common(LABELS_SHOWN)
    if labels:
        terminal.table(
            ["label", ">rows", ">share"], [[n, f"{c:,}", f"{c / tally.scored:.1%}"] for n, c in labels]
        )
    show_numbers(terminal, standing)
    if tally.passed:
        terminal.say(f"passed over {count_text(tally.passed, 'row')} that needed no score")
    if standing.passed_over:
        terminal.say(f"passed over {count_text(standing.passed_over, 'key')} that this model does not read")
    if tally.skipped:
        rows_ = [[code, f"{count:,}", tally.examples[code]] for code, count in tally.skipped.most_common()]
        terminal.table(["skipped", ">rows", "the first"], rows_)


def show_numbers(terminal: Terminal, standing: "Standing") -> None:
    """Show how the numbers of the rows are spread."""
    tally = standing.tally
    if tally.lowest is None or tally.highest is None or not tally.numbers:
        return
    what = "probabilities" if tally.labels else "values"
    of = f" of {standing.spec.label}" if tally.labels and standing.spec.label else ""
    mean = tally.total / tally.numbers
    terminal.say(f"{what}{of} {plain(tally.lowest)} to {plain(tally.highest)}, mean {plain(mean)}")
    for line in bars(tally.histogram):
        terminal.say(line)


def bars(histogram: "Histogram") -> list[str]:
    """Return a histogram as lines: where a bar begins and ends, how long it is, how many numbers it has."""
    bins = histogram.coarser(BARS).bins
    most = max((count for _, _, count in bins), default=0)
    return [
        f"  {plain(begin):>9} to {plain(end):<9} {bar(count / most):<{BAR_WIDTH}} {count:,}"
        for begin, end, count in bins
    ]


def bar(share: float) -> str:
    """Return a bar of a share of the width, in eighths of a character; what is there is seen."""
    eighths = max(round(share * BAR_WIDTH * 8), 1) if share else 0
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def as_data(standing: "Standing", seconds: float) -> dict[str, Any]:
    """Return what came of a job for a program."""
    spec = standing.spec
    return {
        "job": standing.name,
        "model": spec.model,
        "version": spec.version,
        "state": standing.state,
        "share": round(standing.done_share, 4),
        "to": [one.model_dump(exclude_none=True) for one in spec.to],
        **standing.tally.to_data(),
        "histogram": [list(one) for one in standing.tally.histogram.bins],
        "other_keys": standing.passed_over,
        "seconds": round(seconds, 3),
        **({"reason": standing.reason} if standing.reason else {}),
    }


def reasons(tally: "Tally") -> str:
    """Return why rows were skipped: codes and how many of each, and the message of one."""
    codes = ", ".join(f"{code} {count:,}" for code, count in tally.skipped.most_common())
    return f"({codes}); the first: {next(iter(tally.examples.values()), '')}"


def nothing(standing: "Standing", template: "KeyTemplate | None") -> NothingScored:
    """Return why nothing was scored; `template` is what the model reads."""
    tally, rows = standing.tally, standing.spec.rows
    facts = as_data(standing, standing.seconds)
    if tally.skipped:
        count = count_text(tally.skipped.total(), "row")
        return NothingScored(f"none of {count} could be scored {reasons(tally)}", **facts)
    reads, pattern, hint = ("", "*", "look with `redis-cli --scan`")
    if template is not None:
        reads, pattern, hint = template.text, template.glob, template.hint
    if not isinstance(rows, Matching):
        return NothingScored(f"there are no rows in {rows_text(standing.spec)}", **facts)
    asked = rows.pattern or pattern
    if standing.passed_over:
        found = count_text(standing.passed_over, "key")
        match = "matches" if standing.passed_over == 1 else "match"
        return NothingScored(
            f"{found} {match} {asked!r}, none of them is a key this model reads ({reads!r})", **facts
        )
    return NothingScored(f"no key matches {asked!r}; this model reads {reads!r}; {hint}", **facts)
