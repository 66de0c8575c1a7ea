"""The demo from its first step to its last, and how it stops."""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import StepFailed
from cli.manual import START, Command
from cli.options import AsJson, DataDir
from cli.settings import read_settings
from cli.signals import deaf, unwind_on_signals
from cli.terminal import Terminal

if TYPE_CHECKING:
    from cli.demo.children import Child
    from cli.demo.tour import Tour


def demo(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Stop everything at the end instead of going on serving.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            metavar="PORT",
            min=0,
            max=65535,
            help="Port of the server; without it INSITU_PORT, or 8000. The next free one if it is taken; 0 takes any.",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Train three networks on real data in Redis, serve them, predict from keys."""
    from cli.demo import asking
    from cli.demo.story import Story
    from cli.demo.tour import Tour

    settings = read_settings(data_dir=data_dir)
    directory = settings.data_dir and settings.data_dir.resolve()
    tour = Tour(Story(Terminal(as_json=as_json)), settings.model_copy(update={"data_dir": directory}))
    asking.check_ahead(tour, port)
    unwind_on_signals()
    try:
        tell(tour, port, once=once)
    except (KeyboardInterrupt, SystemExit):
        tour.story.terminal.note("Stopped.", "quiet")
        raise
    tour.story.terminal.note("Stopped.", "quiet")


def tell(tour: "Tour", port: int | None, *, once: bool) -> None:
    """Go through the steps; what was started is stopped, whatever happens.

    Raises: StepFailed; what the steps raise.
    """
    from cli.demo import asking, making
    from cli.demo.report import report

    with ExitStack() as running:
        try:
            making.start_redis(tour, running)
            making.train_all(tour)
            server = running.enter_context(asking.start_server(tour, port))
            asking.predict_all(tour)
            asking.ask_as_redis(tour)
            asking.score_all(tour)
            report(tour)
            if not once:
                go_on(tour, server)
        finally:
            deaf()  # what was started is stopped in order, however often Ctrl-C is pressed


def go_on(tour: "Tour", server: "Child") -> None:
    """Serve in the foreground until Ctrl-C or SIGTERM.

    Raises: StepFailed, the server ended by itself.
    """
    terminal = tour.story.terminal
    terminal.say(f"\nServing at {tour.url} until Ctrl-C: API {tour.url}/docs", "strong")
    try:
        for _ in server.lines():
            pass
    except (KeyboardInterrupt, SystemExit):
        terminal.note("Stopping.", "quiet")
        return
    raise StepFailed("insitu serve", "it ended by itself", 1)


COMMANDS = (
    Command(
        START,
        demo,
        ("insitu demo", "insitu demo --once", "insitu demo --port 9000 --data-dir ./data"),
        "0 every step worked, and Ctrl-C or SIGTERM stopped it then; 1 a step failed",
    ),
)
