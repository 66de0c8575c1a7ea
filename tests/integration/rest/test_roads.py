"""One behaviour on two roads: a server with the protocol class of `app.http_config`, and plain uvicorn.

Every exchange is said to both; what comes back is the same to the byte, the Date aside.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from hashlib import sha256
from typing import Any

import pytest
from redis.asyncio import Redis
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from models.store import ModelStore
from server import app
from server.batch.places import check_fits
from server.rest.api import create_api
from server.rest.connection import last_answer
from server.rest.refusals import MalformedRequest
from server.settings import ServerSettings
from tests.integration.conftest import BuildEngine
from tests.integration.rest import stock
from tests.integration.rest.conftest import Listen
from tests.integration.rest.exchanges import (
    ANSWERED,
    BODY_LIMIT,
    CONNECTIONS,
    FIELDS,
    INFERRING,
    KEYED,
    LOCKED,
    OPEN,
    OWNER,
    PATH,
    PATHS,
    READER,
    Exchanges,
)
from tests.integration.rest.speaking import line, post
from tests.integration.rest.wired import Wire, wired

Two = tuple[Wire, Wire]
StartTwo = Callable[..., Awaitable[Two]]
CHANGING = re.compile(rb"date: [^\r]+")
GOOD = post(KEYED, path=PATH)
PATIENCE = 5.0  # seconds
HEALTH = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Plain(HttpToolsProtocol):
    """uvicorn's own, but for the words to bytes that are no HTTP."""

    def send_400_response(self, msg: str) -> None:  # uvicorn's own words
        self.transport.write(last_answer(MalformedRequest(), self))
        self.transport.close()


@pytest.fixture
async def two(redis_url: str, built: BuildEngine) -> AsyncIterator[StartTwo]:
    """A factory: our protocol class and uvicorn's own, over one application and one core."""
    async with AsyncExitStack() as stack:

        async def start(**said: Any) -> Two:
            settings = ServerSettings(redis_url=redis_url, max_body_bytes=BODY_LIMIT, **said)
            engine = built(settings)
            await engine.start()
            stack.push_async_callback(engine.stop)
            api = create_api(engine, app.access(settings), check_fits)
            ours, plain = app.http_config(api, settings), app.http_config(api, settings)
            plain.http = Plain
            return (
                await stack.enter_async_context(wired(ours)),
                await stack.enter_async_context(wired(plain)),
            )

        yield start


@pytest.fixture
def tokens() -> str:
    known = {"predict": READER, "admin": OWNER}
    return ",".join(f"{scope}:{sha256(token.encode()).hexdigest()}" for scope, token in known.items())


async def told(wire: Wire, said: bytes, count: int) -> list[bytes]:
    """Return the answers on one connection, so many at the most, and whether it ends with them."""
    async with line(wire.port) as one:
        await one.say(said)
        replies = await one.hear(count, PATIENCE)
        closing = bool(replies) and replies[-1].last
        rest = await (one.end(PATIENCE) if closing else one.silence(2))
    heard = [CHANGING.sub(b"", reply.raw) for reply in replies]
    return [*heard, CHANGING.sub(b"", rest), b"END" if one.ended else b"OPEN"]


def statuses(heard: Sequence[bytes]) -> tuple[int, ...]:
    """Return the statuses of what `told` returned."""
    return tuple(int(one[9:12]) for one in heard[:-2])


async def compared(two: Two, exchanges: Exchanges) -> dict[str, Any]:
    """Return where the two servers differ, or say something that they should not."""
    differing: dict[str, Any] = {}
    for name, exchange in exchanges.items():
        ours, plain = [await told(wire, exchange.said, len(exchange.statuses)) for wire in two]
        if ours != plain:
            differing[name] = ours, plain
        elif statuses(ours) != exchange.statuses:
            differing[name] = statuses(ours), exchange.statuses
    return differing


@pytest.mark.usefixtures("stocked")
async def test_both_roads_say_the_same_to_the_byte(two: StartTwo, redis: Redis, store: ModelStore) -> None:
    await stock.spoil(redis, store)
    servers = await two()

    assert await compared(servers, OPEN) == {}


async def test_both_roads_ask_for_tokens_in_the_same_words(two: StartTwo, tokens: str) -> None:
    servers = await two(tokens=tokens)

    assert await compared(servers, LOCKED) == {}


@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize(("before", "after"), [(1, 0), (0, 1), (2, 2)])
async def test_an_answer_is_the_same_wherever_it_stands_in_a_connection(
    listen: Listen, before: int, after: int
) -> None:
    ours = await listen(max_body_bytes=BODY_LIMIT)
    good, healthy = [(await told(ours, said, 1))[0] for said in (GOOD, HEALTH)]
    differing = {}

    for name, exchange in {**ANSWERED, **PATHS, **FIELDS, **CONNECTIONS, **INFERRING}.items():
        *alone, rest, end = await told(ours, exchange.said, len(exchange.statuses))
        if not exchange.statuses:
            continue
        follows = [healthy] * after if end == b"OPEN" else []
        expected = [good] * before + alone + follows
        heard = await told(ours, GOOD * before + exchange.said + HEALTH * after, len(expected))
        if heard != [*expected, rest, end]:
            differing[name] = heard, expected

    assert differing == {}
