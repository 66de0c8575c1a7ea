"""What storing a model takes of a server's memory: its file is not held once more while it is loaded."""

import tracemalloc
from typing import Any

import pytest

from server.inference import loading
from server.inference.sessions import Session
from tests import graphs
from tests.integration.resp.conftest import OpenDoor
from tests.integration.resp.doors import command

SIZE = 1536  # weights of 9 MiB: more than a file that is read by its bytes may have


@pytest.mark.parametrize("chunks", [1, 3])
async def test_a_model_that_is_stored_is_let_go_before_it_is_loaded(
    open_door: OpenDoor, chunks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = graphs.heavy(1.0, SIZE)
    step = -(-len(file) // chunks)
    said = command(
        "AI.MODELSTORE",
        "m",
        "ONNX",
        "CPU",
        "BLOB",
        *(file[at : at + step] for at in range(0, len(file), step)),
    )
    held: list[int] = []

    def made(*given: Any) -> Session:
        held.append(tracemalloc.get_traced_memory()[0])
        return Session(*given)

    monkeypatch.setattr(loading, "Session", made)
    one = await (await open_door()).line()
    await one.ask(command("PING"), b"+PONG\r\n")
    tracemalloc.start()
    try:
        await one.ask(said, b"+OK\r\n")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert len(held) == 1
    assert held[0] < 0.5 * len(file)
    assert most < 2.6 * len(file)  # what comes, with room to spare, and its words


@pytest.mark.parametrize("chunk_bytes", [1 << 29, 1 << 20])
async def test_a_model_that_is_got_is_copied_once(open_door: OpenDoor, chunk_bytes: int) -> None:
    door, file = await open_door(), graphs.heavy(1.0, SIZE)
    client = door.client()
    await client.execute_command("AI.CONFIG", "MODEL_CHUNK_SIZE", chunk_bytes)
    await client.execute_command("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", file)
    whole = await client.execute_command("AI.MODELGET", "m", "BLOB")
    one = await door.line()
    await one.ask(command("PING"), b"+PONG\r\n")
    tracemalloc.start()
    try:
        await one.say(command("AI.MODELGET", "m"))
        left = len(file)
        while left > 0:
            part = await one.reader.read(1 << 16)
            assert part
            left -= len(part)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert (whole if chunk_bytes > len(file) else b"".join(whole)) == file
    assert most < 2.5 * len(file)
