"""What a long tensor takes: set or got, as it came and as it goes on; got one by one, its reply alone."""

import numpy as np
import pytest
from redis.exceptions import ResponseError

from server.resp import answering
from server.resp.commands import tensor_values, tensors
from tests.integration.resp.conftest import OpenDoor
from tests.integration.resp.doors import command
from tests.memory import peak

MIB = 1 << 20
TRAILER_BYTES = 12  # of one axis


@pytest.mark.parametrize("words", [("BLOB",), ("META", "BLOB")])
async def test_a_long_tensor_is_copied_once(open_door: OpenDoor, words: tuple[str, ...]) -> None:
    size = 16 * MIB
    data = np.arange(size // 4, dtype="<f4").tobytes()
    one = await (await open_door()).line()
    await one.ask(command("AI.TENSORSET", "t", "FLOAT", size // 4, "BLOB", data), b"+OK\r\n")

    with peak() as held:
        await one.say(command("AI.TENSORGET", "t", *words))
        first = await one.line()
        while first != b"$%d\r\n" % size:
            assert first
            first = await one.line()
        left = size
        while left:
            part = await one.reader.read(min(left, MIB))
            assert part
            at = size - left
            assert part == data[at : at + len(part)]
            left -= len(part)

    assert await one.hear(2) == b"\r\n"
    assert held[0] < 2.6 * size


async def test_a_long_tensor_is_sent_as_it_came(open_door: OpenDoor) -> None:
    size = 32 * MIB
    data = np.arange(size // 4, dtype="<f4").tobytes()
    said = command("AI.TENSORSET", "t", "FLOAT", size // 4, "BLOB", data)
    one = await (await open_door()).line()

    with peak() as held:
        await one.ask(said, b"+OK\r\n")

    assert held[0] < 2.5 * size
    await one.ask(b"GETRANGE t %d %d\r\n" % (size - 4, size - 1), b"$4\r\n%b\r\n" % data[-4:])
    await one.ask(b"STRLEN t\r\n", b":%d\r\n" % (size + TRAILER_BYTES))


async def test_elements_one_by_one_are_held_as_their_reply_alone(open_door: OpenDoor) -> None:
    count = 1 << 18
    one = await (await open_door()).line()
    await one.ask(command("AI.TENSORSET", "t", "INT8", count), b"+OK\r\n")
    reply = count * len(b":0\r\n")

    with peak() as held:
        await one.say(command("AI.TENSORGET", "t", "VALUES"))
        assert await one.line() == b"*%d\r\n" % count
        left = reply
        while left:
            part = await one.reader.read(min(left, MIB // 8))
            assert part
            left -= len(part)

    assert held[0] < 1.8 * reply


@pytest.mark.parametrize("dtype", ["INT8", "STRING", "FLOAT"])
async def test_elements_that_no_reply_has_room_for_are_refused_and_the_bytes_are_had(
    open_door: OpenDoor, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (tensors, tensor_values):
        monkeypatch.setattr(module, "STRING_LIMIT_BYTES", 20_000)
    client = (await open_door()).client()
    for key, count in (("few", 10), ("some", 4_900), ("many", 6_000)):
        await client.execute_command("AI.TENSORSET", key, "INT8", count)
    await client.execute_command("AI.TENSORSET", "other", dtype, 3_000)

    assert await client.execute_command("AI.TENSORGET", "few", "VALUES") == [0] * 10
    assert await client.execute_command("AI.TENSORGET", "some", "VALUES") == [0] * 4_900
    for key in ("many", *(["other"] if dtype == "FLOAT" else [])):
        with pytest.raises(ResponseError, match="more than 20000 bytes; get it as BLOB"):
            await client.execute_command("AI.TENSORGET", key, "VALUES")
    assert await client.execute_command("AI.TENSORGET", "many", "BLOB") == bytes(6_000)
    assert await client.ping()


async def test_elements_that_find_no_room_are_refused_while_they_are_written(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "REPLIES_BYTES", MIB)
    client = (await open_door()).client()
    await client.execute_command("AI.TENSORSET", "t", "INT8", MIB)

    with pytest.raises(ResponseError, match="no room for this reply"):
        await client.execute_command("AI.TENSORGET", "t", "VALUES")
    await client.execute_command("AI.TENSORSET", "t", "INT8", 10)
    assert await client.execute_command("AI.TENSORGET", "t", "VALUES") == [0] * 10
