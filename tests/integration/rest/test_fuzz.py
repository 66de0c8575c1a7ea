"""Bytes that nobody planned: both roads say the same to them, never fail, never hang, and go on serving."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from tests.integration.rest.conftest import Listen
from tests.integration.rest.exchanges import ANSWERED, BODY_LIMIT, CONNECTIONS, FIELDS, KEYED, PATH, PATHS
from tests.integration.rest.speaking import line, post, taken
from tests.integration.rest.wired import Wire

CASES = 100  # a seed
AT_ONCE = 20
LONGEST = 4096  # bytes of what is mutated: a long head in a thousand versions shows nothing new
GOOD = post(KEYED, path=PATH)
LAST = b"\r\n\r\nGET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
SEEDS = [
    one.said
    for one in {**ANSWERED, **PATHS, **FIELDS, **CONNECTIONS}.values()
    if len(one.said) < LONGEST
    and b"versions HTTP" not in one.said
    and b"timeout" not in one.said.lower()  # a time made short is over on a slow machine, and not on another
]
PIECES = (
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b":",
        b",",
        b"\r\n\r\n",
        b"\xff",
        b"%00",
        b"%",
        b"0",
        b"9" * 20,
    ),
    *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"chunked"),
    *(
        b"Expect: 100-continue\r\n",
        b"HTTP/1.0",
        b"POST ",
        b"GET /health/live HTTP/1.1\r\n\r\n",
        b"{",
        b"}",
        b'"',
    ),
)
Told = tuple[list[int], bool]  # the status of each answer, and whether the connection ended
Change = Callable[[bytes, Random], bytes]


def dropped(said: bytes, random: Random) -> bytes:
    """Leave a few bytes out."""
    at = random.randrange(len(said))
    return said[:at] + said[at + random.choice((1, 2, 8, 64)) :]


def flipped(said: bytes, random: Random) -> bytes:
    """Change a byte."""
    at = random.randrange(len(said))
    return said[:at] + bytes([random.randrange(256)]) + said[at + 1 :]


def inserted(said: bytes, random: Random) -> bytes:
    """Put something in that parsers care about."""
    at = random.randrange(len(said))
    return said[:at] + random.choice(PIECES) + said[at:]


def spliced(said: bytes, random: Random) -> bytes:
    """Go on with the end of another request."""
    other = random.choice(SEEDS)
    return said[: random.randrange(len(said))] + other[random.randrange(len(other)) :]


def followed(said: bytes, random: Random) -> bytes:
    """Say another request after it."""
    return said + random.choice(SEEDS)


def noise(_said: bytes, random: Random) -> bytes:
    """Say nothing that makes sense."""
    return random.randbytes(random.randrange(1, 300))


CHANGES: tuple[Change, ...] = (dropped, flipped, inserted, spliced, followed)


def invented(random: Random) -> bytes:
    """Return a request with something done to it, perhaps a few times."""
    if random.random() < 0.05:
        return noise(b"", random)
    said = random.choice(SEEDS)
    for _ in range(random.choice((1, 1, 2, 4))):
        said = random.choice(CHANGES)(said, random) or b"\r\n"
    return said + LAST


async def statuses(wire: Wire, said: bytes) -> Told:
    """Return the status of each answer, and whether the connection ended."""
    async with line(wire.port) as one:
        await one.say(said)
        rest = await one.silence(25)
        found: list[int] = []
        reply, rest = taken(rest)
        while reply is not None:
            found.append(reply.status)
            reply, rest = taken(rest)
        return found, one.ended


def agreed(ours: Told, plain: Told) -> bool:
    """Whether both said the same; uvicorn says 400 at once, and what came before is not answered."""
    if ours == plain:
        return True
    (mine, ended), (theirs, gone) = ours, plain
    same = mine[: len(theirs) - 1] == theirs[:-1] and len(mine) > len(theirs)
    return same and theirs[-1:] == mine[-1:] == [400] and ended and gone


async def gathered(works: list[Awaitable[Told]]) -> list[Told]:
    """Await so many at once."""
    found: list[Told] = []
    for at in range(0, len(works), AT_ONCE):
        found += await asyncio.gather(*works[at : at + AT_ONCE])
    return found


@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize("seed", range(5))
async def test_both_roads_say_the_same_to_anything(listen: Listen, seed: int) -> None:
    random = Random(seed)
    said = [invented(random) for _ in range(CASES)]
    ours = await listen(max_body_bytes=BODY_LIMIT)
    plain = await listen(max_body_bytes=BODY_LIMIT, plain=True)

    by_ours = await gathered([statuses(ours, one) for one in said])
    by_plain = await gathered([statuses(plain, one) for one in said])

    differing = [
        (words, one, other)
        for words, one, other in zip(said, by_ours, by_plain, strict=True)
        if not agreed(one, other)
    ]
    assert differing == []
    assert {status for found, _ in by_ours for status in found if status >= 500} == set()
    assert (await statuses(ours, GOOD + LAST))[0] == [200, 200]
