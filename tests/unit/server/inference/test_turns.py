"""Work takes turns; what takes long gives its turn on, up to a bound."""

import asyncio

from server.inference.turns import Turns


async def under_way(turns: Turns, works: int, seconds: float) -> int:
    """How many of some works that never end by themselves are under way after a while."""
    begun = 0

    async def work() -> None:
        nonlocal begun
        async with turns.taken():
            begun += 1
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(work()) for _ in range(works)]
    await asyncio.sleep(seconds)
    found = begun
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return found


async def test_no_more_than_so_many_work_at_once() -> None:
    assert await under_way(Turns(2, 4, 60), works=5, seconds=0.05) == 2


async def test_what_takes_long_holds_up_no_other_up_to_a_bound() -> None:
    assert await under_way(Turns(2, 3, 0.01), works=9, seconds=0.3) == 5


async def test_a_turn_comes_back_when_work_ends() -> None:
    turns = Turns(1, 0, 60)

    for _ in range(3):
        async with asyncio.timeout(1), turns.taken():
            pass


async def test_a_place_beside_comes_back_when_work_ends() -> None:
    turns = Turns(1, 1, 0.01)
    await under_way(turns, works=4, seconds=0.2)

    assert await under_way(turns, works=4, seconds=0.2) == 2
