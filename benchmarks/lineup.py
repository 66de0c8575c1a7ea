"""Lineup: Insitu and the rivals that read features from Redis, started together; a missing one is noted."""

from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.contenders import Server, insitu, mosec, textbook
from benchmarks.faults import Missing
from benchmarks.features import KINDS
from benchmarks.run import Run


def lined_up(run: Run, stack: ExitStack, case: str) -> Iterator[tuple[Server, str]]:
    """Give every server with each kind of features it answers; all run until the stack is closed."""
    run.watch.doing(f"{case}: starting the servers")
    for server in (stack.enter_context(insitu(run.stage)), stack.enter_context(textbook(run.stage))):
        for kind in KINDS:
            yield server, kind
    try:
        for kind in KINDS:
            yield stack.enter_context(mosec(run.stage, kind)), kind
    except Missing as missing:
        run.notes.append(f"{case}: mosec is left out: {missing}")
