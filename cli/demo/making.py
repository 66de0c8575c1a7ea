"""The first half of the demo: a Redis, and three models trained into it."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cli.demo.children import Child
from cli.demo.story import Story
from cli.demo.tour import NETWORKS, Made, Tour
from cli.errors import StepFailed
from cli.progress import Work
from cli.serving import redis_for
from cli.terminal import duration_text, size_text


def start_redis(tour: Tour, running: ExitStack) -> None:
    """Start the embedded Redis, or take the one that is named; it is stopped with `running` if we started it.

    Raises: EmbeddedRedisFailed, RedisUnreachable.
    """
    from cli.checks.reaching import described

    story = tour.story
    story.step("Redis")
    began = time.monotonic()
    tour.redis, shown = redis_for(tour.settings, running)
    what = described(tour.redis)
    named = tour.settings.redis_url is not None
    tour.reached = reaching(tour.redis) if named else f"-p {shown.rpartition(':')[2]}"
    kind = "the one of INSITU_REDIS_URL" if named else "embedded, its data stay in " + directory_text(tour)
    story.result(f"{what} at {shown}: {kind}", time.monotonic() - began)
    story.repeat(tour.redis_cli("PING"))


def reaching(url: str) -> str:
    """Return the options with which redis-cli reaches the Redis of INSITU_REDIS_URL, without its password."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"-s {parts.path}"
    if "+cluster" not in parts.scheme:
        return '-u "$INSITU_REDIS_URL"'
    if "," in parts.netloc.rpartition("@")[2]:  # of which redis-cli takes one
        return """-c -u "$(sed 's/+cluster//; s/,[^/?]*//' <<< "$INSITU_REDIS_URL")\""""
    return '-c -u "${INSITU_REDIS_URL/+cluster/}"'


def directory_text(tour: Tour) -> str:
    """Return where the embedded Redis keeps its data."""
    from cli.embedded import default_directory

    directory = tour.settings.data_dir or default_directory()
    return (
        f"~/{directory.relative_to(Path.home())}" if directory.is_relative_to(Path.home()) else str(directory)
    )


def train_all(tour: Tour) -> None:
    """Load the data sets into keys, train and publish, in one process that imports PyTorch once.

    Raises: StepFailed.
    """
    tour.story.step("Put real data into Redis keys, train on them, export to ONNX, publish in Redis")
    watch = Watch(tour)
    with Child("train", *NETWORKS, "--load", *tour.place) as child, watch:
        for told in child.lines():
            watch.hear(told)
    absent = [name for name in NETWORKS if name not in tour.made]
    if absent:
        raise StepFailed("insitu train", f"it made no {', '.join(absent)}", 1)


class Watch:
    """Listens to the training process: a bar while a stage lasts, a line when it is over."""

    def __init__(self, tour: Tour) -> None:
        self._tour = tour
        self._story: Story = tour.story
        self._work: Work | None = None
        self._told_of = ""

    def __enter__(self) -> "Watch":
        self._begin("starting PyTorch", None)
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _begin(self, title: str, total: int | None) -> None:
        self._end()
        self._work = Work(self._story.terminal, f"   {title}", total)
        self._work.__enter__()

    def _end(self) -> None:
        if self._work is not None:
            self._work.__exit__(None, None, None)
            self._work = None

    def hear(self, told: dict[str, Any]) -> None:
        """Take in one line of the process."""
        event, name = told["event"], told["model"]
        if name != self._told_of:
            self._told_of = name
            self._end()  # the bar stands on the line where this goes
            self._story.result(f"{name}, {NETWORKS[name]}")
        if event == "stage_began":
            self._begin(f"{name}: {told['stage']}", told["total"])
        elif event == "stage_ended":
            self._end()
            self._story.detail(f"{told['stage']:<9}{duration_text(told['seconds']):>7}  {told['result']}")
        elif event == "done":
            self._done(name, told)
        elif self._work is not None:
            self._advance(self._work, told)

    def _advance(self, work: Work, told: dict[str, Any]) -> None:
        if told["event"] == "stage_advanced":
            work.update(told["done"], told["total"])
        elif told["event"] == "epoch_ended":
            work.update(told["epoch"], told["epochs"], f"loss {told['train_loss']:.3f}")

    def _done(self, name: str, facts: dict[str, Any]) -> None:
        self._tour.made[name] = Made(name, facts)
        size = size_text(facts["size_bytes"])
        told = f"version {facts['version']}, production, {size}; verdict: {facts['verdict']}"
        self._story.detail(f"{'publish':<9}{'':>7}  {told}")
        self._story.repeat_insitu(f"train {name} --load{self._tour.shown_place}")
