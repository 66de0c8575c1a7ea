"""ModelStreamInfer: requests of one stream are answered beside each other, in their order; an error is a message.

reading   takes requests as they come, as many at once as a stream may have under way
writing   sends each answer when those before it have been sent
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from models.errors import InsituError
from server.access import Access
from server.inference.ending import ended
from server.inference.errors import Stopping
from server.rpc.beside import beside
from server.rpc.calls import Calls
from server.rpc.errors import message_of, refuse
from server.rpc.guarding import check
from server.rpc.messages import message
from server.rpc.replies import streamed

FIRST_SECONDS = 0.5
UNDER_WAY = 64  # requests of one stream; more wait in the connection
Answers = asyncio.Queue["asyncio.Task[bytes] | None"]
FINAL_ASKED, FINAL = "triton_enable_empty_final_response", "triton_final_response"


class Streams:
    """Answers the streams of one door."""

    def __init__(self, calls: Calls, access: Access) -> None:
        self._calls = calls
        self._access = access
        self._reading: set[asyncio.Task[None]] = set()
        self._ended = False

    def end(self) -> None:
        """Take no more requests: each stream ends when what it has asked for is answered."""
        self._ended = True
        for one in self._reading:
            one.cancel()

    async def infer(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """Answer the requests of one stream."""
        try:
            check(self._access, "predict", context.invocation_metadata())
        except InsituError as error:
            await first(requests)
            await refuse(context, error)
        answers: Answers = asyncio.Queue()
        room = asyncio.Semaphore(UNDER_WAY)
        reading = asyncio.create_task(self._read(requests, context, answers, room))
        self._reading.add(reading)
        reading.add_done_callback(self._reading.discard)
        try:
            while (answer := await answers.get()) is not None:
                yield await answer
                room.release()
            if self._ended:
                await refuse(context, Stopping())
            await reading  # what kept it from reading on ends the call
        finally:
            await ended([reading])
            await ended(left(answers))

    async def _read(
        self, requests: AsyncIterator[bytes], context: Any, answers: Answers, room: asyncio.Semaphore
    ) -> None:
        """Begin to answer requests as they come, no more of them than may be under way."""
        try:
            async for data in requests:
                await room.acquire()
                answers.put_nowait(asyncio.create_task(self._answer(data, context.time_remaining())))
        finally:
            answers.put_nowait(None)

    async def _answer(self, data: bytes, seconds_left: float | None) -> bytes:
        """Return the message that answers one request."""
        response = message("ModelStreamInferResponse")()
        try:
            asked = await self._calls.message(data)
            response.infer_response.id = asked.id
            request = await self._calls.request(asked, seconds_left, len(data))
            answer = await self._calls.answer(request)
            if request.parameters.get(FINAL_ASKED) is True:
                answer.parameters = {**answer.parameters, FINAL: True}
            return await beside(answer.nbytes, streamed, answer)
        except Exception as error:  # noqa: BLE001  # whatever it is, who asked must hear of it
            response.error_message = message_of(error)
        return bytes(response.SerializeToString())


async def first(requests: AsyncIterator[bytes]) -> None:
    """Wait a moment for the first request: grpc's client fails at sending one where the call has ended before."""
    with suppress(TimeoutError):
        async with asyncio.timeout(FIRST_SECONDS):
            async for _ in requests:
                return


def left(answers: Answers) -> list[asyncio.Task[bytes]]:
    """Return the answers that nobody waits for any more."""
    found = []
    while not answers.empty():
        one = answers.get_nowait()
        if one is not None:
            found.append(one)
    return found
