"""Reading: Insitu's own read and run of many keys, block by block, the answers kept as columns and written nowhere.

python -m benchmarks.bulk.reading URL MODEL KIND COUNT     MODEL is a name
"""

import asyncio
import json
import sys
import time

import uvloop

from benchmarks.bulk.rows import keys
from server.batch.opening import settle_in
from server.building import build_engine
from server.inference.columns import columns_of
from server.settings import ServerSettings

AT_ONCE = 3  # blocks under way, as in `insitu score`


async def score(url: str, model: str, kind: str, count: int) -> float:
    """Read and run the keys, and return the seconds it took."""
    engine = build_engine(ServerSettings(redis_url=url))
    try:
        serving = await engine.catalogue.get(model)
        settle_in(serving)  # as every process of a job does
        every = keys(kind, count)
        size = engine.blocks.rows(serving)
        blocks = iter([every[at : at + size] for at in range(0, count, size)])
        answered = 0

        async def work() -> None:
            nonlocal answered
            for block in blocks:
                found = await engine.blocks.read_and_run(serving, block)
                if found.odd or columns_of(found.rows) is None:
                    raise RuntimeError(f"{len(found.odd)} rows of a block are odd")
                answered += len(found.rows)

        await engine.blocks.read_and_run(serving, every[:size])
        started = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        seconds = time.perf_counter() - started
    finally:
        await engine.stop()
    if answered != count:
        raise RuntimeError(f"{answered} of {count} rows were answered")
    return seconds


def main() -> None:
    """Score, and write rows and seconds as JSON."""
    url, model, kind, count = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        seconds = runner.run(score(url, model, kind, int(count)))
    sys.stdout.write(json.dumps({"rows": int(count), "seconds": seconds}) + "\n")


if __name__ == "__main__":
    main()
