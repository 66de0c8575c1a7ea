"""JSON of inference requests, with the three numbers beside it that Triton reads: NaN, Infinity and -Infinity.

Python's json, and RapidJSON in NVIDIA's client, write them where a tensor holds them.

Source: TritonJson, which parses with RapidJSON's kParseNanAndInfFlag.
"""

import json
from collections.abc import Sequence
from typing import Any

from models.errors import shown
from server.rest.refusals import MalformedJson
from server.rest.wire import decode

WORDS = (b"NaN", b"Infinity")


def decoded(body: bytes, fields: Sequence[str]) -> Any:
    """Return the data of a JSON text that may hold numbers that are not finite; none of `fields` may be given twice.

    Raises: MalformedJson, TooManyNodes, TooManyNames.
    """
    try:
        return decode(body, fields)
    except MalformedJson:
        if not any(word in body for word in WORDS):
            raise
    decode(finite(body), fields)  # as strict as ever about all the rest, with the places of what is wrong
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedJson(f"the body is no JSON: {shown(error)}") from error


def finite(body: bytes) -> bytes:
    """Return a text with a number as long in place of each word, inside other texts too: no word is left."""
    for word in WORDS:
        body = body.replace(word, b"0".ljust(len(word)))
    return body
