"""A Ray to work with: one that runs, or one that is started here and ended; it knows no jobs."""

import asyncio
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.data import DataContext
from ray.exceptions import RayError

from models.errors import REASON_CHARACTERS, InsituError, shown

LOCAL = "local"  # the address of a Ray that is started here and ended with the job
AUTO = "auto"  # the Ray that runs on this machine
ANSWER_SECONDS = 5.0
STORE_BYTES = 200 << 20  # of its object store: parts that wait for a scorer
# What workers on other machines are started with; those of a Ray that is started here inherit it.
WORKERS = {"env_vars": {"ORT_DISABLE_TELEMETRY": "1"}}
STANDARD_ERROR = 2  # its descriptor


class RayUnreachable(InsituError):
    """There is no Ray to work with."""

    code = "ray_unreachable"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the job is done; `cpus` of a Ray that is started here, each of its scorers takes one."""

    address: str = LOCAL
    cpus: int | None = None


@asynccontextmanager
async def connected(cluster: Cluster) -> AsyncIterator[None]:
    """Connect to Ray, in a thread: it keeps its hands off signals there.

    Raises: RayUnreachable.
    """
    folder = Path(tempfile.mkdtemp(prefix="insitu-ray-")) if cluster.address == LOCAL else None
    quiet()
    try:
        await asyncio.to_thread(connect, cluster, folder)
        yield
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def connect(cluster: Cluster, folder: Path | None) -> None:
    """Start Ray in a folder, or connect to one that runs.

    Raises: RayUnreachable.
    """
    own: dict[str, Any] = {"num_cpus": cluster.cpus, "object_store_memory": STORE_BYTES}
    own |= {"include_dashboard": False, "_temp_dir": str(folder)}
    chosen = {"runtime_env": WORKERS} if folder is None else own
    try:
        answers(cluster.address)
        with unheard():
            ray.init(cluster.address, log_to_driver=False, configure_logging=False, **chosen)
    except (OSError, RayError, RuntimeError, ValueError) as error:
        raise RayUnreachable(
            f"no Ray at {shown(cluster.address)!r} ({shown(error, REASON_CHARACTERS)}); name HOST:PORT of a "
            "cluster that this machine belongs to (`ray start`), auto or local"
        ) from error


def answers(address: str) -> None:
    """See whether anybody listens at HOST:PORT: Ray itself asks for minutes.

    Raises: OSError; ValueError, it is no address.
    """
    if address not in (LOCAL, AUTO):
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), ANSWER_SECONDS).close()


@contextmanager
def unheard() -> Iterator[None]:
    """Drop what Ray's compiled part says on standard error: it asks no logger."""
    kept = os.dup(STANDARD_ERROR)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, STANDARD_ERROR)
        yield
    finally:
        os.dup2(kept, STANDARD_ERROR)
        os.close(kept)
        os.close(nowhere)


def quiet() -> None:
    """Have Ray say nothing but errors, and draw nothing: what is shown is shown by whoever watches."""
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = 1  # byte: a block goes on as soon as it has a row, which is several parts


def machines() -> int:
    """Return how many machines the cluster has."""
    return len({node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]})
