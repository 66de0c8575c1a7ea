"""Many requests on one connection, whole, glued and torn apart: each is answered, in order."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from random import Random

import orjson
import pytest

from tests.integration.rest.conftest import Listen
from tests.integration.rest.inferred import ROW, binary, sized
from tests.integration.rest.speaking import Line, Reply, head, line, post

PATH = "/v1/models/embed/predict"
HEALTH = head("GET /health/live HTTP/1.1", "Host: 127.0.0.1")
KEYED = post(b'{"keys": ["customer:1"]}', path="/v1/models/churn/predict")
MATCHES_NOTHING = post(b'{"keys": ["order:1"]}', path="/v1/models/churn/predict")
WRONG_INPUT = binary({**sized([1, 2]), "name": "z"}, data=ROW)

pytestmark = pytest.mark.usefixtures("stocked")


def numbered(number: int, *more: str) -> bytes:
    """Return a request whose answer says the number."""
    return post(orjson.dumps({"inputs": {"x": [[number * 20, 0]]}}), *more, path=PATH)


def number_in(reply: Reply) -> int:
    """Return the number that an answer says."""
    assert reply.status == 200, reply.raw
    return round(reply.data["predictions"][0]["outputs"]["y"][0])


def cut(data: bytes, *places: int) -> list[bytes]:
    """Return data in parts."""
    return [data[start:stop] for start, stop in pairwise([0, *places, len(data)])]


async def numbers(one: Line, count: int) -> list[int]:
    return [number_in(reply) for reply in await one.hear(count)]


async def test_a_connection_is_kept_for_a_thousand_requests(listen: Listen) -> None:
    wire = await listen()

    async with line(wire.port) as one:
        answers = []
        for number in range(1000):
            await one.say(numbered(number))
            answers += await numbers(one, 1)

        assert answers == list(range(1000))
        assert wire.connections == 1


@pytest.mark.parametrize("count", [2, 3, 63, 64, 65, 128, 200])
async def test_requests_said_at_once_are_answered_in_order(listen: Listen, count: int) -> None:
    wire = await listen()

    async with line(wire.port) as one:
        await one.say(b"".join(numbered(number) for number in range(count)))

        assert await numbers(one, count) == list(range(count))
        assert await one.silence() == b""
        assert not one.ended


@pytest.mark.parametrize("refused", [MATCHES_NOTHING, WRONG_INPUT], ids=["a key", "an input"])
async def test_what_is_refused_at_once_holds_up_nothing_said_behind_it(
    listen: Listen, refused: bytes
) -> None:
    wire = await listen()

    async with line(wire.port) as one, line(wire.port) as other:
        for count in (64, 65, 66, 130):
            await one.say(refused * count)
            assert len(await one.hear(count, seconds=5)) == count
        await other.say(refused + KEYED)

        assert [reply.status for reply in await other.hear(2)] in ([400, 200], [422, 200])


async def test_a_fast_answer_waits_for_the_slow_ones_before_it(listen: Listen) -> None:
    wire = await listen()
    refused = post(b"{", path=PATH)
    unknown = post(b'{"keys": ["a"]}', path="/v1/models/nope/predict")

    async with line(wire.port) as one:
        await one.say((KEYED + refused + unknown) * 20)

        assert [reply.status for reply in await one.hear(60)] == [200, 400, 404] * 20


@pytest.mark.parametrize("order", range(4))
async def test_requests_of_every_kind_are_answered_in_order(listen: Listen, order: int) -> None:
    wire = await listen()
    kinds: Sequence[tuple[bytes, int]] = [
        (HEALTH, 200),
        (KEYED, 200),
        (numbered(1), 200),
        (post(b"{", path=PATH), 400),
        (post(b"{}", path="/v1/nothing"), 404),
        (head("GET /v1/models/churn/predict?key=customer:99 HTTP/1.1", "Host: 127.0.0.1"), 404),
        (numbered(2, "Expect: nothing"), 200),
        (post(b'{"keys": ["order:1"]}', path="/v1/models/churn/predict"), 422),
    ]
    chosen = Random(order).choices(kinds, k=100)

    async with line(wire.port) as one:
        await one.say(b"".join(said for said, _ in chosen))

        assert [reply.status for reply in await one.hear(100)] == [status for _, status in chosen]
        assert await one.silence() == b""


async def test_a_request_may_be_torn_at_every_byte(listen: Listen) -> None:
    wire = await listen()
    whole = numbered(7)

    async with line(wire.port) as one:
        for place in range(1, len(whole)):
            await one.say(*cut(whole, place))
            assert await numbers(one, 1) == [7], place
        await one.say(whole)
        assert await numbers(one, 1) == [7]


async def test_requests_glued_together_may_be_torn_at_every_byte(listen: Listen) -> None:
    wire = await listen()
    glued = numbered(1) + KEYED + HEALTH + numbered(2)

    async with line(wire.port) as one:
        for place in range(1, len(glued)):
            await one.say(*cut(glued, place))
            replies = await one.hear(4)
            assert [reply.status for reply in replies] == [200] * 4, place
            assert [number_in(replies[0]), number_in(replies[3])] == [1, 2], place
        assert await one.silence() == b""


@pytest.mark.parametrize("seed", range(8))
async def test_requests_torn_into_many_parts_are_answered_in_order(listen: Listen, seed: int) -> None:
    wire = await listen()
    random = Random(seed)
    glued = b"".join(HEALTH + numbered(number) for number in range(20))
    places = sorted(random.sample(range(1, len(glued)), 60))

    async with line(wire.port) as one:
        await one.say(*cut(glued, *places), pause=0)
        replies = await one.hear(40)

    assert [number_in(reply) for reply in replies[1::2]] == list(range(20))
    assert {reply.status for reply in replies} == {200}


async def test_a_slow_request_is_answered_and_keeps_nobody_waiting(listen: Listen) -> None:
    wire = await listen()
    whole = numbered(7)

    async with line(wire.port) as slow, line(wire.port) as quick:
        saying = asyncio.create_task(slow.say(*cut(whole, *range(1, len(whole))), pause=0.001))
        answered = 0
        while not saying.done():
            await quick.say(numbered(8))
            assert await numbers(quick, 1) == [8]
            answered += 1
        await saying

        assert await numbers(slow, 1) == [7]
    assert answered > 20


async def test_a_body_that_comes_after_its_head_is_answered(listen: Listen) -> None:
    wire = await listen()
    first, _, body = numbered(7).partition(b"\r\n\r\n")

    async with line(wire.port) as one:
        await one.say(first + b"\r\n\r\n", body, numbered(8), pause=0.05)

        assert await numbers(one, 2) == [7, 8]


async def test_a_large_body_that_comes_in_many_reads_is_answered(listen: Listen) -> None:
    wire = await listen()
    rows = [[number, 0] for number in range(4000)]
    large = post(orjson.dumps({"inputs": {"x": rows}}) + b" " * (1 << 20), path=PATH)

    async with line(wire.port) as one:
        await one.say(numbered(1) + large + numbered(2))
        first, second, third = await one.hear(3)

    assert (number_in(first), len(second.data["predictions"]), number_in(third)) == (1, 4000, 2)
