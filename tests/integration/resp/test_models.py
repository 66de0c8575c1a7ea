"""Models at keys: what AI.MODELSTORE, AI.MODELGET, AI.MODELDEL and AI._MODELSCAN do to a real Redis."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from models.errors import BundleCorrupt, ModelTooLarge
from models.model_pointers import ModelPointer, name_of
from models.store import ModelStore
from models.tensor_strings import StoredTensor, of_array
from server import building
from server.inference.asking import Ask
from server.inference.sessions import CUDA
from server.resp.caller import Caller, Word
from server.resp.commands import executing, model_keys, model_storing
from server.resp.commands.lookups import OTHER_OUTPUTS
from server.resp.commands.model_keys import KEYS_AT_ONCE
from server.resp.commands.model_storing import Place, versions_here
from server.resp.commands.models import CHUNKS_MOST, COMMANDS
from server.resp.commands.stored_models import Stored, model_at, model_of
from server.resp.refusals import WRONG_TYPE, Refused
from tests import graphs
from tests.integration.resp.callers import Asker
from tests.integration.resp.conftest import MakeCaller, StartEngine
from tests.integration.resp.doors import OpenedDoor
from tests.integration.resp.doors import command as said

EMPTY = "ERR model key is empty"


@pytest.fixture
def asked(caller: Caller) -> Asker:
    return Asker(caller, COMMANDS)


async def refusal(answer: Any) -> str:
    """The text of the error that a command is answered with."""
    found = await answer
    assert isinstance(found, ResponseError), found
    return str(found)


async def store_model(asked: Asker, key: Any, answer: float = 1.0, *options: Any) -> None:
    said = ("ONNX", "CPU", *options)
    assert await asked("AI.MODELSTORE", key, *said, "BLOB", graphs.constant(answer)) == b"OK"


async def ran(caller: Caller, key: bytes) -> float:
    """What the model at a key answers."""
    found = await model_at(caller, key)
    inputs = {"x": np.zeros((1, 2), np.float32)}
    answer = await caller.engine.predictor.predict(
        Ask(found.name, found.version, inputs=inputs, tensors=True)
    )
    assert answer.outputs is not None
    return float(answer.outputs["y"][0, 0])


async def test_a_model_is_stored_as_a_pointer_and_a_version_like_any_other(
    asked: Asker, redis: Redis, store: ModelStore
) -> None:
    await store_model(asked, "models:churn", 4.0, "TAG", "v1")

    name = name_of(b"models:churn")
    assert await redis.get("models:churn") == ModelPointer(name, 1).pack()
    manifest = await store.manifest(name, 1)
    assert (await store.aliases(name), manifest.task) == ({"production": 1}, "tensor")
    assert manifest.execution is not None
    assert (manifest.execution.place, manifest.execution.tag) == (b"models:churn", "v1")
    assert await ran(asked.caller, b"models:churn") == 4.0


async def test_the_version_is_loaded_before_the_client_hears_ok(asked: Asker) -> None:
    await store_model(asked, "m")

    assert asked.caller.engine.catalogue.find("m", 1) is not None


async def test_chunks_of_a_file_are_joined(asked: Asker) -> None:
    file = graphs.scaled()

    assert await asked("AI.MODELSET", "m", "onnx", "cpu", "BLOB", file[:7], file[7:20], file[20:]) == b"OK"
    assert await asked("AI.MODELGET", "m", "BLOB") == file


async def test_replacing_a_model_keeps_the_one_before_and_deletes_older_ones(
    asked: Asker, store: ModelStore
) -> None:
    for answer in (1.0, 2.0, 3.0, 4.0):
        await store_model(asked, "m", answer)

        assert await ran(asked.caller, b"m") == answer

    assert await store.versions("m") == [3, 4]
    assert await store.aliases("m") == {"production": 4}


async def test_redis_own_commands_mean_what_they_say(asked: Asker, redis: Redis, store: ModelStore) -> None:
    await store_model(asked, "m", 1.0)
    await redis.copy("m", "copied")
    await redis.rename("m", "renamed")

    assert await ran(asked.caller, b"copied") == await ran(asked.caller, b"renamed") == 1.0
    assert await refusal(asked("AI.MODELGET", "m")) == EMPTY

    await redis.delete("copied", "renamed")

    assert await refusal(asked("AI.MODELGET", "copied")) == EMPTY
    assert await store.versions("m") == [1]  # nothing is lost


async def test_a_new_model_has_no_expiry_of_the_one_before(asked: Asker, redis: Redis) -> None:
    await store_model(asked, "m")
    await redis.expire("m", 100)

    await store_model(asked, "m")

    assert await redis.ttl("m") == -1


async def test_two_servers_that_store_at_one_key_leave_one_of_the_models_there(
    engine: StartEngine, make_caller: MakeCaller, store: ModelStore
) -> None:
    callers = [await make_caller(await engine()) for _ in range(2)]

    async def store_many(caller: Caller, first: int) -> None:
        for answer in range(first, first + 5):
            await store_model(Asker(caller, COMMANDS), "m", float(answer))
            assert await ran(caller, b"m") >= 0

    await asyncio.gather(*(store_many(caller, 10 * at) for at, caller in enumerate(callers)))

    answers = {await ran(caller, b"m") for caller in callers}
    assert len(answers) == 1
    assert answers <= {4.0, 14.0}
    assert len(await store.versions("m")) <= 4
    await store_model(Asker(callers[0], COMMANDS), "m", 20.0)
    assert len(await store.versions("m")) == 2


async def test_a_version_that_another_server_is_about_to_point_to_is_not_deleted(
    asked: Asker, store: ModelStore
) -> None:
    await store_model(asked, "m", 1.0)
    place = Place.of(asked.caller, b"m")
    (first,) = await store.manifests([("m", 1)])
    assert first is not None
    slow = graphs.bundle(graphs.constant(9.0), execution=first.execution)
    version = (await store.publish(slow, None)).version

    for answer in (2.0, 3.0, 4.0):
        await store_model(asked, "m", answer)

    assert await store.versions("m") == [version, 4, 5]
    await asked.caller.redis([("SET", "m", ModelPointer("m", version).pack())])
    await store.promote("m", version)
    assert await ran(asked.caller, b"m") == 9.0
    assert await versions_here(place) == [version, 4, 5]


async def test_a_version_that_nobody_came_to_point_to_is_deleted_later(
    asked: Asker, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_model(asked, "m", 1.0)
    (first,) = await store.manifests([("m", 1)])
    assert first is not None
    left = graphs.bundle(graphs.constant(9.0), execution=first.execution)
    await store.publish(left, None)
    monkeypatch.setattr(model_storing, "STORING_MOST", timedelta(0))

    await store_model(asked, "m", 2.0)

    assert await store.versions("m") == [1, 3]


async def test_versions_that_are_deleted_while_they_are_looked_at_are_nobodys(
    asked: Asker, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_model(asked, "m", 1.0)
    await store_model(asked, "m", 2.0)
    place, read = Place.of(asked.caller, b"m"), ModelStore.manifests

    async def too_late(one: ModelStore, places: Any) -> Any:
        await one.delete("m", 1)
        return await read(one, places)

    monkeypatch.setattr(ModelStore, "manifests", too_late)

    assert await versions_here(place) == [2]


async def test_each_database_has_its_own_model_at_a_key(
    make_caller: MakeCaller, caller: Caller, store: ModelStore
) -> None:
    other = await make_caller(caller.engine, db=3)

    await store_model(Asker(other, COMMANDS), "m", 3.0)
    for answer in (1.0, 2.0, 3.0, 4.0):
        await store_model(Asker(caller, COMMANDS), "m", answer)

    assert (await ran(other, b"m"), await ran(caller, b"m")) == (3.0, 4.0)
    assert await store.versions("m") == [1, 4, 5]
    assert await Asker(other, COMMANDS)("AI.MODELDEL", "m") == b"OK"
    assert await ran(caller, b"m") == 4.0


async def test_a_key_of_another_type_is_refused_before_anything_is_stored(
    asked: Asker, redis: Redis, store: ModelStore
) -> None:
    await redis.lpush("list", "a")
    await redis.set("text", "a")

    for key in ("list", "text"):
        stored = asked("AI.MODELSTORE", key, "ONNX", "CPU", "BLOB", graphs.scaled())
        assert await refusal(stored) == WRONG_TYPE
        for command in ("AI.MODELGET", "AI.MODELDEL"):
            assert (await refusal(asked(command, key))).startswith("WRONGTYPE Operation against a key")

    assert await store.names() == []


async def test_a_key_that_is_taken_while_the_file_is_tried_leaves_nothing_behind(
    asked: Asker, redis: Redis, store: ModelStore
) -> None:
    class Late:
        """The connection of a client whose key another one writes after the first look."""

        def __init__(self, own: Any) -> None:
            self.own = own

        async def __call__(self, commands: Any) -> list[Any]:
            replies: list[Any] = await self.own(commands)
            await redis.set("m", "taken")
            return replies

    await store_model(asked, "m")
    await redis.delete("m")
    asked.caller.redis = Late(asked.caller.redis)

    stored = asked("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", graphs.scaled())

    assert await refusal(stored) == WRONG_TYPE
    assert await redis.get("m") == b"taken"
    assert await store.versions("m") == [1]
    assert await store.aliases("m") == {"production": 1}


def changed(**facts: Any) -> bytes:
    """A file with other facts in it than the one that is well."""
    model = onnx.load_model_from_string(graphs.scaled())
    for name, value in facts.items():
        setattr(model, name, value)
    return bytes(model.SerializeToString())


def beside_itself() -> bytes:
    """A file whose weight lies in another file."""
    model = onnx.load_model_from_string(graphs.scaled())
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="/etc/passwd")
    return bytes(model.SerializeToString())


def unknown_operator() -> bytes:
    model = onnx.load_model_from_string(graphs.scaled())
    model.graph.node[0].op_type = "Nope"
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (b"no model", "Failed to load model because protobuf parsing failed."),
        (b"", "No graph was found in the protobuf."),
        (changed(ir_version=99), "Unsupported model IR version: 99, max supported IR version: 13"),
        (beside_itself(), "Initializer tensors with external data is not allowed."),
        (unknown_operator(), "This is an invalid model. In Node"),
        (graphs.crashing(), "ERR the model ended the process it was tried in (signal SIGFPE"),
    ],
)
async def test_a_bad_file_is_refused_in_the_words_of_the_runtime(
    asked: Asker, store: ModelStore, file: bytes, told: str
) -> None:
    said = await refusal(asked("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", file))

    assert said.startswith(told)
    assert "nothing was published" not in said or said.startswith("ERR ")
    assert await store.names() == []
    assert await refusal(asked("AI.MODELGET", "m")) == EMPTY


async def test_a_bad_file_leaves_the_model_that_is_there(asked: Asker) -> None:
    await store_model(asked, "m", 5.0)

    await refusal(asked("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", b"no model"))

    assert await ran(asked.caller, b"m") == 5.0


async def test_a_file_over_the_limit_is_refused(engine: StartEngine, make_caller: MakeCaller) -> None:
    asked = Asker(await make_caller(await engine(model_limit_bytes=2048)), COMMANDS)

    with pytest.raises(ModelTooLarge, match="INSITU_MODEL_LIMIT_BYTES"):
        await asked("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", b"x" * 1500, b"x" * 1500)


async def test_a_gpu_is_refused_where_there_is_none(asked: Asker) -> None:
    stored = asked("AI.MODELSTORE", "m", "ONNX", "GPU:0", "BLOB", graphs.scaled())

    assert await refusal(stored) == "ERR GPU requested but ONNX couldn't find CUDA"


@pytest.mark.filterwarnings("ignore:Specified provider")  # ONNX Runtime takes the CPU where it finds no CUDA
async def test_a_gpu_that_does_not_run_the_model_leaves_nothing_behind(
    engine: StartEngine, make_caller: MakeCaller, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "choose_provider", lambda _wanted: CUDA)
    asked = Asker(await make_caller(await engine()), COMMANDS)

    stored = asked("AI.MODELSTORE", "m", "ONNX", "GPU:7", "BLOB", graphs.scaled())

    assert await refusal(stored) == "ERR GPU requested but ONNX couldn't find CUDA"
    assert await refusal(asked("AI.MODELGET", "m")) == EMPTY
    assert await store.names() == []


async def test_others_are_answered_while_a_model_is_stored(asked: Asker) -> None:
    await store_model(asked, "m", 1.0)

    storing = asyncio.create_task(store_model(asked, "other", 2.0))
    answered = 0
    while not storing.done():
        assert await ran(asked.caller, b"m") == 1.0
        answered += 1
    await storing

    assert answered > 3


async def test_models_of_other_doors_are_found_by_their_name_and_not_written_over(
    asked: Asker, store: ModelStore
) -> None:
    await store.publish(graphs.bundle(graphs.constant(7.0), "churn"))

    assert await ran(asked.caller, b"churn") == 7.0
    stored = asked("AI.MODELSTORE", "churn", "ONNX", "CPU", "BLOB", graphs.scaled())
    assert (await refusal(stored)).startswith("ERR version 1 of model 'churn' was published by another door")
    assert await refusal(asked("AI.MODELDEL", "churn")) == EMPTY
    assert await store.versions("churn") == [1]


async def test_a_key_that_has_the_name_of_another_key_is_refused(asked: Asker) -> None:
    await store_model(asked, "a b")

    stored = asked("AI.MODELSTORE", name_of(b"a b"), "ONNX", "CPU", "BLOB", graphs.scaled())

    assert "was stored at the key 'a b'" in await refusal(stored)
    assert await refusal(asked("AI.MODELGET", name_of(b"a b"))) == EMPTY


async def test_a_deleted_model_is_gone_with_its_version(
    asked: Asker, redis: Redis, store: ModelStore
) -> None:
    await store_model(asked, "m")

    assert await asked("AI.MODELDEL", "m") == b"OK"

    assert await redis.exists("m") == 0
    assert await store.names() == []
    for command in ("AI.MODELGET", "AI.MODELDEL"):
        assert await refusal(asked(command, "m")) == EMPTY


async def test_a_version_that_another_key_points_to_stays(
    asked: Asker, redis: Redis, store: ModelStore
) -> None:
    await store_model(asked, "m", 6.0)
    await redis.copy("m", "copied")

    assert await asked("AI.MODELDEL", "copied") == b"OK"
    assert await ran(asked.caller, b"m") == 6.0

    await redis.rename("m", "renamed")
    assert await asked("AI.MODELDEL", "renamed") == b"OK"
    assert await store.names() == []


async def test_a_copy_lives_on_when_the_model_is_deleted_or_replaced(
    asked: Asker, redis: Redis, store: ModelStore
) -> None:
    await store_model(asked, "m", 6.0)
    await redis.copy("m", "copied")

    assert await asked("AI.MODELDEL", "m") == b"OK"
    assert await refusal(asked("AI.MODELGET", "m")) == EMPTY
    for answer in (7.0, 8.0, 9.0):
        await store_model(asked, "m", answer)
    assert await ran(asked.caller, b"copied") == 6.0
    assert await store.versions("m") == [1, 3, 4]

    assert await asked("AI.MODELDEL", "copied") == b"OK"
    assert await store.versions("m") == [3, 4]
    assert await ran(asked.caller, b"m") == 9.0


async def test_a_model_stays_when_who_may_not_read_its_key_deletes_a_copy(
    asked: Asker, redis: Redis, store: ModelStore
) -> None:
    await store_model(asked, "m", 6.0)
    await redis.copy("m", "guest:m")
    await redis.execute_command("ACL", "SETUSER", "guest", "on", "nopass", "~guest:*", "+@all")
    await asked.caller.redis([("AUTH", "guest", "")])

    assert await asked("AI.MODELDEL", "guest:m") == b"OK"
    await redis.acl_deluser("guest")

    assert await redis.exists("guest:m") == 0
    assert await redis.get("m") == ModelPointer("m", 1).pack()
    assert await store.versions("m") == [1]


async def test_models_that_were_stored_at_one_key_and_renamed_all_live_on(asked: Asker, redis: Redis) -> None:
    for answer in (1.0, 2.0, 3.0, 4.0):
        await store_model(asked, "next", answer)
        await redis.rename("next", f"m:{answer}")

    assert [await ran(asked.caller, b"m:%.1f" % answer) for answer in (1, 2, 3, 4)] == [1.0, 2.0, 3.0, 4.0]


async def test_a_version_with_an_alias_of_somebodys_own_stays(
    asked: Asker, redis: Redis, store: ModelStore
) -> None:
    await store_model(asked, "m")
    await store.promote("m", 1, "canary")

    assert await asked("AI.MODELDEL", "m") == b"OK"

    assert await redis.exists("m") == 0
    assert await store.versions("m") == [1]


async def test_a_version_that_was_deleted_by_its_name_leaves_an_empty_key(
    asked: Asker, store: ModelStore
) -> None:
    await store_model(asked, "m")
    await store.remove_alias("m", "production")
    await store.delete("m", 1)
    await asked.caller.engine.catalogue.sync()

    assert await refusal(asked("AI.MODELGET", "m")) == EMPTY
    with pytest.raises(Refused, match=EMPTY):
        await model_at(asked.caller, b"m")


async def test_a_key_may_name_a_model_of_which_redis_has_said_what_is_there(caller: Caller) -> None:
    for reply, told in ((None, EMPTY), (b"text", WRONG_TYPE), (ResponseError(WRONG_TYPE), WRONG_TYPE)):
        with pytest.raises(Refused) as refused:
            await model_of(caller, b"m", reply)

        assert str(refused.value) == told


async def test_a_version_that_was_replaced_and_deleted_meanwhile_is_not_missed(
    asked: Asker, redis: Redis
) -> None:
    await store_model(asked, "m", 1.0)
    seen = await redis.get("m")
    for answer in (2.0, 3.0):
        await store_model(asked, "m", answer)
    await asked.caller.engine.catalogue.sync()

    assert (await model_of(asked.caller, b"m", seen)).version == 3


async def test_a_version_that_is_replaced_and_deleted_before_it_runs_leaves_the_run_to_the_newest(
    asked: Asker,
) -> None:
    tensor = of_array(np.zeros((1, 2), np.float32))
    await store_model(asked, "m", 1.0)
    found = await model_at(asked.caller, b"m")
    for answer in (2.0, 3.0):
        await store_model(asked, "m", answer)
    await asked.caller.engine.catalogue.sync()

    (output,) = await executing.run(asked.caller, found, [tensor])

    assert np.frombuffer(output.data, "<f4").tolist() == [3.0]
    assert await asked("AI.MODELDEL", "m") == b"OK"
    await asked.caller.engine.catalogue.sync()
    assert await refusal_of_run(asked.caller, found, tensor) == EMPTY


async def test_a_run_of_a_version_that_is_deleted_is_refused_where_the_newest_takes_other_tensors(
    asked: Asker,
) -> None:
    await store_model(asked, "m", 1.0)
    found = await model_at(asked.caller, b"m")
    for _ in range(2):
        assert await asked("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", two_outputs()) == b"OK"
    await asked.caller.engine.catalogue.sync()

    told = await refusal_of_run(asked.caller, found, of_array(np.zeros((1, 2), np.float32)))

    assert told == OTHER_OUTPUTS


async def refusal_of_run(caller: Caller, found: Stored, tensor: StoredTensor) -> str:
    """What is said to a run of a version."""
    with pytest.raises(Refused) as refused:
        await executing.run(caller, found, [tensor])
    return str(refused.value)


def two_outputs() -> bytes:
    """Both outputs are the input."""
    nodes = [graphs.node("Identity", "x", "a"), graphs.node("Identity", "x", "b")]
    shape: list[int | str] = ["rows", 2]
    return graphs.model(nodes, [graphs.value("x", shape)], [graphs.value(name, shape) for name in "ab"])


async def test_a_version_of_which_half_is_gone_when_it_is_loaded_is_not_missed_either(
    asked: Asker, redis: Redis, store: ModelStore, engine: StartEngine, make_caller: MakeCaller
) -> None:
    await store_model(asked, "m", 1.0)
    seen = await redis.get("m")
    await redis.delete(store.keys.chunk("m", 1, 0))
    other = await make_caller(await engine())

    with pytest.raises(BundleCorrupt):
        await model_of(other, b"m", seen)
    await store_model(asked, "m", 2.0)

    assert (await model_of(other, b"m", seen)).version == 2


async def test_a_model_that_was_replaced_before_its_manifest_is_read_is_told_as_it_is_now(
    asked: Asker, redis: Redis
) -> None:
    await store_model(asked, "m", 1.0)
    seen = [await redis.get("m")]
    for answer in (2.0, 3.0):
        await store_model(asked, "m", answer)
    await asked.caller.engine.catalogue.sync()

    async def late(commands: Sequence[Sequence[Word]]) -> list[Any]:
        return [seen.pop()] if seen else await asked.caller.redis(commands)

    there = Asker(replace(asked.caller, redis=late), COMMANDS)
    assert await there("AI.MODELGET", "m", "BLOB") == graphs.constant(3.0)


async def test_a_model_that_is_replaced_while_its_file_is_read_is_told_as_it_is_now(
    asked: Asker, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_model(asked, "m", 1.0)
    load = ModelStore.load

    async def too_late(one: ModelStore, name: str, version: int) -> Any:
        if version == 1:
            for answer in (2.0, 3.0):
                await store_model(asked, "m", answer)
        return await load(one, name, version)

    monkeypatch.setattr(ModelStore, "load", too_late)

    assert await asked("AI.MODELGET", "m", "BLOB") == graphs.constant(3.0)
    await store.redis.delete(store.keys.chunk("m", 3, 0))
    with pytest.raises(BundleCorrupt):
        await asked("AI.MODELGET", "m")


async def test_what_is_known_of_a_model_comes_in_redisais_order(asked: Asker) -> None:
    batching = ("BATCHSIZE", 8, "MINBATCHSIZE", 2, "MINBATCHTIMEOUT", 5)
    await store_model(asked, "m", 1.0, "TAG", b"v\xff", *batching)

    facts = await asked("AI.MODELGET", "m", "meta")
    whole = await asked("AI.MODELGET", "m", "nonsense")

    assert facts[0::2] == [
        *(b"backend", b"device", b"tag", b"batchsize", b"minbatchsize"),
        *(b"inputs", b"outputs", b"minbatchtimeout"),
    ]
    assert facts[1::2] == [b"ONNX", b"CPU", b"v\xff", 8, 2, [b"x"], [b"y"], 5]
    assert whole == [*facts, b"blob", graphs.constant(1.0)]
    assert await asked("AI.MODELGET", "m", "META", "BLOB") == whole
    too_many = asked("AI.MODELGET", "m", "META", "BLOB", "more")
    assert await refusal(too_many) == "ERR wrong number of arguments for 'ai.modelget' command"


async def test_what_is_known_of_a_model_of_another_door_has_no_tag(asked: Asker, store: ModelStore) -> None:
    await store.publish(graphs.bundle(graphs.scaled(), "churn"))

    facts = await asked("AI.MODELGET", "churn", "META")

    assert facts[1::2] == [b"ONNX", b"CPU", b"", 0, 0, [b"x"], [b"y"], 0]


async def test_a_long_file_comes_in_chunks_the_last_one_empty_at_a_multiple(asked: Asker) -> None:
    await store_model(asked, "m")
    file = graphs.constant(1.0)

    asked.caller.configuration.model_chunk_bytes = len(file)
    assert await asked("AI.MODELGET", "m", "BLOB") == file
    asked.caller.configuration.model_chunk_bytes = 100
    parts = await asked("AI.MODELGET", "m", "BLOB")
    assert [len(part) for part in parts] == [100] * (len(file) // 100) + [len(file) % 100]
    assert b"".join(parts) == file
    asked.caller.configuration.model_chunk_bytes = 1
    assert (await asked("AI.MODELGET", "m"))[-1] == [bytes([one]) for one in file] + [b""]


async def test_a_file_comes_in_no_more_chunks_than_can_be_written(asked: Asker) -> None:
    file = graphs.heavy(1.0, 256)
    assert await asked("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", file) == b"OK"
    asked.caller.configuration.model_chunk_bytes = 1

    chunks = await asked("AI.MODELGET", "m", "BLOB")

    assert b"".join(chunks) == file
    assert len(file) > CHUNKS_MOST >= len(chunks)


async def test_the_list_has_keys_that_are_still_there_and_models_of_other_doors(
    asked: Asker, make_caller: MakeCaller, redis: Redis, store: ModelStore
) -> None:
    await store_model(asked, "a", 1.0, "TAG", "first")
    await store_model(asked, "a", 1.0, "TAG", "second")
    await store_model(asked, "b c\xff", 1.0)
    await store_model(asked, "gone")
    await redis.delete("gone")
    await store.publish(graphs.bundle(graphs.scaled(), "churn"))
    await store.publish(graphs.bundle(graphs.scaled(), "unsaid"), None)
    await store.publish(graphs.bundle(graphs.scaled(), "hidden"))
    await redis.set("hidden", "text")

    assert sorted(await asked("AI._MODELSCAN")) == [
        [b"a", b"second"],
        ["b c\xff".encode(), b""],
        [b"churn", b""],
    ]
    other = Asker(await make_caller(asked.caller.engine, db=3), COMMANDS)
    assert sorted(await other("AI._MODELSCAN")) == [[b"churn", b""], [b"hidden", b""]]


async def test_the_list_has_keys_that_models_were_renamed_and_copied_to(
    asked: Asker, make_caller: MakeCaller, redis: Redis
) -> None:
    await store_model(asked, "a", 1.0, "TAG", "first")
    await redis.rename("a", "b")
    await store_model(asked, "a", 2.0, "TAG", "second")
    await redis.copy("b", "c d\xff")
    await redis.set("text", b'{"insitu_model":"a"}')
    await redis.set("dangling", ModelPointer("nosuch", 1).pack())
    await redis.copy("a", "e", destination_db="3")
    await redis.mset({f"other:{number}": number for number in range(3 * KEYS_AT_ONCE)})

    listed = sorted(await asked("AI._MODELSCAN"))
    other = Asker(await make_caller(asked.caller.engine, db=3), COMMANDS)

    assert listed == [[b"a", b"second"], [b"b", b"first"], ["c d\xff".encode(), b"first"]]
    assert await other("AI._MODELSCAN") == [[b"e", b"second"]]


async def test_the_list_of_a_very_large_database_has_the_keys_that_models_were_stored_at(
    asked: Asker, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_model(asked, "a", 1.0, "TAG", "first")
    await store_model(asked, "b", 1.0)
    await redis.rename("b", "c")
    monkeypatch.setattr(model_keys, "MOST_KEYS", 1)

    assert await asked("AI._MODELSCAN") == [[b"a", b"first"]]


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.name.startswith("AI.SCRIPT")])
async def test_scripts_are_refused_after_their_words_are_counted(asked: Asker, command: Any) -> None:
    words = ["x"] * (abs(command.arity) - 1)

    assert await refusal(asked(command.name, *words)) == "ERR Could not load backend"
    if words:
        told = f"ERR wrong number of arguments for '{command.name.lower()}' command"
        assert await refusal(asked(command.name)) == told


async def test_no_scripts_are_listed(asked: Asker) -> None:
    assert await asked("AI._SCRIPTSCAN") == []
    assert "wrong number of arguments" in await refusal(asked("AI._SCRIPTSCAN", "x"))


async def test_a_client_that_leaves_while_its_model_is_loaded_leaves_no_version(
    door: OpenedDoor, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def never(*_: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(model_storing, "loaded", never)
    one = await door.line()
    await one.say(said("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", graphs.constant(1.0)))
    async with asyncio.timeout(10):
        await begun.wait()
        assert await store.stored() == {"m": [1]}
        one.writer.transport.abort()
        while await store.stored():
            pass


async def test_a_door_that_closes_waits_for_what_is_put_in_order_behind_a_client(
    door: OpenedDoor, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, done = asyncio.Event(), asyncio.Event()

    async def kept_waiting(*_: Any) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await store.redis.blpop(["nobody"], 0.3)
            done.set()

    monkeypatch.setattr(model_storing, "loaded", kept_waiting)
    one = await door.line()
    await one.say(said("AI.MODELSTORE", "m", "ONNX", "CPU", "BLOB", graphs.constant(1.0)))
    async with asyncio.timeout(10):
        await begun.wait()
        one.writer.transport.abort()
        await asyncio.sleep(0.05)  # the server hears of it
        await door.door.close()

    assert done.is_set()
    assert await store.stored() == {}
