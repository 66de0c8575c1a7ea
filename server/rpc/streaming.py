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
from server.rpc.exchange import untaken
from server.rpc.guarding import check
from server.rpc.http2.holding import Holding
from server.rpc.messages import message
from server.rpc.replies import streamed
from server.rpc.wire import Refused

FIRST_SECONDS = 0.5
AHEAD_BYTES = 4 << 20  # of answers of one stream that are made and not sent yet; no more are begun then
SHORT_BYTES = 1 << 12  # of an answer that finds room in any case
UNDER_WAY = 64  # requests of one stream; more wait in the connection
Answers = asyncio.Queue["asyncio.Task[bytes] | None"]
FINAL_ASKED, FINAL = "triton_enable_empty_final_response", "triton_final_response"


class Streams:
    """Answers the streams of one door."""

    def __init__(self, calls: Calls, access: Access) -> None:
        self._calls = calls
        self._access = access
        self._reading: dict[asyncio.Task[None], Any] = {}  # and the contexts of their calls
        self._leaving: set[asyncio.Task[None]] = set()
        self._ended = False

    def end(self) -> None:
        """Take no more requests than have come: each stream ends when what it has asked for is answered.

        Of one whose client may still ask that is what was begun, of the others all.
        """
        self._ended = True
        for reading, context in self._reading.items():
            if not context.whole():
                reading.cancel()

    async def left(self) -> None:
        """Wait until nothing is at work for streams that have ended."""
        while self._leaving:
            await asyncio.wait(self._leaving)

    async def infer(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """Answer the requests of one stream."""
        try:
            check(self._access, "predict", context.invocation_metadata())
        except InsituError as error:
            await first(requests)
            await refuse(context, error)
        answers: Answers = asyncio.Queue()
        ahead = Ahead(context.answers)
        room = asyncio.Semaphore(UNDER_WAY)
        reading = asyncio.create_task(self._read(requests, context, answers, room, ahead))
        self._reading[reading] = context
        reading.add_done_callback(self._reading.pop)
        reading.add_done_callback(lambda _: answers.put_nowait(None))  # also where it never got to begin
        if self._ended and not context.whole():
            reading.cancel()
        try:
            while (answer := await answers.get()) is not None:
                data = await answer
                ahead.leave(len(data))
                yield data
                room.release()
            if reading.cancelled():
                await refuse(context, Stopping())
            await reading  # what kept it from reading on ends the call
        finally:
            leaving = asyncio.create_task(self._left(reading, answers, ahead))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
            await asyncio.shield(
                leaving
            )  # a stream is cancelled twice where its time ends as its client leaves

    async def _left(self, reading: "asyncio.Task[None]", answers: Answers, ahead: "Ahead") -> None:
        """Give up what a stream has asked for, and count its answers no longer."""
        await ended([reading])
        await ended(left(answers))
        ahead.leave(ahead.taken)

    async def _read(
        self,
        requests: AsyncIterator[bytes],
        context: Any,
        answers: Answers,
        room: asyncio.Semaphore,
        ahead: "Ahead",
    ) -> None:
        """Begin to answer requests as they come, no more of them than may be under way."""
        async for data in requests:
            await room.acquire()
            await ahead.few.wait()
            answers.put_nowait(asyncio.create_task(self._made(data, context.time_remaining(), ahead)))

    async def _made(self, data: bytes, seconds_left: float | None, ahead: "Ahead") -> bytes:
        """Return the message that answers one request, and take note that it waits to be sent."""
        answer = await self._answer(data, seconds_left, ahead)
        ahead.take(len(answer))
        return answer

    async def _answer(self, data: bytes, seconds_left: float | None, ahead: "Ahead") -> bytes:
        """Return the message that answers one request."""
        response = message("ModelStreamInferResponse")()
        try:
            asked = await self._calls.message(data)
            response.infer_response.id = asked.id
            ahead.check()
            request = await self._calls.request(asked, seconds_left, len(data))
            answer = await self._calls.answer(request)
            if request.parameters.get(FINAL_ASKED) is True:
                answer.parameters = {**answer.parameters, FINAL: True}
            ahead.check(answer.nbytes)
            return await beside(answer.nbytes, streamed, answer)
        except Refused as refused:
            response.error_message = refused.message
        except Exception as error:  # noqa: BLE001  # whatever it is, who asked must hear of it
            response.error_message = message_of(error)
        return bytes(response.SerializeToString())


class Ahead(Holding):
    """Answers of one stream that are made and not sent yet."""

    __slots__ = ("few",)

    def __init__(self, all_: Holding) -> None:
        super().__init__(all_.most, all_)
        self.few = asyncio.Event()
        self.few.set()

    def check(self, size: int = AHEAD_BYTES) -> None:
        """Refuse an answer of so many bytes where it finds no room.

        Raises: Refused.
        """
        if self.full and size > SHORT_BYTES:
            raise untaken()

    def take(self, size: int) -> None:
        """Take note of so many bytes more; where they are many, no more are made until some are sent."""
        super().take(size)
        if self.taken > AHEAD_BYTES:
            self.few.clear()
        else:
            self.few.set()


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
