"""A RedisAI that runs, as a source: it is read, and asked for answers to compare; nothing is written to it."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from cli.importing.databases import Databases
from cli.importing.errors import NoRedisAI, ValueGone, ValueUnreadable
from cli.importing.inventory import AI_KINDS, Found, Inventory
from cli.importing.rdb_walk import Watch
from cli.importing.replay import now_ms
from cli.importing.values import ONNX, RaiModel, RaiScript, Value
from models.connecting import without_password
from models.errors import InsituError, RedisRefused, shown
from models.execution import Execution, text_of
from models.redis_failures import connected
from models.scanning import scan
from models.store import Client
from models.tensor_strings import DTYPES, StoredTensor, of_array, unpack
from models.tensor_strings import pack as packed
from models.tensors import Tensor

UNKNOWN_TYPE = "unknown type name"
GONE = "it expired or was deleted since its key was found"


class LiveSource:
    """One running RedisAI."""

    def __init__(self, url: str, client: Client) -> None:
        self._place = shown(without_password(url))
        self._databases = Databases(url, client)
        self._client: Any = client

    async def close(self) -> None:
        """Close what was opened beside the client that was given."""
        await self._databases.close()

    async def look(self, watch: Watch) -> Inventory:
        """Find the keys of RedisAI in every database, by type.

        Raises: NoRedisAI; RedisUnavailable, RedisRefused.
        """
        inventory = Inventory()
        databases = await self._in_use()
        for done, db in enumerate(databases):
            for name, kind in AI_KINDS.items():
                async for keys in self._of_type(db, name):
                    inventory.found += [Found(db, key, kind, at) for key, at in keys]
            watch(done + 1, len(databases))
        inventory.found = list({(one.db, one.key): one for one in inventory.found}.values())
        return inventory

    async def _of_type(self, db: int, name: str) -> AsyncIterator[list[tuple[bytes, int | None]]]:
        """Yield the keys of a type, part by part, with when they expire.

        Raises: NoRedisAI; RedisUnavailable, RedisRefused.
        """
        try:
            async for part in scan(self._databases.of(db), "*", name):
                yield await self._with_times(db, part.keys)
        except RedisRefused as error:
            # What Redis has said since 7.2 of a type that no module of it brought; before, nothing is found.
            if UNKNOWN_TYPE not in str(error):
                raise
            raise NoRedisAI(self._place) from error

    async def _in_use(self) -> list[int]:
        """Return the databases with keys."""
        if not isinstance(self._client, Redis):
            return [0]
        async with connected(self._client):
            said = await self._client.info("keyspace")
        return sorted(int(name.removeprefix("db")) for name in said if name.startswith("db"))

    async def _with_times(self, db: int, keys: list[bytes]) -> list[tuple[bytes, int | None]]:
        """Return keys with when they expire; those that are gone meanwhile are left out."""
        client: Any = self._databases.of(db)
        pipeline = client.pipeline(transaction=False)
        for key in keys:
            pipeline.pttl(key)
        async with connected(client):
            times = await pipeline.execute() if keys else []
        now = now_ms()
        return [
            (key, now + left if left >= 0 else None)
            for key, left in zip(keys, times, strict=True)
            if left >= 0 or left == -1
        ]

    async def read(self, found: Found) -> Value:
        """Ask for one value.

        Raises: ValueGone, ValueUnreadable; RedisUnavailable.
        """
        try:
            return await self._read(found)
        except RedisRefused as error:
            raise await self._why(found, error) from error

    async def _why(self, found: Found, error: RedisRefused) -> InsituError:
        """Return why one value is not told: tensors that expire are gone while others are read."""
        if not await self._ask(found.db, "EXISTS", found.key):
            return ValueGone(GONE, key=found.name, db=found.db)
        return ValueUnreadable(
            f"RedisAI does not tell the {found.kind} at key {found.name!r} of database {found.db} "
            f"({error.details['reason']}); import it from a file: SAVE, then dump.rdb",
            key=found.name,
            db=found.db,
        )

    async def _read(self, found: Found) -> Value:
        """Ask for one value.

        Raises: ValueUnreadable; RedisUnavailable, RedisRefused.
        """
        if found.kind == "script":
            return RaiScript()
        command = "AI.TENSORGET" if found.kind == "tensor" else "AI.MODELGET"
        if found.kind == "model":
            said = facts(await self._ask(found.db, command, found.key, "META"))
            if word(said, "backend") != ONNX:
                return model_of(found, said)
        try:
            said = facts(await self._ask(found.db, command, found.key, "META", "BLOB"))
            return model_of(found, said) if found.kind == "model" else tensor_of(said)
        except (KeyError, ValueError, TypeError) as error:
            raise ValueUnreadable(
                f"what RedisAI says of the {found.kind} at key {found.name!r} of database {found.db} cannot be "
                f"understood ({type(error).__name__}: {error}); import it from a file: SAVE, then dump.rdb",
                key=found.name,
                db=found.db,
            ) from error

    async def _ask(self, db: int, *words: Any) -> Any:
        client: Any = self._databases.of(db)
        async with connected(client):
            return await client.execute_command(*words)

    async def run(self, found: Found, feeds: Sequence[Tensor], outputs: int) -> list[StoredTensor] | str:
        """Run a model on made-up rows, without a key being written; return its outputs, or why there are none.

        Raises: RedisUnavailable.
        """
        tensors, refused = [of_array(array) for array in feeds], ""
        for words_of in (run_words, older_run_words):
            try:
                replies = await self._ask(found.db, *words_of(found.key, tensors, outputs))
            except Exception as error:  # noqa: BLE001  # whatever it says: the model is imported, only not compared
                refused = refused or str(error)
            else:
                return outputs_of(replies, len(feeds) + 1)
        return refused


def run_words(key: bytes, inputs: Sequence[StoredTensor], outputs: int) -> list[Any]:
    """Return the command that runs a model on tensors it carries, and answers with the outputs."""
    names, wanted = [f"in{at}" for at in range(len(inputs))], [f"out{at}" for at in range(outputs)]
    run = ["AI.MODELEXECUTE", key, "INPUTS", len(names), *names, "OUTPUTS", len(wanted), *wanted]
    return ["AI.DAGEXECUTE_RO", "ROUTING", key, *steps(names, inputs), "|>", *run, *answers(wanted)]


def older_run_words(key: bytes, inputs: Sequence[StoredTensor], outputs: int) -> list[Any]:
    """Return the same for a RedisAI before 1.2.3, which has no AI.DAGEXECUTE_RO."""
    names, wanted = [f"in{at}" for at in range(len(inputs))], [f"out{at}" for at in range(outputs)]
    run = ["AI.MODELRUN", key, "INPUTS", *names, "OUTPUTS", *wanted]
    return ["AI.DAGRUN_RO", *steps(names, inputs), "|>", *run, *answers(wanted)]


def steps(names: Sequence[str], inputs: Sequence[StoredTensor]) -> list[Any]:
    """Return the steps that set the inputs."""
    words: list[Any] = []
    for name, tensor in zip(names, inputs, strict=True):
        words += ["|>", "AI.TENSORSET", name, tensor.dtype, *tensor.shape, "BLOB", tensor.data]
    return words


def answers(wanted: Sequence[str]) -> list[Any]:
    """Return the steps that get the outputs."""
    words: list[Any] = []
    for name in wanted:
        words += ["|>", "AI.TENSORGET", name, "META", "BLOB"]
    return words


def outputs_of(replies: Any, first: int) -> list[StoredTensor] | str:
    """Return the tensors of the replies from the first one on, or the error among them."""
    wrong = next((str(one) for one in replies if isinstance(one, ResponseError)), None)
    if wrong is not None:
        return wrong
    try:
        return [tensor_of(facts(reply)) for reply in replies[first:]]
    except (KeyError, ValueError, TypeError) as error:
        return f"its answer cannot be understood: {error}"


def facts(reply: Any) -> dict[str, Any]:
    """Return what a reply says by name, whichever protocol it came by."""
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {text(name): value for name, value in pairs}


def text(value: Any) -> str:
    """Return a word of a reply."""
    return value.decode() if isinstance(value, bytes) else str(value)


def word(said: dict[str, Any], name: str) -> str:
    """Return a fact that is a word."""
    return text(said[name])


def tensor_of(said: dict[str, Any]) -> StoredTensor:
    """Return the tensor of AI.TENSORGET META BLOB.

    Raises: KeyError, ValueError.
    """
    tensor = StoredTensor(word(said, "dtype"), tuple(map(int, said["shape"])), said["blob"])
    if tensor.dtype not in DTYPES or unpack(packed(tensor)) != tensor:
        raise ValueError(f"{len(tensor.data)} bytes for {tensor.dtype} {list(tensor.shape)}")
    return tensor


def model_of(found: Found, said: dict[str, Any]) -> RaiModel:
    """Return the model of AI.MODELGET META BLOB.

    Raises: KeyError, ValueError.
    """
    file = said.get("blob", b"")
    tag = said.get("tag") or b""
    execution = Execution(
        key=text_of(found.key),
        db=found.db,
        device=word(said, "device"),
        tag=text_of(tag if isinstance(tag, bytes) else str(tag).encode()),
        batch_rows=int(said.get("batchsize") or 0),
        min_batch_rows=int(said.get("minbatchsize") or 0),
        min_batch_wait_ms=int(said.get("minbatchtimeout") or 0),
    )
    return RaiModel(word(said, "backend"), execution, b"".join(file) if isinstance(file, list) else file)
