"""AI.INFO: what a model was used for."""

import asyncio

from models.manifest import Manifest
from server.counting.usage import Usage
from server.resp.caller import Caller
from server.resp.commands.command import Command, Words
from server.resp.commands.models import device_of, tag_of
from server.resp.commands.stored_models import EMPTY, manifest_at
from server.resp.refusals import WRONG_TYPE, Refused, refused
from server.resp.wire.replies import OK, array, bulk, integer

MAY_NOT_RESET = "NOPERM this token may predict; RESETSTAT needs a token of scope admin"
NO_MODEL = (WRONG_TYPE, f"ERR {EMPTY}")


async def info(caller: Caller, args: Words) -> bytes:
    """Answer AI.INFO and AI.INFO ... RESETSTAT.

    The numbers are of the version that the key means now: of every request of it, through whichever
    door, answered by any worker of this server since it was started. A request counts as an error
    where it got no good row, also one that never ran. Microseconds are those in ONNX Runtime of
    what went well, and each request of a batch is charged with all of it. RESETSTAT begins anew for
    every worker, and touches no other number of the server.

    Raises: Refused, BundleCorrupt, ManifestUnreadable, RedisUnavailable, RedisRefused.
    """
    if len(args) > 2:
        raise Refused("ERR wrong number of arguments for 'ai.info' command")
    resets = [word.upper() for word in args[1:]] == [b"RESETSTAT"]
    if resets and not caller.changes:
        raise Refused(MAY_NOT_RESET)
    manifest = await counted_at(caller, args[0])
    metrics, place = caller.engine.metrics, (manifest.name, manifest.version)
    usage = await asyncio.to_thread(metrics.usage, *place)
    if resets:
        metrics.reset_usage(*place, usage)
        return OK
    return told(caller, args[0], manifest, usage)


async def counted_at(caller: Caller, key: bytes) -> Manifest:
    """Return the manifest of the model at a key.

    Raises: as `manifest_at`, but in the words of this command.
    """
    try:
        return await manifest_at(caller, key)
    except Refused as error:
        if str(error) in NO_MODEL:
            raise refused("cannot find run info for key") from None
        raise


def told(caller: Caller, key: bytes, manifest: Manifest, usage: Usage) -> bytes:
    """Return names and values by turns, in RedisAI's order."""
    serving = caller.engine.catalogue.find(manifest.name, manifest.version)
    facts = {
        "key": bulk(key),
        "type": bulk("MODEL"),
        "backend": bulk("ONNX"),
        "device": bulk(device_of(manifest, serving)),
        "tag": bulk(tag_of(manifest)),
        "duration": integer(round(usage.microseconds)),
        "samples": integer(round(usage.samples)),
        "calls": integer(round(usage.calls)),
        "errors": integer(round(usage.errors)),
    }
    return array([part for name, value in facts.items() for part in (bulk(name), value)])


COMMANDS: tuple[Command, ...] = (
    Command(
        "AI.INFO",
        -2,
        info,
        "Return what a model was used for, or begin to count that anew",
        "key [RESETSTAT]",
        ("readonly",),
        (1, 1, 1),
        scope="predict",
    ),
)
