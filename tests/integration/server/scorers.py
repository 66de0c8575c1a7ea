"""Processes of their own that work on the job named `job`."""

import asyncio
import sys

PROCESS = """
import asyncio, sys
from server.building import build_engine
from server.batch import walking
from server.batch.scoring import process_name, score
from server.settings import ServerSettings
from models.ledger import Ledger

walking.PART_ROWS = 50

async def main():
    engine = build_engine(ServerSettings(redis_url=sys.argv[1]))
    job = Ledger(engine.store.redis, engine.store.keys, "job", process_name())
    try:
        await score(engine, job, lambda now: print(now.rows, flush=True))
    finally:
        await engine.stop()

asyncio.run(main())
"""


async def working(url: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROCESS, url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def scoring(process: asyncio.subprocess.Process) -> None:
    """Wait until a process has scored rows."""
    assert process.stdout is not None
    assert process.stderr is not None
    rows = b"0"
    while not int(rows):
        rows = await process.stdout.readline()
        if not rows:
            raise AssertionError(
                f"it ended before it scored a row:\n{(await process.stderr.read()).decode()}"
            )
