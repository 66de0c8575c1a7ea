"""What a program of RedisAI does from beginning to end, command by command."""

import pytest

from server.resp.caller import Caller
from server.resp.commands import dag, executing, models, tensors
from tests.graphs import f32, scaled
from tests.integration.resp.callers import Asker


@pytest.fixture
async def asked(caller: Caller) -> Asker:
    return Asker(caller, (*tensors.COMMANDS, *models.COMMANDS, *executing.COMMANDS, *dag.COMMANDS))


async def test_a_model_is_stored_and_run_at_a_key_of_any_bytes(asked: Asker) -> None:
    key = b"{a}: model \xff"

    assert await asked("AI.MODELSTORE", key, "ONNX", "CPU", "TAG", "v1", "BLOB", scaled(3)) == b"OK"
    assert await asked("AI.TENSORSET", "{a}x", "FLOAT", 1, 2, "VALUES", "1.5", 2) == b"OK"
    assert await asked("AI.MODELEXECUTE", key, "INPUTS", 1, "{a}x", "OUTPUTS", 1, "{a}y") == b"OK"
    assert await asked("AI.TENSORGET", "{a}y", "VALUES") == [b"4.5", b"6"]


async def test_a_dag_sees_the_model_that_is_stored_again(asked: Asker) -> None:
    command = (
        *(
            "AI.DAGEXECUTE_RO",
            "ROUTING",
            "m",
            "|>",
            "AI.TENSORSET",
            "a",
            "FLOAT",
            1,
            2,
            "BLOB",
            f32(1, 2).tobytes(),
        ),
        *(
            "|>",
            "AI.MODELEXECUTE",
            "m",
            "INPUTS",
            1,
            "a",
            "OUTPUTS",
            1,
            "b",
            "|>",
            "AI.TENSORGET",
            "b",
            "BLOB",
        ),
    )
    answers = []

    for factor in (2, 5):
        assert await asked("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", scaled(factor)) == b"OK"
        answers.append(await asked(*command))
    assert await asked("AI.MODELDEL", "m") == b"OK"

    assert answers == [[b"OK", b"OK", f32(factor, 2 * factor).tobytes()] for factor in (2, 5)]
    assert str(await asked(*command)) == "ERR model key is empty"


async def test_what_a_dag_keeps_the_next_one_loads(asked: Asker) -> None:
    await asked("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", scaled(2))
    await asked("AI.TENSORSET", "n", "FLOAT", 1, 2, "VALUES", 1, 2)
    turn = (
        "LOAD",
        1,
        "n",
        "PERSIST",
        1,
        "n",
        "|>",
        "AI.MODELEXECUTE",
        "m",
        "INPUTS",
        1,
        "n",
        "OUTPUTS",
        1,
        "n",
    )

    for _ in range(3):
        assert await asked("AI.DAGEXECUTE", *turn) == [b"OK"]

    assert await asked("AI.TENSORGET", "n", "VALUES") == [b"8", b"16"]
