"""The time that a command gives itself."""

import asyncio
import time

import pytest

from server.inference.errors import DeadlineExceeded
from server.resp.commands.lookups import Limit, in_time


def test_a_command_without_a_timeout_has_no_limit() -> None:
    assert Limit.of(0) is None


def test_a_limit_is_over_when_its_time_is() -> None:
    short, long = Limit.of(2), Limit.of(60_000)
    assert short is not None
    assert long is not None

    time.sleep(0.003)

    assert (short.over, long.over) == (True, False)


async def test_what_takes_longer_than_the_limit_is_given_up() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(DeadlineExceeded, match="not answered within"):
        await in_time(Limit.of(10), work())

    assert ended.is_set()


async def test_what_is_done_in_time_is_returned() -> None:
    assert await in_time(Limit.of(60_000), asyncio.sleep(0, "done")) == "done"
    assert await in_time(None, asyncio.sleep(0, "done")) == "done"
