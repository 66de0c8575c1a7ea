"""One field of the hash or the document under a key: what is asked for it, and what a reply says."""

from typing import Literal

import orjson

from models.encoding import Form
from models.sources import json_path
from models.text_sources import first
from models.values import Raw

Kind = Literal["hash", "json"]


def form_of(kind: Kind, name: str) -> Form:
    """Return what is asked for a field."""
    return Form("JSON.GET", json_path(name)) if kind == "json" else Form("HGET", name)


def value_in(kind: Kind, reply: Raw) -> Raw:
    """Return what a reply that is there says of a field, None where the document lacks it."""
    return first(orjson.loads(reply)) if kind == "json" else reply
