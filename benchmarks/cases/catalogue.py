"""Every case there is, in the order of a run."""

from benchmarks.cases import (
    comparison,
    full_path,
    many_rows,
    open_inference,
    overload,
    recipes,
    redis_protocol,
    scoring,
    soak,
    stored,
    switching,
)
from benchmarks.options import Options
from benchmarks.run import Case

CASES: tuple[Case, ...] = (
    comparison.CASE,
    full_path.CASE,
    many_rows.CASE,
    open_inference.CASE,
    redis_protocol.CASE,
    recipes.CASE,
    switching.CASE,
    stored.CASE,
    scoring.CASE,
    overload.CASE,
    soak.CASE,
)


def chosen(options: Options) -> list[Case]:
    """Return the cases that were asked for: all of them when none is named."""
    return [case for case in CASES if not options.only or case.name in options.only]
