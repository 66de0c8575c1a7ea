"""The process of one scoring job, as the server that hosts it starts it: behind predictions, on one thread."""

import asyncio
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import uvloop

from models.connecting import REPLY_SECONDS
from models.denials import of_every_write
from models.errors import BadRequest, InsituError, RedisRefused, RedisUnavailable
from models.job_errors import JobNotFound
from models.ledger import FAILED, Ledger, Standing
from server.batch.opening import Manner
from server.batch.scoring import JobEnded, Progress, TooManyErrors, process_name, score
from server.building import build_engine
from server.inference.ending import ended
from server.inference.engine import Engine
from server.logs import configure_logs
from server.settings import ServerSettings
from server.standing_back import stand_back

log = logging.getLogger(__name__)

END_SECONDS = 3.0  # after the server has died: then this process ends as it is
LATELY_SECONDS = 0.2  # several times as long as a server takes to tell
ORDERS, REPORTS = 0, 1  # descriptors of standard input and output
DONE, GONE = 0, 1


def main() -> None:
    """Work on the job that the last argument names, until it has ended or there is no server."""
    sys.exit(work(sys.argv[-1], sys.stdin.readline()))


def work(name: str, line: str) -> int:
    """Work on a job with the settings of a line, and return the status to end with."""
    if not line:
        return GONE  # the server is gone already
    stand_back()
    settings = alone(ServerSettings.model_validate(json.loads(line)))
    configure_logs(settings.log_level, settings.log_format)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(worked(name, settings))
    return DONE


def alone(settings: ServerSettings) -> ServerSettings:
    """Return the settings of a process with one thread for runs."""
    return settings.model_copy(
        update={"workers": 1, "threads": 1, "intra_op_threads": 1, "redis_busy_poll_us": 0}
    )


async def worked(name: str, settings: ServerSettings) -> None:
    """Work on a job until it has ended, or this process is told to end.

    Raises: ProviderUnavailable; RedisRefused, RedisUnavailable, it failed and that cannot be written.
    """
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    server = TheServer()
    threading.Thread(target=server.listen, daemon=True).start()
    began = time.monotonic()
    log.info("job %s: begins (pid %d)", name, os.getpid())
    engine = build_engine(settings, reply_seconds=REPLY_SECONDS)
    ledger = Ledger(engine.store.redis, engine.store.keys, name, process_name())
    try:
        outcome = await unless(told, outcome_of(engine, ledger, server.serves))
    finally:
        await engine.stop()
    log.info("job %s: %s, %.1f s", name, outcome, time.monotonic() - began)


async def unless(told: asyncio.Event, work: Coroutine[Any, Any, str]) -> str:
    """Return what comes of some work, or that this process was told to end before."""
    task, telling = asyncio.create_task(work), asyncio.create_task(told.wait())
    await asyncio.wait((task, telling), return_when=asyncio.FIRST_COMPLETED)
    await ended((task, telling))
    return "told to end; what is left waits in Redis" if task.cancelled() else task.result()


async def outcome_of(engine: Engine, ledger: Ledger, others: Callable[[], bool]) -> str:
    """Work on a job, and return what became of it; what nobody can mend ends it as failed.

    While `others` are served it gives way.

    Raises: RedisRefused, RedisUnavailable, as `worked`.
    """
    try:
        return told(await score(engine, ledger, report, Manner(gentle=True, others=others)))
    except RedisUnavailable as error:
        return f"waits in Redis: {error}"
    except (BadRequest, TooManyErrors) as error:
        return f"failed: {error}"  # noted by `score`
    except (JobEnded, JobNotFound) as error:
        return str(error)
    except InsituError as error:
        return f"waits in Redis: {error}" if for_now(error) else await failed(ledger, str(error))
    except Exception as error:
        log.exception("job %s", ledger.name)
        return await failed(ledger, f"{type(error).__name__}: {error}; the server's log says more")


def for_now(error: InsituError) -> bool:
    """Whether Redis takes no write for now, which whoever runs it can mend: the job goes on then."""
    return isinstance(error, RedisRefused) and of_every_write(str(error.details["reason"]))


async def failed(ledger: Ledger, reason: str) -> str:
    """End a job as failed, and return why."""
    await ledger.end(FAILED, reason)
    return f"failed: {reason}"


def told(standing: Standing) -> str:
    """Return how a job stands, in words."""
    return f"{standing.state}, {standing.tally.scored} rows scored"


def report(now: Progress) -> None:
    """Tell the server how many rows this process has looked at."""
    with suppress(OSError):  # the server has died: that is seen elsewhere
        os.write(REPORTS, json.dumps({"rows": now.rows}).encode() + b"\n")


class TheServer:
    """What the server of this process tells it."""

    def __init__(self) -> None:
        self._told = -LATELY_SECONDS

    def serves(self) -> bool:
        """Whether it was asked for predictions lately."""
        return time.monotonic() - self._told < LATELY_SECONDS

    def listen(self) -> None:
        """Hear what it tells; end this process as SIGTERM does once it has died: another works on the job then.

        The descriptor is read: a thread that waits in `sys.stdin` would abort a process that ends.
        """
        while os.read(ORDERS, 1):
            self._told = time.monotonic()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(END_SECONDS)
        os._exit(GONE)
