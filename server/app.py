"""Composition root of a server: opens the doors of an engine, hosts jobs beside it, closes them in reverse."""

import asyncio
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from fastapi import FastAPI

from models.connecting import without_password
from server.access import Access
from server.batch.hosting import Hosting
from server.batch.places import check_fits
from server.building import build_engine
from server.inference.engine import FIRST_SECONDS, Engine
from server.inference.memory import keep_memory
from server.resp.door import Door as RespDoor
from server.resp.reaching import Redis
from server.rest.api import create_api
from server.rest.connection import Ending
from server.rest.health import program_version
from server.rpc.door import Door as RpcDoor
from server.settings import ServerSettings
from server.workers.listeners import BACKLOG, Held, bound
from server.workers.listeners import place as where
from server.workers.opening import Door, Listening

log = logging.getLogger(__name__)

Started = Callable[[str, Mapping[str, str]], None]  # the URL, and the addresses of the doors beside it
NOTHING: Mapping[str, socket.socket] = {}
KEEP_ALIVE_SECONDS = 75
ACCEPT_SECONDS = 0.02
DRAIN_SECONDS = 0.1
KEPT_BYTES = 64 << 20  # of what large requests have freed: the next ones take as much again
GC_THRESHOLDS = (20_000, 10, 10)  # Python's 700 is reached with the requests of one moment


@dataclass(frozen=True, slots=True)
class Place:
    """What a server is given where it is one of several on its ports: the sockets of HTTP and of the doors beside it.

    `hosts` says whether scoring jobs are worked on from here: one of several does. Where it `follows` another that
    has its models loaded, it takes the place with them or not at all.

    Units: wait_seconds, how long the doors stay closed for the stored models.
    """

    listener: socket.socket | None = None
    beside: Mapping[str, socket.socket] = field(default_factory=dict)
    metrics: Path | None = None
    wait_seconds: float = FIRST_SECONDS
    hosts: bool = True
    follows: bool = False


ALONE = Place()


def settle_memory() -> None:
    """Leave what lives as long as the process out of every collection, and collect less often; keep what is freed.

    What a request makes is freed by itself: hardly anything of it refers back to itself.
    """
    keep_memory(KEPT_BYTES)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def quietly(_url: str, _beside: Mapping[str, str]) -> None:
    """Start without telling anybody."""


async def serve(settings: ServerSettings, started: Started = quietly, place: Place = ALONE) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP; `started` gets the addresses once requests are answered.

    Raises: OSError, the port is taken; ProviderUnavailable; BadName; RedisRefused; RedisUnavailable, a server that
            follows another cannot load its models.
    """
    begun = time.perf_counter()
    engine = build_engine(settings, place.metrics)
    hosting = Hosting(engine.store, settings, engine.metrics)
    listener = place.listener or listen(settings)
    held = Held(settings.host, settings.beside if place.listener is None else {})
    asked, doors = ending_signals(), dict[str, Door]()
    log.info("serving %s", without_password(settings.redis_url))
    try:
        await engine.start(place.wait_seconds)
        if place.follows and engine.fault is not None:
            raise engine.fault
        if place.hosts:
            hosting.start()
        await open_beside(settings, engine, held, doors, place.beside)
        api = create_api(engine, access(settings), check_fits)
        server = Server(
            http_config(api, settings),
            api.state.ending,
            lambda: started(address(settings, listener), {name: one.address for name, one in doors.items()}),
            lambda: leave(hosting, doors.values()),
        )
        settle_memory()
        log.info("answers on %s after %.2f s", address(settings, listener), time.perf_counter() - begun)
        server.should_exit = bool(asked)
        await server.serve([listener])
    finally:
        listener.close()
        for door in doors.values():
            await door.close()
        held.close()
        await hosting.stop()
        await engine.stop()
        log.info("stopped")


def leave(hosting: Hosting, doors: Iterable[Door]) -> None:
    """Begin to end what is open beside HTTP."""
    hosting.end()
    for door in doors:
        door.end()


async def open_beside(
    settings: ServerSettings,
    engine: Engine,
    held: Held,
    doors: dict[str, Door],
    given: Mapping[str, socket.socket] = NOTHING,
) -> None:
    """Open the doors beside HTTP, on the ports that are held here, or `given` sockets that listen already.

    They are put in `doors` as they open: where one cannot be, the others are still to be closed.

    Raises: OSError, the certificate cannot be read, or a port cannot be listened on.
    """
    for name, port in (settings.beside | held.ports).items():
        listening = Listening(
            settings.host,
            port,
            settings.shutdown_seconds,
            settings.tls_cert,
            settings.tls_key,
            given.get(name),
        )
        if name == "grpc":
            most = settings.max_grpc_message_bytes
            doors[name] = await RpcDoor.open(engine, access(settings), listening, most, program_version())
        else:
            redis = Redis(settings.redis_url, settings.redis_timeout_ms / 1000)
            doors[name] = await RespDoor.open(engine, access(settings), listening, redis)


def access(settings: ServerSettings) -> Access:
    """Return who may ask."""
    return Access.of(settings.tokens, host=settings.host, allow_anonymous=settings.allow_anonymous)


def listen(settings: ServerSettings) -> socket.socket:
    """Return the listening socket: bound before models are loaded, so that a taken port is told first."""
    listener = bound(settings.host, settings.port)
    listener.listen(BACKLOG)
    return listener


def address(settings: ServerSettings, listener: socket.socket) -> str:
    """Return the URL the server answers at."""
    scheme = "https" if settings.tls_cert else "http"
    return f"{scheme}://{where(settings.host, listener.getsockname()[1])}"


def http_config(api: FastAPI, settings: ServerSettings) -> uvicorn.Config:
    """Return uvicorn's configuration: our own logs, a bound on the time requests get to end."""
    protocol: Any = api.state.protocol
    return uvicorn.Config(
        api,
        http=protocol,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )


def ending_signals() -> list[int]:
    """Take SIGTERM and SIGINT from here on, and return where they are noted.

    uvicorn raises the signal again when it is done, so that the process dies of it; with these
    handlers it ends with status 0 instead, as PID 1 in a container too. A signal that comes before
    the doors are open is not lost either. SIGHUP, of a closed terminal, counts as SIGTERM, unless
    somebody has another use for it.
    """
    noted: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: noted.append(number))
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    return noted


class Server(uvicorn.Server):
    """uvicorn, with a word when it answers and when it ends, and nothing left unread then."""

    def __init__(
        self,
        config: uvicorn.Config,
        ending: Ending,
        started: Callable[[], None],
        leaving: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._leaving = leaving
        self._ending = ending
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then say so."""
        await super().startup(sockets)
        if self.started:
            self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept what waits, take no more connections, read what had been sent on those there are, and end.

        Closing at once would reset connections whose request lies unread in a buffer, and so would
        accepting to the last. The last answer of a connection says from here on that it ends, so that
        clients leave before it does.
        """
        self._ending.begun = True
        self._leaving()
        await asyncio.sleep(ACCEPT_SECONDS)
        for one in self.servers:
            one.close()
        await asyncio.sleep(DRAIN_SECONDS)
        await super().shutdown(sockets)


def run(settings: ServerSettings, started: Started = quietly, place: Place = ALONE) -> None:
    """Serve in this process, on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, started, place))
