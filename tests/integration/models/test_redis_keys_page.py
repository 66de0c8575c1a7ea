"""docs/redis-keys.md says what the code does: its table, its examples, its access rights."""

import re
import shlex
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from redis.asyncio import Redis

from models import keys as keys_module
from models.ed25519 import SigningKey
from models.errors import RedisRefused
from models.events import LOAD, UNLOAD
from models.jobs import JobSpec
from models.keys import Keys
from models.ledger import CANCELLED, DONE, Ledger
from models.model_pointers import ModelPointer, name_of
from models.refusals import Refusal
from models.store import ModelStore
from models.tallies import Tally
from models.traffic import Traffic, position, salt
from models.trust import Signing, Trust
from server.batch.parts import Part
from tests.data.make_contract import bundle

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "redis-keys.md").read_text()
PROMPT = "127.0.0.1:6379> "


def rows(after: str) -> list[list[str]]:
    """The cells of the first table after a heading, without its head."""
    section = PAGE.split(f"\n{after}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def documented() -> dict[str, str]:
    """Key -> type, as the page says."""
    return {key.strip("`"): kind for key, kind, *_ in rows("## The table")}


def shape(key: str) -> str:
    """A real key of the model `churn` as the table words it."""
    key = key.replace("{churn}", "{NAME}").replace("{job:nightly}", "{job:JOB}")
    key = re.sub(r"\{\d+\}:nightly:\d+:scores$", "{SLOT}:JOB:BEGUN:STREAM", key)
    return re.sub(r":onnx:\d+$", ":onnx:I", re.sub(r":v\d+:", ":vN:", key))


def test_the_table_has_every_key_that_the_code_builds_and_no_other() -> None:
    keys = Keys()
    built = [keys.models(), keys.events(), keys.model("churn"), keys.aliases("churn"), keys.versions("churn")]
    built += [
        keys.manifest("churn", 3),
        keys.card("churn", 3),
        keys.signature("churn", 3),
        keys.refused("churn", 3),
        keys.chunk("churn", 3, 7),
        keys.deleted("churn"),
    ]
    built += [keys.jobs(), keys.job("nightly")]
    built += [keys.job_parts("nightly"), keys.job_tallies("nightly"), keys.job_walker("nightly")]
    built += [keys.job_working("nightly")]
    built += [keys.job_appended("nightly", 1.5, "scores", 9)]
    methods = [one for name, one in vars(Keys).items() if not name.startswith("_") and callable(one)]
    methods = [one for one in methods if signature(one).return_annotation is str]  # that build one

    assert {shape(key) for key in built} == set(documented())
    assert len(built) == len(methods)


def test_the_head_of_the_module_is_the_same_table() -> None:
    found = re.findall(r"^    (insitu:\S+) +(\w+) ", keys_module.__doc__ or "", re.MULTILINE)

    assert dict(found) == documented()


async def score_half_a_job(redis: Any) -> None:
    """Settle one of two parts of the job `nightly`."""
    job = Ledger(redis, Keys(), "nightly", "a process")
    await job.begin(JobSpec(model="churn", version=1))
    await job.lead()
    await job.add([Part([b"customer:1"]).packed(), Part([b"customer:2"]).packed()], "{}", 0.5)
    (taken,) = await job.take(1, 10)
    await job.settle(taken, Tally(scored=1).to_json())


async def test_the_fields_of_a_jobs_hash_are_those_of_the_table(redis: Any) -> None:
    await score_half_a_job(redis)
    job = Ledger(redis, Keys(), "nightly", "a process")
    await job.beat([])
    await job.end(CANCELLED, "no longer wanted")

    found = {field.decode() for field in await redis.hgetall(Keys().job("nightly"))}

    (cells,) = [cells for cells in rows("## The table") if cells[0] == "`insitu:{job:JOB}`"]
    assert found == set(re.findall(r"`([\w:]+)`", cells[2]))


async def test_a_scorers_rights_are_enough_for_a_job(as_user: Any) -> None:
    redis = await as_user("insitu-scorer")
    job = Ledger(redis, Keys(), "nightly", "a process")

    await score_half_a_job(redis)
    (taken,) = await job.take(1, 10)
    await job.beat([taken.entry])
    await job.walked()
    assert await job.settle(taken, Tally(scored=2).to_json(), Tally(scored=1).to_json()) == 2
    await redis.hset(Keys().job_appended("nightly", 1.5, "scores", 9), "0-1-0", b"\1")
    await redis.set("score:patient:1", b"{}")
    assert await redis.info("server")
    assert (await job.look()).state == DONE


async def test_a_real_publish_writes_the_keys_of_the_table_with_their_types(redis: Any) -> None:
    store = ModelStore(redis, chunk_bytes=100)
    await store.publish(replace(bundle(), page=b"<!doctype html>"))
    await store.publish(bundle(), None)
    await store.delete("churn", 2)
    await store.sign("churn", 1, SigningKey.new())
    await store.refusals.note("churn", 1, Refusal.now("it crashes", "ONNX Runtime 1.32.0"))
    await score_half_a_job(redis)
    await redis.hset(
        Keys().job_appended("nightly", 1.5, "scores", 9), "0-1-0", b"\1"
    )  # as `insitu score` does

    found = {shape(key.decode()): (await redis.type(key)).decode() async for key in redis.scan_iter()}

    assert found == documented()


async def test_the_fields_of_the_models_hash_are_those_of_the_table(redis: Any) -> None:
    store = ModelStore(redis)
    await store.publish(bundle())
    await store.publish(bundle())
    await store.set_traffic("churn", {1: 95, 2: 5})

    found = {
        field.decode().replace("production", "ALIAS")
        for field in await redis.hgetall(store.keys.model("churn"))
    }

    (cells,) = [cells for cells in rows("## The table") if cells[0] == "`insitu:{NAME}`"]
    assert found == set(re.findall(r"`([\w:]+)`", cells[2]))


def test_another_program_that_follows_the_page_finds_the_version_of_a_key() -> None:
    section = PAGE.split("\n## Traffic\n", 1)[1].split("\n## ", 1)[0]
    found = re.findall(r"^\| `([\w:]+)` \| (\d+) \| (\d+) \|$", section, re.MULTILINE)
    rule = Traffic.read("churn", {1: 95, 2: 5})

    for key, number, version in found:
        worked_out = crc32(f"churn:{key}".encode()) * 2654435769 % 2**32

        assert worked_out == position(salt("churn"), key) == int(number)
        assert (2 if worked_out < 2**32 * 5 // 100 else 1) == rule.version_for(key) == int(version)
    assert {version for _, _, version in found} == {"1", "2"}


def examples() -> list[tuple[str, str]]:
    """Every command of the page with what it printed."""
    blocks = re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    parts = [part for block in blocks for part in block.split(PROMPT)[1:]]
    return [(part.split("\n", 1)[0], part.split("\n", 1)[1].rstrip("\n")) for part in parts]


def printed(reply: Any, indent: str = "") -> str:
    """A reply as redis-cli prints it."""
    if isinstance(reply, int):
        return f"(integer) {reply}"
    if isinstance(reply, bytes):
        text = reply.decode().replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'
    lines = []
    for number, part in enumerate(reply, 1):
        head = f"{number}) "
        lines.append(head + printed(part, indent + " " * len(head)))
    return f"\n{indent}".join(lines)


@pytest.fixture
async def published_twice(redis_url: str) -> Any:
    async with Redis.from_url(redis_url, protocol=2) as plain:
        store = ModelStore(plain)
        await store.publish(bundle())
        await store.publish(bundle())
        await store.set_traffic("churn", {1: 95, 2: 5})
        await plain.set("models:churn", ModelPointer(name_of(b"models:churn"), 1).pack())
        plain.response_callbacks.clear()  # replies as the server sends them
        yield plain


async def test_every_example_prints_what_the_page_shows(published_twice: Redis) -> None:
    shown, real = [], []
    for command, output in examples():
        reply = await published_twice.execute_command(*shlex.split(command))
        real.append(re.sub(r'"\d+-\d+"', '"ID"', printed(reply)))
        shown.append(re.sub(r'"\d+-\d+"', '"ID"', output))

    assert len(shown) == PAGE.count(PROMPT) == 12
    assert shown == real


async def test_the_message_of_the_page_is_a_message_of_the_channel(redis: Any) -> None:
    async with redis.pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe("insitu:events")
        await channel.get_message(timeout=1)

        await ModelStore(redis).publish(bundle())
        await ModelStore(redis).publish(bundle())

        heard = [(await channel.get_message(timeout=5))["data"].decode() for _ in range(2)]
    assert f"A message on the channel: `{heard[1]}`" in PAGE


def test_every_event_is_in_its_table() -> None:
    code = (ROOT / "models" / "store.py").read_text()

    changes = set(re.findall(r'_tell\("(\w+)"', code))
    assert {event.strip("`") for event, *_ in rows("## Events")} == changes | {LOAD, UNLOAD}


def rights(user: str) -> list[str]:
    """The arguments of ACL SETUSER that the page gives a user."""
    (line,) = re.findall(rf"^ACL SETUSER {user} (.*)$", PAGE, re.MULTILINE)
    rules: list[str] = shlex.split(line)
    return rules


@pytest.fixture
async def as_user(redis: Redis, redis_url: str) -> Any:
    """A factory: a client with the rights that the page gives a user."""
    clients: list[Redis] = []

    async def log_in(user: str) -> Redis:
        await redis.execute_command("ACL", "SETUSER", user, "reset", *rights(user))
        clients.append(Redis.from_url(redis_url, username=user, password="PASSWORD"))
        return clients[-1]

    yield log_in
    for client in clients:
        await redis.execute_command("ACL", "DELUSER", client.get_connection_kwargs()["username"])
        await client.aclose()


async def test_the_publishers_rights_are_enough_for_every_change(as_user: Any) -> None:
    store = ModelStore(await as_user("insitu-publisher"))

    await store.publish(bundle())
    await store.publish(bundle())
    await store.rollback("churn")
    await store.promote("churn", 2, "canary")
    await store.remove_alias("churn", "canary")
    await store.set_traffic("churn", {1: 95, 2: 5})
    await store.clear_traffic("churn")
    await store.sign("churn", 1, SigningKey.new())
    await store.delete("churn", 2)

    assert await store.names() == ["churn"]
    assert len(await store.redis.xrange(store.keys.events())) == 9


async def test_the_servers_rights_are_enough_to_read_and_no_more(redis: Redis, as_user: Any) -> None:
    key = SigningKey.new()
    await ModelStore(redis, signing=Signing(key=key)).publish(bundle())
    await redis.hset("patient:1", "age", 40)
    await redis.hset("salary:1", "amount", 1)
    guest = await as_user("insitu-server")
    store = ModelStore(guest, signing=Signing(trust=Trust((key.public,))))

    assert (await store.load("churn", await store.resolve("churn"))).manifest.version == 1
    assert await store.names() == ["churn"]
    assert await guest.hmget("patient:1", "age") == [b"40"]
    assert len(await guest.xread({store.keys.events(): "0"})) == 1
    writes = (
        store.promote("churn", 1, "canary"),
        store.set_traffic("churn", {1: 1}),
        store.delete("churn", 1),
    )
    for refused in (store.publish(bundle()), *writes):
        with pytest.raises(RedisRefused):
            await refused
    with pytest.raises(RedisRefused):
        await ModelStore(guest, Keys("salary")).names()
