"""INSITU.MODELS and INSITU.PROMOTE: what is stored and loaded, and which version an alias means."""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from models.errors import BadRequest, ModelNotFound, shown
from models.manifest import Manifest
from models.store import PRODUCTION
from models.tensors import TensorSpec
from server.inference.engine import Engine
from server.resp.caller import Caller
from server.resp.commands.command import Command, Words
from server.resp.commands.options import OF_DIGITS, digits_in, parted, text
from server.resp.commands.vouching import check_writes
from server.resp.refusals import refused
from server.resp.wire.replies import OK, array
from server.resp.wire.values import encoded

LISTED = 1000  # models in one reply
AT_ONCE = 16  # models that are looked up beside one another
Facts = dict[str, Any]


async def models(caller: Caller, words: Words) -> bytes:
    """Answer INSITU.MODELS: a map of one model, or an array of one for each of the first models by name.

    Raises: Refused, InsituError.
    """
    if len(words) == 1:
        return encoded(caller.wire, await facts_of(caller.engine, text(words[0])))
    after, given = parted(words, 0, ("AFTER",))
    if after:
        raise refused(
            "syntax error: INSITU.MODELS takes a model, or AFTER and the last name of the list before"
        )
    names = await caller.engine.store.names()
    start = bisect_right(names, text(given["AFTER"])) if given else 0
    found = await facts_of_each(caller.engine, names[start : start + LISTED])
    return array([encoded(caller.wire, one) for one in found])


async def facts_of_each(engine: Engine, names: Sequence[str]) -> list[Facts]:
    """Return the facts of models; one that is deleted meanwhile is left out."""
    found: list[Facts] = []
    for at in range(0, len(names), AT_ONCE):
        some = (facts_of(engine, name) for name in names[at : at + AT_ONCE])
        for one in await asyncio.gather(*some, return_exceptions=True):
            if isinstance(one, BaseException):
                if not isinstance(one, ModelNotFound):
                    raise one
            else:
                found.append(one)
    return found


async def facts_of(engine: Engine, name: str) -> Facts:
    """Return what is told of a model: its versions, and how the one that serves is asked and answers.

    Raises: BadName, ModelNotFound, RedisUnavailable, RedisRefused.
    """
    versions = await engine.store.versions(name)
    aliases = (await engine.store.pointers(name)).aliases
    production = aliases.get(PRODUCTION)
    manifest = await engine.readable_manifest(name, versions[-1] if production is None else production)
    return {
        "name": name,
        "production": production,
        "versions": versions,
        "aliases": dict(sorted(aliases.items())),
        "loaded": [version for version in versions if engine.catalogue.find(name, version) is not None],
        **(facts_in(manifest) if manifest is not None else {}),
    }


def facts_in(manifest: Manifest) -> Facts:
    """Return what a manifest says of asking and answering."""
    view = manifest.features
    return {
        "task": manifest.task,
        "description": manifest.description,
        "keys": list(dict.fromkeys(source.key for source in view.keyed)) if view is not None else [],
        "labels": list(manifest.labels),
        "inputs": [of_spec(spec) for spec in manifest.inputs],
        "outputs": [of_spec(spec) for spec in manifest.outputs],
    }


def of_spec(spec: TensorSpec) -> Facts:
    """Return an input or output; a free dimension is its name, `?` without one."""
    return {"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape)}


async def promote(caller: Caller, words: Words) -> bytes:
    """Answer INSITU.PROMOTE: +OK once the alias points to the version; the client must be one who may write it.

    Raises: Refused, InsituError.
    """
    (name, version, *more), given = parted(words, 2, ("ALIAS",))
    if more:
        raise refused("syntax error: INSITU.PROMOTE takes a model, a version and ALIAS with its name")
    number = digits_in(version)
    if number is None:
        raise BadRequest(f"version is {shown(version)!r}; send the number of a stored version{OF_DIGITS}")
    alias, store = text(given["ALIAS"]) if given else PRODUCTION, caller.engine.store
    await check_writes(caller, (store.keys.model(text(name)), store.keys.aliases(text(name))))
    await store.promote(text(name), number, alias)
    return OK


COMMANDS = (
    Command(
        "INSITU.MODELS",
        -1,
        models,
        "Lists the stored models, or shows one",
        "[model | AFTER model]",
        flags=("readonly",),
        alongside=True,
        scope="predict",
    ),
    Command(
        "INSITU.PROMOTE",
        -3,
        promote,
        "Points an alias of a model to a version; production where none is named",
        "model version [ALIAS alias]",
        flags=("write",),
    ),
)
