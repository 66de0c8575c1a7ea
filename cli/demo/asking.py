"""The second half of the demo: the server, predictions over HTTP, and a batch."""

import json
import socket
import time
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from cli.client import ServerClient
from cli.demo.children import Child, resident_bytes
from cli.demo.measuring import measure
from cli.demo.tour import SCORED, Made, Tour
from cli.errors import StepFailed, WrongUsage
from cli.predicting import share_text
from cli.serving import server_settings
from cli.terminal import duration_text, size_text
from models.errors import InsituError
from server.settings import ServerSettings
from server.workers.listeners import DOORS

PORTS_TRIED = 50
LAST_PORT = 65_535
ANSWER_SHOWN = 220


class NoFreePort(InsituError):
    """No port to serve on."""

    code = "no_free_port"


def check_ahead(tour: Tour, asked: int | None) -> None:
    """Stop before any work on settings with which the later steps would fail.

    Raises: WrongUsage.
    """
    settings = wanted(tour, asked)
    if settings.tokens and not settings.allow_anonymous and tour.settings.token is None:
        raise WrongUsage(
            "INSITU_TOKENS is set, so the demo needs a token itself; put its text into INSITU_TOKEN"
        )


def wanted(tour: Tour, asked: int | None) -> ServerSettings:
    """Return the server's settings.

    Raises: WrongUsage.
    """
    given: dict[str, str | bool | None] = {"port": None if asked is None else str(asked)}
    return server_settings(tour.redis or "redis://to.be.known", given)


def start_server(tour: Tour, asked: int | None) -> Child:
    """Start the server as a process of its own; the caller ends it.

    Raises: NoFreePort, StepFailed.
    """
    story = tour.story
    story.step("Serve")
    settings = wanted(tour, asked)
    port = free_port(settings.host, settings.port)
    if port != settings.port and settings.port:
        story.result(f"port {settings.port} is taken, the next free one is {port}")
    began = time.monotonic()
    words = ("--port", str(port), *ports_beside(settings, port), "--log-level", "warning")
    child = Child("serve", *words, *tour.place, quiet=False)
    try:
        tour.url, others = listening(child)
    except BaseException:
        child.stop()
        raise
    memory = resident_bytes(child.process.pid)
    held = f", {size_text(memory)} of memory" if memory else ""
    tour.resp = others.get("resp", "")
    beside = "".join(f", {spoken} at {others[door]}" for door, spoken in DOORS.items() if door in others)
    story.result(f"ready at {tour.url}{beside}{held}", time.monotonic() - began)
    story.repeat_insitu(f"serve --port {port}{tour.shown_place}")
    return child


def free_port(host: str, wanted: int) -> int:
    """Return the wanted port, or the next that nobody listens on; 0 stays 0.

    Raises: NoFreePort.
    """
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            with socket.create_server((host, port), family=family):
                return wanted and port
        except OSError:
            continue
    raise NoFreePort(
        f"no port from {wanted} to {wanted + PORTS_TRIED - 1} is free on {host}; give another --port"
    )


def ports_beside(settings: ServerSettings, port: int) -> tuple[str, ...]:
    """Return the options for the ports beside HTTP's, where the settings name none: the next free ones after it.

    Raises: NoFreePort.
    """
    words: list[str] = []
    for door in settings.beside:
        if getattr(settings, f"{door}_port") is None:
            port = free_port(settings.host, port + 1) if 0 < port < LAST_PORT else 0
            words += (f"--{door}-port", str(port))
    return tuple(words)


def listening(child: Child) -> tuple[str, dict[str, str]]:
    """Return the address that the server tells once it answers, and the others by their doors.

    Raises: StepFailed, it ended instead.
    """
    for told in child.lines():
        return str(told["url"]), {door: str(told[door]) for door in DOORS if door in told}
    raise StepFailed("insitu serve", "it ended at once", 0)


def predict_all(tour: Tour) -> None:
    """Ask for one held-out row of each model, then for all of them.

    Raises: ServerUnreachable, ServerRefused.
    """
    story = tour.story
    settings = tour.settings.model_copy(update={"url": tour.url})
    with ServerClient.of(settings) as server:
        story.step("Predict over HTTP: the caller sends a key, the server reads the features from Redis")
        for made in tour.made.values():
            predict_one(tour, server, made)
        story.step("Measure the rows that were held out, through the server, by their keys")
        for made in tour.made.values():
            measure_one(tour, server, made)


def predict_one(tour: Tour, server: ServerClient, made: Made) -> None:
    """Show one prediction, what is true, and the curl that asks again."""
    key, truth = made.keys[0], made.targets[0]
    began = time.monotonic()
    answer = server.predict(made.name, {"keys": [key]})
    took = time.monotonic() - began
    tour.story.result(f"{key} is {truth}; {made.name} says {said(answer)}", took)
    bearer = ' -H "Authorization: Bearer $INSITU_TOKEN"' if tour.settings.token else ""
    tour.story.repeat(f"curl{bearer} '{tour.url}/v1/models/{made.name}/predict?key={key}'")
    tour.story.detail(shortened(json.dumps(answer, separators=(",", ":"))))


def ask_as_redis(tour: Tour) -> None:
    """Ask for the same row from a client of Redis, where the server speaks its protocol.

    Raises: StepFailed, it was not answered.
    """
    if not tour.resp:
        return
    made, (host, _, port) = tour.made[SCORED], tour.resp.rpartition(":")
    key, token = made.keys[0], tour.settings.token
    secret = None if token is None else token.get_secret_value()
    tour.story.step("The same from any client of Redis: the server passes on what is for Redis")
    began = time.monotonic()
    try:
        with Redis(host.strip("[]"), int(port), password=secret, protocol=3) as client:
            (row,) = client.execute_command("INSITU.PREDICT", made.name, key)
    except RedisError as error:
        raise StepFailed("INSITU.PREDICT", str(error), 1) from error
    if isinstance(row, RedisError):
        raise StepFailed("INSITU.PREDICT", str(row), 1)
    facts = {name.decode(): value for name, value in row.items()}
    probability = share_text(facts["probability"])
    tour.story.result(f"{key} is {facts['label'].decode()} ({probability})", time.monotonic() - began)
    bearer = ' --pass "$INSITU_TOKEN"' if token else ""
    tour.story.repeat(f"redis-cli -p {port}{bearer} INSITU.PREDICT {made.name} {key}")


def said(answer: dict[str, Any]) -> str:
    """Return the first row of an answer as a person would say it."""
    row = answer["predictions"][0]
    if "error" in row:
        return str(row["error"]["message"])
    return f"{row['label']} ({share_text(row['probabilities'][row['label']])})"


def shortened(text: str) -> str:
    """Return the beginning of an answer that is long."""
    return text if len(text) <= ANSWER_SHOWN else f"{text[:ANSWER_SHOWN]}..."


def measure_one(tour: Tour, server: ServerClient, made: Made) -> None:
    """Measure one model on its held-out rows."""
    began = time.monotonic()
    made.measured = found = measure(server, made.name, made.keys, made.targets)
    took = time.monotonic() - began
    tour.story.result(
        f"{made.name}: {found.right} of {found.rows} right, {found.accuracy:.1%}; "
        f"scikit-learn on the same rows {made.baseline:.1%}; one key takes {found.median_ms:.1f} ms",
        took,
    )
    tour.story.repeat_insitu(f"predict {made.name} {' '.join(made.keys[:3])} --url {tour.url}")


def score_all(tour: Tour) -> None:
    """Score every key of one data set as a batch.

    Raises: StepFailed.
    """
    story = tour.story
    story.step(f"Score every key of {SCORED} as a batch, straight from Redis to Redis")
    pattern, to = "patient:*", "score:{key}"
    began = time.monotonic()
    with Child("score", SCORED, "--match", pattern, "--to", to, *tour.place) as child:
        tour.scored = next(iter(list(child.lines())))
    labels = ", ".join(f"{count} {label}" for label, count in sorted(tour.scored["labels"].items()))
    rate = tour.scored["scored"] / max(tour.scored["seconds"], 1e-9)
    skipped = sum(tour.scored["skipped"].values())
    story.result(
        f"{tour.scored['scored']} rows scored ({labels}), {skipped} skipped, "
        f"in {duration_text(tour.scored['seconds'])}: {rate:,.0f} rows/s",
        time.monotonic() - began,
    )
    story.repeat_insitu(f"score {SCORED} --match '{pattern}' --to '{to}'{tour.shown_place}")
    story.repeat(tour.redis_cli(f"GET {to.replace('{key}', tour.made[SCORED].keys[0])}"))
