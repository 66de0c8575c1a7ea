"""Models at keys: AI.MODELSTORE, AI.MODELSET, AI.MODELGET, AI.MODELDEL and AI._MODELSCAN."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from redis.exceptions import ResponseError

from models.errors import BadModelFile, BundleCorrupt, InsituError, ModelNotFound, VersionNotFound
from models.execution import bytes_of
from models.manifest import Manifest
from models.model_pointers import START
from server.inference.loading import Serving
from server.inference.sessions import CPU
from server.resp import errors
from server.resp.caller import Caller
from server.resp.commands.command import Command, Queued, Words
from server.resp.commands.model_faults import refusal_of
from server.resp.commands.model_listing import listed
from server.resp.commands.model_parsing import NO_BACKEND, Wanted, parse_modelset, parse_modelstore
from server.resp.commands.model_storing import UNPOINT, let_go, put, take
from server.resp.commands.stored_models import manifest_of
from server.resp.refusals import Refused, refused
from server.resp.wire.frames import END
from server.resp.wire.long_replies import put_together
from server.resp.wire.replies import OK, array, bulk, integer

GET_WORDS = 3  # at most, after the name
CHUNKS_MOST = 1 << 16  # of one file
WRITES = ("write", "denyoom")
Stored = Coroutine[Any, Any, bytes]


def modelstore(caller: Caller, args: Words) -> Stored:
    """Answer AI.MODELSTORE.

    Raises: as `model_storing.put`, once it is awaited.
    """
    return stored(caller, args, parse_modelstore)


def modelset(caller: Caller, args: Words) -> Stored:
    """Answer AI.MODELSET.

    Raises: as `model_storing.put`, once it is awaited.
    """
    return stored(caller, args, parse_modelset)


async def stored(caller: Caller, args: Words, parse: Callable[[Words, int], Wanted]) -> bytes:
    """Store a model at a key; nobody but what is stored holds its file then, or its memory would be taken twice.

    Raises: as `model_storing.put`.
    """
    wanted = parse(args, caller.db)
    del args
    try:
        await put(caller, wanted)
    except BadModelFile as error:
        raise refusal_of(error) from error
    return OK


async def modelget(caller: Caller, args: Words) -> bytes:
    """Answer AI.MODELGET: what is known of a model, its file, or both.

    Where that version is deleted while it is read, because others were stored in its place, the newest one is told.

    Raises: Refused, BundleCorrupt, ManifestUnreadable, RedisUnavailable, RedisRefused.
    """
    check_get(args)
    (there,) = await caller.redis([("GET", args[0])])
    while True:
        try:
            return await told(caller, args, await manifest_of(caller, args[0], there))
        except (Refused, ModelNotFound, VersionNotFound, BundleCorrupt):
            (now,) = await caller.redis([("GET", args[0])])
            if now == there or isinstance(now, ResponseError):
                raise
            there = now


def check_get(args: Words) -> None:
    """Refuse more words than there are.

    Raises: Refused.
    """
    if len(args) > GET_WORDS:
        raise Refused("ERR wrong number of arguments for 'ai.modelget' command")


def get_in_transaction(caller: Caller, args: Words) -> Queued:
    """Return the GET of a model's pointer, and how its reply becomes what is known of the model.

    Raises: Refused.
    """
    check_get(args)

    async def got(reply: Any) -> bytes:
        try:
            return await told(caller, args, await manifest_of(caller, args[0], reply))
        except InsituError as error:
            return errors.within(error)

    return Queued(("GET", args[0]), got)


async def told(caller: Caller, args: Words, manifest: Manifest) -> bytes:
    """Return what AI.MODELGET tells of a version.

    Raises: BundleCorrupt, RedisUnavailable, RedisRefused.
    """
    asked = {word.upper() for word in args[1:]}
    meta, blob = b"META" in asked, b"BLOB" in asked
    facts = facts_of(manifest, caller.engine.catalogue.find(manifest.name, manifest.version))
    if meta and not blob:
        return array(facts)
    onnx = (await caller.engine.store.load(manifest.name, manifest.version)).onnx
    file = in_chunks(onnx, caller.configuration.model_chunk_bytes)
    if blob and not meta:
        return await put_together(file)
    return await put_together((b"*%d\r\n" % (len(facts) + 2), *facts, bulk("blob"), *file))


def facts_of(manifest: Manifest, serving: Serving | None) -> list[bytes]:
    """Return what is known of a model, names and values by turns."""
    said = manifest.execution
    names = [array([bulk(spec.name) for spec in specs]) for specs in (manifest.inputs, manifest.outputs)]
    facts = {
        "backend": bulk("ONNX"),
        "device": bulk(device_of(manifest, serving)),
        "tag": bulk(tag_of(manifest)),
        "batchsize": integer(said.batch_rows if said else 0),
        "minbatchsize": integer(said.min_batch_rows if said else 0),
        "inputs": names[0],
        "outputs": names[1],
        "minbatchtimeout": integer(said.min_batch_wait_ms if said else 0),
    }
    return [part for name, value in facts.items() for part in (bulk(name), value)]


def device_of(manifest: Manifest, serving: Serving | None) -> str:
    """Return the device that a model was stored for; of other doors' models the one that runs it, if it is loaded."""
    if manifest.execution is not None:
        return manifest.execution.device
    return "GPU" if serving is not None and serving.provider != CPU else "CPU"


def tag_of(manifest: Manifest) -> bytes:
    """Return the tag that a model was stored with."""
    return bytes_of(manifest.execution.tag) if manifest.execution else b""


def in_chunks(onnx: bytes, most: int) -> list[bytes | memoryview]:
    """Return the pieces of a file as one string, or as several where it is longer than one may be.

    As many as RedisAI makes of it: the last one is empty where the length is a multiple of theirs. They are longer
    where they would be too many to be written: each costs a hundred bytes of memory, however short.
    """
    most = max(most, len(onnx) // CHUNKS_MOST + 1)
    if len(onnx) <= most:
        return [b"$%d\r\n" % len(onnx), onnx, END]
    view, starts = memoryview(onnx), range(0, len(onnx) + 1, most)
    pieces: list[bytes | memoryview] = [b"*%d\r\n" % len(starts)]
    for at in starts:
        chunk = view[at : at + most]
        pieces += (b"$%d\r\n" % len(chunk), chunk, END)
    return pieces


async def modeldel(caller: Caller, args: Words) -> bytes:
    """Answer AI.MODELDEL.

    Raises: as `model_storing.take`.
    """
    await take(caller, args[0])
    return OK


def delete_in_transaction(caller: Caller, args: Words) -> Queued:
    """Return the script that takes a model's pointer away, and how its version follows."""

    async def taken(reply: Any) -> bytes:
        try:
            await let_go(caller, args[0], reply)
        except InsituError as error:
            return errors.within(error)
        return OK

    return Queued(("EVAL", UNPOINT.text, 1, args[0], START), taken)


async def modelscan(caller: Caller, _args: Words) -> bytes:
    """Answer AI._MODELSCAN: key and tag of each model.

    Raises: RedisUnavailable, RedisRefused.
    """
    return array([array([bulk(key), bulk(tag_of(one))]) for key, one in await listed(caller)])


async def no_backend(_caller: Caller, _args: Words) -> bytes:
    """Answer what would need TorchScript.

    Raises: Refused.
    """
    raise refused(NO_BACKEND)


async def no_scripts(_caller: Caller, _args: Words) -> bytes:
    """Answer AI._SCRIPTSCAN, as RedisAI where no script is stored."""
    return array([])


def script_commands(arities: Sequence[tuple[str, int]]) -> tuple[Command, ...]:
    """Return the commands of TorchScript, which nothing here runs."""
    summary = "Not served: nothing here runs TorchScript"
    return tuple(Command(name, arity, no_backend, summary) for name, arity in arities)


COMMANDS: tuple[Command, ...] = (
    Command(
        "AI.MODELSTORE",
        -6,
        modelstore,
        "Store an ONNX model at a key",
        "key backend device [TAG tag] [BATCHSIZE n [MINBATCHSIZE m [MINBATCHTIMEOUT ms]]] BLOB chunk [chunk ...]",
        WRITES,
        (1, 1, 1),
    ),
    Command(
        "AI.MODELSET",
        -4,
        modelset,
        "Store an ONNX model at a key; AI.MODELSTORE has taken its place",
        "key backend device [TAG tag] [BATCHSIZE n [MINBATCHSIZE m [MINBATCHTIMEOUT ms]]] BLOB chunk [chunk ...]",
        WRITES,
        (1, 1, 1),
        least=6,
    ),
    Command(
        "AI.MODELGET",
        -2,
        modelget,
        "Return what is known of a model, and its file",
        "key [META] [BLOB]",
        ("readonly",),
        (1, 1, 1),
        queued=get_in_transaction,
    ),
    Command(
        "AI.MODELDEL",
        2,
        modeldel,
        "Delete a model and its key",
        "key",
        ("write",),
        (1, 1, 1),
        queued=delete_in_transaction,
    ),
    Command(
        "AI._MODELSCAN",
        1,
        modelscan,
        "Return key and tag of every model",
        flags=("readonly",),
        alongside=True,
        scope="predict",
    ),
    *script_commands(
        [
            ("AI.SCRIPTSTORE", -8),
            ("AI.SCRIPTSET", -5),
            ("AI.SCRIPTGET", -2),
            ("AI.SCRIPTDEL", 2),
            ("AI.SCRIPTEXECUTE", -4),
            ("AI.SCRIPTRUN", -4),
        ]
    ),
    Command(
        "AI._SCRIPTSCAN",
        1,
        no_scripts,
        "List keys and tags of the scripts, of which there are none",
        flags=("readonly",),
    ),
)
