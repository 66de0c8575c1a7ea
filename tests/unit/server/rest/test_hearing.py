"""Work for a client ends with the client, and with nobody else's leave."""

import asyncio
import gc
from typing import Any

import pytest
from fastapi import Request
from starlette.requests import ClientDisconnect

from server.rest.hearing import heard
from server.rest.refusals import BodyTooLarge

LONG_SECONDS = 10.0


class Client:
    """A client that goes when it is told to."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.asked = 0

    async def receive(self) -> dict[str, Any]:
        self.asked += 1
        if self.asked == 1:
            return {"type": "http.request", "body": b""}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    @property
    def request(self) -> Request:
        return Request({"type": "http"}, self.receive)


async def late(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "answer"


@pytest.mark.parametrize("seconds", [0, 0.3])
async def test_the_answer_of_a_client_that_stays_is_returned(seconds: float) -> None:
    before = asyncio.all_tasks()

    assert await heard(Client().request, late(seconds)) == "answer"

    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("at_once", [True, False])
async def test_work_ends_when_the_client_goes(at_once: bool) -> None:
    client = Client()
    working = asyncio.create_task(late(LONG_SECONDS))
    asyncio.get_running_loop().call_later(0 if at_once else 0.2, client.gone.set)

    with pytest.raises(ClientDisconnect):
        await asyncio.wait_for(heard(client.request, working), LONG_SECONDS / 2)

    assert working.cancelled()


async def test_what_somebody_else_cancels_is_cancelled() -> None:
    asking = asyncio.create_task(heard(Client().request, late(LONG_SECONDS)))
    await asyncio.sleep(0.2)
    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_what_is_wrong_with_a_body_that_nobody_has_read_ends_the_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def receive() -> dict[str, Any]:
        raise BodyTooLarge(100)

    with pytest.raises(BodyTooLarge):
        await heard(Request({"type": "http"}, receive), late(LONG_SECONDS))

    gc.collect()
    assert not caplog.text


async def test_a_fault_of_hearing_that_comes_with_the_answer_is_no_matter(
    caplog: pytest.LogCaptureFixture,
) -> None:
    working = asyncio.get_running_loop().create_future()

    async def receive() -> dict[str, Any]:
        working.set_result("answer")
        await asyncio.sleep(0)
        raise BodyTooLarge(100)

    assert await heard(Request({"type": "http"}, receive), working) == "answer"
    await asyncio.sleep(0.01)
    gc.collect()
    assert not caplog.text


async def test_an_error_of_the_work_is_raised() -> None:
    async def fail() -> None:
        await asyncio.sleep(0.2)
        raise ValueError("mistaken")

    with pytest.raises(ValueError, match="mistaken"):
        await heard(Client().request, fail())
