"""INSITU.PREDICT: rows of keys, read and predicted by the server, a reply for each key.

asked(words)               what the words ask of the core
rows.replies_of(wire, ..)  what it answered, one reply a row
"""

from collections.abc import Sequence

import numpy as np

from models.errors import FeatureError
from models.manifest import Manifest
from models.tensors import numpy_dtype
from server.inference.asking import Answer, Ask, Row
from server.inference.engine import Engine
from server.inference.errors import BadInput, RunFailed
from server.resp import errors
from server.resp.caller import Caller
from server.resp.commands.command import Command, Words
from server.resp.commands.options import (
    check_home,
    counted,
    deadline_of,
    missing_of,
    parted,
    text,
    version_of,
)
from server.resp.rows import of_tensors, replies_of
from server.resp.wire.replies import Encoder, array

VALUED, FLAGS = ("VERSION", "MISSING", "TIMEOUT"), ("RAW",)
LEAST = 2  # words: a model and a key
OF_ROWS = (FeatureError, RunFailed, BadInput)


def asked(words: Words) -> Ask:
    """Return what the words after the name ask; `raw` asks for tensors.

    Raises: BadRequest.
    """
    (model, *keys), given = parted(words, LEAST, VALUED, FLAGS)
    return Ask(
        text(model),
        version_of(given),
        keys=[*map(text, keys)],
        missing=missing_of(given),
        raw="RAW" in given,
        deadline=deadline_of(given),
    )


def keys_of(words: Words) -> list[bytes]:
    """Return the words after the name that are keys."""
    return [*parted(words, LEAST, VALUED, FLAGS)[0][1:]]


async def predict(caller: Caller, words: Words) -> bytes:
    """Answer INSITU.PREDICT: an array of one reply a key; a row that fails is an error in its place.

    Raises: Refused; InsituError for what concerns all rows.
    """
    check_home(caller)
    with counted(caller, words[0]):
        ask = asked(words)
    if ask.raw:
        return array(await raw_replies(caller.engine, caller.wire, ask))
    return array(replies_of(caller.wire, await caller.engine.predictor.predict(ask)))


async def raw_replies(engine: Engine, wire: Encoder, ask: Ask) -> list[bytes]:
    """Return the bytes of the outputs of each row.

    All rows are asked for as tensors where nothing keeps one version from answering them together;
    where one fails, or a traffic rule parts them, each by itself.

    Raises: InsituError for what concerns all rows.
    """
    if is_plain(engine, ask):
        try:
            return replies_of(wire, await engine.predictor.predict(of_whole(ask)))
        except OF_ROWS as error:
            if ask.keys is not None and len(ask.keys) == 1:
                return [errors.within(error)]
    answer = await engine.predictor.predict(ask)
    return [await of_raw_row(engine, answer, row) for row in answer.rows]


def of_whole(ask: Ask) -> Ask:
    """Return the same request for keys, to be answered by tensors of all rows."""
    return Ask(ask.model, ask.reference, ask.keys, missing=ask.missing, deadline=ask.deadline, tensors=True)


def is_plain(engine: Engine, ask: Ask) -> bool:
    """Whether one version that is loaded answers all rows of a request, each with a row of its outputs."""
    route = engine.catalogue.route(ask.model, ask.reference)
    return route is not None and route.split is None and route.serving.rows != "whole"


async def of_raw_row(engine: Engine, answer: Answer, row: Row) -> bytes:
    """Return the bytes of the outputs of one row, which has them as lists; or its error."""
    if row.error is not None:
        return errors.within(row.error)
    version = answer.version if row.version is None else row.version
    manifest = (await engine.catalogue.get(answer.model, version)).manifest
    return of_tensors(arrays(manifest, row), 1)[0]


def arrays(manifest: Manifest, row: Row) -> Sequence["np.ndarray[tuple[int, ...], np.dtype[np.generic]]"]:
    """Return the outputs of one row as the graph gave them."""
    outputs = row.body["outputs"]
    return [np.array(outputs[spec.name], numpy_dtype(spec.dtype)) for spec in manifest.outputs]


COMMANDS = (
    Command(
        "INSITU.PREDICT",
        -3,
        predict,
        "Predicts from the features that lie at keys, a reply for each key",
        "model key [key ...] [VERSION version] [MISSING number] [TIMEOUT milliseconds] [RAW]",
        flags=("readonly", "movablekeys"),
        keys=(2, 2, 1),
        names=keys_of,
        alongside=True,
        scope="predict",
    ),
)
