"""The loop stays awake for a client that asks again at once, for a moment, and for nobody else."""

import asyncio
import time

import pytest

from server.rest.vigil import Vigil

AWAKE_SECONDS = 0.2


async def busy_seconds(seconds: float) -> float:
    """How long the processor worked for us while nothing was to be done."""
    began = time.process_time()
    await asyncio.sleep(seconds)
    return time.process_time() - began


@pytest.mark.alone  # the processor's time is measured
async def test_who_asks_again_at_once_is_awaited_awake_for_a_moment() -> None:
    vigil = Vigil(AWAKE_SECONDS)
    for _ in range(2):
        vigil.asked()
        vigil.answered()

    assert await busy_seconds(AWAKE_SECONDS) > AWAKE_SECONDS / 4  # the rest may be others'
    assert await busy_seconds(AWAKE_SECONDS) < AWAKE_SECONDS / 4


async def test_the_first_request_and_one_after_a_pause_are_answered_and_slept_over() -> None:
    vigil = Vigil(AWAKE_SECONDS)
    vigil.asked()
    vigil.answered()
    assert await busy_seconds(1.5 * AWAKE_SECONDS) < AWAKE_SECONDS / 4

    vigil.asked()
    vigil.answered()
    assert await busy_seconds(AWAKE_SECONDS) < AWAKE_SECONDS / 4


async def test_nothing_is_awaited_awake_where_that_is_switched_off() -> None:
    vigil = Vigil(0.0)
    for _ in range(2):
        vigil.asked()
        vigil.answered()

    assert await busy_seconds(AWAKE_SECONDS) < AWAKE_SECONDS / 4
