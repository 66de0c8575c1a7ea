"""What COMMAND INFO tells of words is so: each command goes well with as few as it says, and with none fewer."""

from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ExecAbortError, ResponseError

from models.store import ModelStore
from server.resp.commands.table import COMMANDS
from tests import graphs
from tests.integration.resp.conftest import OpenDoor
from tests.integration.rest.graphs import churn

FILE = graphs.scaled()
SHORTEST: dict[str, tuple[Any, ...]] = {
    "AI.TENSORSET": ("t", "FLOAT", 1),
    "AI.TENSORGET": ("x",),
    "AI.MODELSTORE": ("n", "ONNX", "CPU", "BLOB", FILE),
    "AI.MODELSET": ("o", "ONNX", "CPU", "BLOB", FILE),
    "AI.MODELGET": ("m",),
    "AI.MODELDEL": ("gone",),
    "AI._MODELSCAN": (),
    "AI.MODELEXECUTE": ("m", "INPUTS", 1, "x", "OUTPUTS", 1, "y"),
    "AI.MODELRUN": ("m", "INPUTS", "x", "OUTPUTS", "y"),
    "AI.DAGEXECUTE": ("LOAD", 1, "x", "|>", "AI.TENSORGET", "x"),
    "AI.DAGEXECUTE_RO": ("LOAD", 1, "x", "|>", "AI.TENSORGET", "x"),
    "AI.DAGRUN": ("|>", "AI.TENSORSET", "t", "FLOAT", 1),
    "AI.DAGRUN_RO": ("|>", "AI.TENSORSET", "t", "FLOAT", 1),
    "AI.INFO": ("m",),
    "AI.CONFIG": ("GET", "MODEL_CHUNK_SIZE"),
    "INSITU.PREDICT": ("churn", "customer:1"),
    "INSITU.EXPLAIN": ("churn", "customer:1"),
    "INSITU.MODELS": (),
    "INSITU.PROMOTE": ("churn", 1),
    "INSITU.HELP": (),
}
NEVER_WELL = {name for one in COMMANDS if "SCRIPT" in (name := one.decode())}
TOO_MANY = "wrong number of arguments"
EVERY = pytest.mark.parametrize("name", sorted(one.decode() for one in COMMANDS))


@pytest.fixture
async def client(open_door: OpenDoor, store: ModelStore, redis: Redis) -> Redis:
    await store.publish(churn())
    await redis.hset("customer:1", mapping={"age": 40, "spend": 12.5})
    client = (await open_door()).client()
    await client.execute_command("AI.TENSORSET", "x", "FLOAT", 1, 2)
    for key in ("m", "gone"):
        await client.execute_command("AI.MODELSTORE", key, "ONNX", "CPU", "BLOB", FILE)
    return client


async def arity(client: Redis, name: str) -> int:
    return int((await client.command())[name.lower()]["arity"])


def test_every_command_is_asked() -> None:
    assert {one.decode() for one in COMMANDS} == SHORTEST.keys() | NEVER_WELL


@pytest.mark.parametrize("name", SHORTEST)
async def test_a_command_goes_well_with_as_few_words_as_it_says(client: Redis, name: str) -> None:
    said = SHORTEST[name]
    assert abs(await arity(client, name)) == 1 + len(said)

    reply = await client.execute_command(name, *said)

    assert not isinstance(reply, ResponseError)
    assert not isinstance(reply, list) or not any(isinstance(one, ResponseError) for one in reply)


@EVERY
async def test_it_does_not_with_fewer(client: Redis, name: str) -> None:
    fewest = abs(await arity(client, name)) - 1
    said = SHORTEST.get(name, ("x",) * fewest)

    for count in range(fewest):
        with pytest.raises(ResponseError):
            await client.execute_command(name, *said[:count])
        transaction = client.pipeline()
        transaction.execute_command(name, *said[:count])
        with pytest.raises((ResponseError, ExecAbortError)):
            await transaction.execute()


@EVERY
async def test_one_that_says_how_many_takes_no_more(client: Redis, name: str) -> None:
    told = await arity(client, name)
    said = SHORTEST.get(name, ("x",) * (abs(told) - 1))

    if told > 0:
        with pytest.raises(ResponseError, match=f"{TOO_MANY} for '{name.lower()}'"):
            await client.execute_command(name, *said, "more")
