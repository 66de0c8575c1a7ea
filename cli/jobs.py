"""The command on scoring jobs that are kept in Redis: lists them, shows, watches or cancels one."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import ExitCode, WrongUsage
from cli.manual import PREDICTIONS, Command
from cli.options import AsJson, DataDir, Prefix, RedisUrl, in_time
from cli.settings import read_settings
from cli.stored import with_store
from cli.terminal import Terminal, count_text, duration_text

if TYPE_CHECKING:
    from models.ledger import Ledger, Standing
    from models.store import ModelStore

LOOK_SECONDS = 0.5
STEPS = 1000  # of the bar
DATE = "%Y-%m-%d %H:%M"


def complete_job(incomplete: str) -> list[str]:
    """Return the job names that begin as typed."""
    from models.job_names import job_names

    return in_time(lambda store: job_names(store.redis, store.keys), incomplete)


def jobs(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="One job.", show_default=False, autocompletion=complete_job),
    ] = None,
    *,
    cancel: Annotated[bool, typer.Option("--cancel", help="End the job; what it has written stays.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay with the job until it has ended, with a bar.")
    ] = False,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    data_dir: DataDir = None,
    prefix: Prefix = None,
) -> None:
    """Show the scoring jobs that are kept in Redis, or one of them; cancel it, or watch it.

    A job is kept for seven days after it has ended, whether `insitu score` or a server began it.
    """
    if name is None and (cancel or watch):
        raise WrongUsage(f"{'--cancel' if cancel else '--watch'} is for one job; name it")
    if cancel and watch:
        raise WrongUsage("--cancel and --watch do not go together; give one of them")
    settings = read_settings(redis_url=redis_url, data_dir=data_dir, prefix=prefix)
    terminal = Terminal(as_json=as_json)
    if name is None:
        show_all(terminal, with_store(settings, every))
        return
    if cancel:
        show_cancelled(terminal, name, with_store(settings, lambda store: cancelled(ledger(store, name))))
        return
    job = watched(terminal) if watch else looked_at
    standing = with_store(settings, lambda store: job(ledger(store, name)))
    show_one(terminal, standing)
    if watch and standing.state != "done":
        raise typer.Exit(ExitCode.FAILED)


def ledger(store: "ModelStore", name: str) -> "Ledger":
    """Return a job by its name.

    Raises: BadName.
    """
    from models.ledger import Ledger

    return Ledger(store.redis, store.keys, name, "")


async def every(store: "ModelStore") -> "list[Standing]":
    """Return the jobs, the newest first."""
    from models.job_names import jobs_kept

    return await jobs_kept(store.redis, store.keys)


async def looked_at(one: "Ledger") -> "Standing":
    """Return how a job stands.

    Raises: JobNotFound.
    """
    return await one.look()


async def cancelled(one: "Ledger") -> "Standing | None":
    """Cancel a job; one that has ended is left as it is. None: how it stands is not understood here.

    Raises: JobNotFound.
    """
    from models.job_errors import JobUnreadable
    from models.ledger import CANCELLED

    await one.end(CANCELLED)
    try:
        return await one.look()
    except JobUnreadable:
        return None


def watched(terminal: Terminal) -> "Callable[[Ledger], Coroutine[Any, Any, Standing]]":
    """Return what stays with a job until it has ended."""
    from cli.progress import Work

    async def stay(one: "Ledger") -> "Standing":
        now = await one.look()
        began, rows = time.monotonic(), now.tally.rows
        with Work(terminal, one.name, STEPS) as work:
            while now.state == "running":
                work.update(int(now.done_share * STEPS), STEPS, note_of(now, rows, time.monotonic() - began))
                await asyncio.sleep(LOOK_SECONDS)
                now = await one.look()
        return now

    return stay


def note_of(now: "Standing", before: int, seconds: float) -> str:
    """Return how many rows are done, and how fast since somebody watches."""
    from cli.job_report import rate_text

    skipped = f", {count_text(now.tally.skipped.total(), 'error')}" if now.tally.skipped else ""
    resting = "" if now.alive else ", no process works on it"
    return f"{count_text(now.tally.rows, 'row')}, {rate_text(now.tally.rows - before, seconds)}{skipped}{resting}"


def show_all(terminal: Terminal, found: "list[Standing]") -> None:
    """Show a line a job."""
    from cli.job_report import as_data

    if terminal.as_json:
        terminal.emit([as_data(one, one.seconds) for one in found])
    elif not found:
        terminal.say("no scoring jobs are kept; `insitu score` begins one")
    else:
        columns = ["job", "state", ">found", ">scored", ">skipped", "into", "began", ">took"]
        terminal.table(columns, [line(one) for one in found])


def line(one: "Standing") -> list[object]:
    """Return one job's line of the table."""
    from cli.job_report import targets_text

    return [
        one.name,
        state_text(one),
        f"{one.done_share:.0%}",
        f"{one.tally.scored:,}",
        f"{one.tally.skipped.total():,}",
        targets_text(one.spec),
        time.strftime(DATE, time.localtime(one.begun)),
        duration_text(one.seconds),
    ]


def state_text(one: "Standing") -> str:
    """Return a job's state; one that runs without a process waits."""
    return "waiting" if one.state == "running" and not one.alive else one.state


def show_cancelled(terminal: Terminal, name: str, one: "Standing | None") -> None:
    """Show a job that was cancelled, as far as it is understood."""
    if one is not None:
        show_one(terminal, one)
    elif terminal.as_json:
        terminal.emit({"job": name, "ended": True})
    else:
        terminal.say(
            f"job {name} has ended; a newer version of Insitu began it, which can show how it stands"
        )


def show_one(terminal: Terminal, one: "Standing") -> None:
    """Show a job, and how its numbers are spread."""
    from cli.job_report import rows_text, show

    if not terminal.as_json:
        state = f"{state_text(one)}, {one.done_share:.0%} of its rows done"
        pairs = [("job", one.name), ("state", state), ("reason", one.reason), ("rows", rows_text(one.spec))]
        terminal.fields(pairs)
    show(terminal, one, one.seconds, one.tally.rows)


COMMANDS = (
    Command(
        PREDICTIONS,
        jobs,
        (
            "insitu jobs",
            "insitu jobs nightly --watch",
            "insitu jobs nightly --cancel",
            "insitu jobs nightly --json",
        ),
        "0 shown, or cancelled; 1 no such job, or the one that was watched has failed or was cancelled",
    ),
)
