"""What one connection may do to a server, and a server to it, whatever road its requests take."""

import asyncio
from typing import Any

import httpx
import pytest

from server.rest.departures import ASKS_MOST
from tests.integration.rest.conftest import Listen
from tests.integration.rest.speaking import head, line, post
from tests.integration.rest.wired import Wire

PATH = "/v1/models/churn/predict"
PLAIN = post(b'{"keys": ["customer:1"]}', path=PATH)
ODD = post(b'{"keys": ["customer:1"]}', "Expect: nothing", path=PATH)
REFUSED = post(b"{", path=PATH)
HEALTH = head("GET /health/live HTTP/1.1", "Host: 127.0.0.1")
LARGE = head("GET /openapi.json HTTP/1.1", "Host: 127.0.0.1")
HTTP2 = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAB")
INTERIM = 100  # the status of what is said to a client that waits for long
MORE_THAN_ENOUGH = 24 << 20  # bytes: what the two ends of a socket hold, and a lot more

pytestmark = pytest.mark.usefixtures("stocked")


class Counted:
    """An application that counts what reaches it."""

    def __init__(self, wire: Wire) -> None:
        self.config = wire.server.config
        self.app = self.config.loaded_app
        self.requests = 0
        self.config.loaded_app = self

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.requests += 1
        await self.app(scope, receive, send)


async def test_plain_predictions_never_reach_the_application(listen: Listen) -> None:
    wire = await listen()
    counted = Counted(wire)

    async with line(wire.port) as one:
        await one.say(PLAIN * 100 + REFUSED)
        assert len(await one.hear(101)) == 101
        assert counted.requests == 0
        await one.say(ODD + HEALTH)
        assert len(await one.hear(2)) == 2
    assert counted.requests == 2


@pytest.mark.parametrize(
    "path",
    [
        "/", "/docs", "/openapi.json", "/console/console.js", "/health/live", "/metrics",
        "/v1/models", "/v1/models/nope", "/v1/models/churn/predict?key=customer:1", "/v2/health/ready", "/nowhere",
    ],
)  # fmt: skip
async def test_head_is_answered_as_get_without_the_body(listen: Listen, path: str) -> None:
    wire = await listen()
    url = f"http://127.0.0.1:{wire.port}{path}"

    async with httpx.AsyncClient() as client:
        there, known = await client.get(url), await client.head(url)

    assert (known.status_code, known.content) == (there.status_code, b"")
    assert known.headers["content-type"] == there.headers["content-type"]
    assert int(known.headers["content-length"]) > 0


async def test_head_of_events_does_not_wait_for_them(listen: Listen) -> None:
    wire = await listen()
    url = f"http://127.0.0.1:{wire.port}"

    async with httpx.AsyncClient() as client:
        made = await client.post(f"{url}/v1/models/churn/jobs", json={"job": "long"})
        known = await client.head(f"{url}/v1/jobs/long/events")

    assert (made.status_code, known.status_code, known.content) == (201, 200, b"")
    assert known.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("offer", [HTTP2, ("Connection: upgrade", "upgrade: websocket")])
async def test_an_offer_of_another_protocol_is_not_taken_up(listen: Listen, offer: tuple[str, ...]) -> None:
    wire = await listen()

    async with line(wire.port) as one:
        await one.say(post(b'{"keys": ["customer:1"]}', *offer, path=PATH) + HEALTH)

        assert [reply.status for reply in await one.hear(2)] == [200, 200]


@pytest.mark.parametrize("cut", [b"Upgrade: h2c", b"ade: h2c", b"HTTP2-Settings: A", b"{"])
async def test_an_offer_takes_no_body_away_however_it_comes(listen: Listen, cut: bytes) -> None:
    wire = await listen()
    first, middle, last = post(b'{"keys": ["customer:1"]}', *HTTP2, path=PATH).partition(cut)

    async with line(wire.port) as one:
        await one.say(first, middle + last, pause=0.02)
        await one.say(HEALTH + first + middle + last + first + middle + last + HEALTH)

        assert [reply.status for reply in await one.hear(5)] == [200] * 5


@pytest.mark.parametrize(
    "header", ["X-Request-Timeout-Ms:  500 ", "Content-Encoding: identity\t", "Origin: http://127.0.0.1 "]
)
async def test_spaces_around_the_value_of_a_header_say_nothing(listen: Listen, header: str) -> None:
    wire = await listen()

    async with line(wire.port) as one:
        await one.say(post(b'{"keys": ["customer:1"]}', header, path=PATH))

        assert [reply.status for reply in await one.hear()] == [200]


async def test_a_head_without_an_end_is_refused(listen: Listen) -> None:
    wire = await listen()

    async with line(wire.port) as one:
        await one.say(PLAIN + HEALTH + PLAIN.split(b"Host")[0])
        for number in range(64):
            await one.say(b"X-%d: " % number + b"a" * 8192 + b"\r\n", pause=0)
            await asyncio.sleep(0.001)
        *good, last = await one.hear(4)

        assert [reply.status for reply in good] == [200, 200]
        assert (last.status, last.code, last.last) == (431, "head_too_large", True)
        assert await one.end() == b""


@pytest.mark.parametrize("first", [70_000, 100])
async def test_a_path_without_an_end_is_refused_however_it_comes(listen: Listen, first: int) -> None:
    wire = await listen()
    asked = head(f"GET /{'a' * 70_000} HTTP/1.1", "Host: 127.0.0.1")

    async with line(wire.port) as one:
        await one.say(PLAIN + asked[:first], asked[first:], pause=0.01)
        _, last = await one.hear(2)

    assert (last.status, last.code, last.last) == (431, "head_too_large", True)


async def test_a_head_that_comes_in_drops_is_not_waited_for_without_end(listen: Listen) -> None:
    wire = await listen(idle_seconds=0.3)
    loop = asyncio.get_running_loop()
    at = loop.time()

    async with line(wire.port) as one:
        await one.say(PLAIN.split(b"Host")[0] + b"X-Drops: ")
        while not one.ended and loop.time() - at < 10:
            await one.say(b"a")
            await one.silence(5)

    assert one.rest == b""
    assert 0.2 < loop.time() - at < 5


@pytest.mark.parametrize("said", [PLAIN, ODD, HEALTH, HEALTH + PLAIN, PLAIN + HEALTH])
async def test_nonsense_is_told_so_after_the_answers_to_what_came_before(listen: Listen, said: bytes) -> None:
    wire = await listen()
    count = said.count(b"HTTP/1.1")

    async with line(wire.port) as one:
        await one.say(said + b"nonsense\r\n\r\n" + PLAIN)
        replies = await one.hear(count + 2)

        assert [reply.status for reply in replies] == [200] * count + [400]
        assert (replies[-1].code, replies[-1].last) == ("malformed_request", True)
        assert await one.end() == b""


async def test_a_key_that_is_not_percent_encoded_is_told_how_to_be(listen: Listen) -> None:
    wire = await listen()
    asked = "GET /v1/models/churn/predict?key=customer:\u00fc HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()

    async with line(wire.port) as one:
        await one.say(asked)
        (told,) = await one.hear(1)

    assert (told.status, told.code) == (400, "malformed_request")
    assert told.headers["content-type"] == "application/json"
    assert "--data-urlencode" in told.data["error"]["message"]


@pytest.mark.parametrize("before", [b"", PLAIN, HEALTH])
async def test_a_method_that_is_none_is_refused_in_the_form_of_its_path(
    listen: Listen, before: bytes
) -> None:
    wire = await listen()
    forms = []

    for path in ("/v2/models/churn/infer", "/v1/models"):
        async with line(wire.port) as one:
            await one.say(before + head(f"BREW {path} HTTP/1.1", "Host: 127.0.0.1"))
            told = (await one.hear(2 if before else 1))[-1]
            assert told.status == 400
            forms.append(type(told.data["error"]))

    assert forms == [str, dict]


@pytest.mark.parametrize("said", [PLAIN, ODD, HEALTH])
async def test_a_connection_that_is_used_is_kept(listen: Listen, said: bytes) -> None:
    wire = await listen(idle_seconds=1)

    async with line(wire.port) as one:
        for _ in range(8):
            await one.say(said)
            assert len(await one.hear()) == 1
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("said", [ODD, HEALTH, LARGE, HEALTH + PLAIN, PLAIN + ODD, ODD + PLAIN + HEALTH])
async def test_a_client_that_has_said_all_hears_every_kind_of_answer(listen: Listen, said: bytes) -> None:
    wire = await listen()
    count = said.count(b"HTTP/1.1")

    async with line(wire.port) as one:
        one.writer.write(said)
        one.writer.write_eof()
        heard = [reply.status for reply in await one.hear(count + ASKS_MOST)]

        assert [status for status in heard if status != INTERIM] == [200] * count
        assert one.ended
        assert one.rest == b""


@pytest.mark.parametrize("said", [LARGE, HEALTH, ODD, PLAIN, LARGE + PLAIN, REFUSED])
async def test_what_a_client_asks_but_does_not_read_is_bounded(listen: Listen, said: bytes) -> None:
    wire = await listen()
    loop = asyncio.get_running_loop()

    async with line(wire.port) as one:
        transport: Any = one.writer.transport
        transport.pause_reading()
        sent, at = 0, loop.time()
        while loop.time() - at < 0.4 and sent < 2 * MORE_THAN_ENOUGH:
            if transport.get_write_buffer_size() < 1 << 16:
                one.writer.write(said * 100)
                sent, at = sent + 100 * len(said), loop.time()
            await asyncio.sleep(0.001)
        pending = sum(len(task.get_name()) > 0 for task in asyncio.all_tasks())

    assert sent < MORE_THAN_ENOUGH
    assert pending < 1000


async def test_answers_of_both_roads_do_not_get_into_one_another(listen: Listen) -> None:
    wire = await listen()
    loop = asyncio.get_running_loop()
    kinds = [(LARGE, 200), (REFUSED, 400), (PLAIN, 200), (HEALTH, 200), (REFUSED, 400), (ODD, 200)]

    async with line(wire.port) as one:
        transport: Any = one.writer.transport
        transport.pause_reading()
        for _ in range(60):
            for said, _status in kinds:
                one.writer.write(said)
                await asyncio.sleep(0)
            await asyncio.sleep(0.002)
        at = loop.time()
        transport.resume_reading()

        replies = await one.hear(360)
        assert [reply.status for reply in replies] == [status for _, status in kinds] * 60
        assert loop.time() - at < 20


async def test_heads_that_are_torn_again_and_again_are_not_taken_for_one(listen: Listen) -> None:
    wire = await listen()
    glued = (HEALTH + ODD) * 2000

    async with line(wire.port) as one:
        saying = asyncio.create_task(
            one.say(*(glued[at : at + 999] for at in range(0, len(glued), 999)), pause=0)
        )
        replies = await one.hear(4000)
        await saying

    assert [reply.status for reply in replies] == [200] * 4000
