"""What whoever may write into Redis could do to version 1 of a signed model, and why it is then not trusted.

Each attack gets a client, the name of a model whose versions 1 and 2 are signed by `TRUSTED`, and leaves version 1
as it would like it to be served.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

from models.bundle import Bundle
from models.ed25519 import SigningKey
from models.keys import Keys
from models.signature import Signature
from models.store import ModelStore
from models.trust import Signing
from tests.graphs import bundle, constant

KEYS = Keys()
TRUSTED, STRANGER = SigningKey.new(), SigningKey.new()
VIEW = {"inputs": [{"name": "x", "sources": [{"key": "c:{id}", "as": "vector", "shape": [2]}]}]}
PAGE = b"<!doctype html><title>signed</title>"

Attack = Callable[[Any, str], Awaitable[None]]


def model(name: str, answer: float = 1.0) -> Bundle:
    """A model that answers a number, and has a page of a card."""
    return replace(bundle(constant(answer), name, VIEW, task="regression"), page=PAGE)


def trusting(*keys: SigningKey) -> dict[str, Any]:
    """Settings of a server that trusts these keys, `TRUSTED` where none is given."""
    return {"trusted_keys": tuple(str(key.public) for key in keys or (TRUSTED,))}


async def publish_signed(redis: Any, name: str) -> None:
    """Store two versions that a trusted key has signed; production is the first."""
    store = ModelStore(redis, signing=Signing(key=TRUSTED))
    await store.publish(model(name))
    await store.publish(model(name, 2.0), None)


async def reworded(redis: Any, name: str, /, **facts: Any) -> None:
    """Write facts into the manifest of version 1."""
    key = KEYS.manifest(name, 1)
    await redis.set(key, json.dumps(json.loads(await redis.get(key)) | facts))


async def the_signature_is_stripped(redis: Any, name: str) -> None:
    await redis.delete(KEYS.signature(name, 1))


async def an_unsigned_one_takes_the_number(redis: Any, name: str) -> None:
    await ModelStore(redis).delete(name, 1, with_aliases=True)
    await redis.hset(KEYS.model(name), "next_version", 0)
    await ModelStore(redis).publish(model(name, 9.0))


async def the_manifest_is_altered(redis: Any, name: str) -> None:
    view = {"inputs": [{"name": "x", "sources": [{"key": "mine:{id}", "as": "vector", "shape": [2]}]}]}
    await reworded(redis, name, features=view)


async def the_manifest_gets_a_blank(redis: Any, name: str) -> None:
    await redis.append(KEYS.manifest(name, 1), " ")


async def the_graph_and_its_digest_are_replaced(redis: Any, name: str) -> None:
    onnx = constant(9.0)
    await redis.set(KEYS.chunk(name, 1, 0), onnx)
    await reworded(redis, name, digest=sha256(onnx).hexdigest(), size_bytes=len(onnx))


async def another_signed_model_is_put_in_its_place(redis: Any, name: str) -> None:
    other = f"{name}-other"
    await ModelStore(redis, signing=Signing(key=TRUSTED)).publish(model(other, 9.0))
    await copied(redis, (other, 1), (name, 1))


async def a_later_version_is_replayed_under_its_number(redis: Any, name: str) -> None:
    await copied(redis, (name, 2), (name, 1))


async def copied(redis: Any, source: tuple[str, int], target: tuple[str, int]) -> None:
    """Copy every key of a signed version to another place, its manifest made to say that it is of there."""
    for key in (KEYS.manifest, KEYS.signature, KEYS.card, lambda name, version: KEYS.chunk(name, version, 0)):
        await redis.set(key(*target), await redis.get(key(*source)))
    await reworded(redis, target[0], name=target[0], version=target[1])


async def it_has_the_signature_of_another_version(redis: Any, name: str) -> None:
    await redis.set(KEYS.signature(name, 1), await redis.get(KEYS.signature(name, 2)))


async def a_stranger_signs_it(redis: Any, name: str) -> None:
    await reworded(redis, name, description="mine")
    await ModelStore(redis).sign(name, 1, STRANGER)


async def a_stranger_signs_in_the_name_of_a_trusted_key(redis: Any, name: str) -> None:
    store = ModelStore(redis)
    subject = await store.subject(name, 1, PAGE)
    forged = replace(STRANGER.sign(subject), key=TRUSTED.public)
    await store.signatures.put(subject, forged)


async def its_card_is_replaced(redis: Any, name: str) -> None:
    await redis.set(KEYS.card(name, 1), b"<!doctype html><title>mine</title>")


async def its_card_is_taken_away(redis: Any, name: str) -> None:
    signature = Signature.from_json(await redis.get(KEYS.signature(name, 1)))
    await redis.delete(KEYS.card(name, 1))
    await redis.set(KEYS.signature(name, 1), replace(signature, page="").to_json())


async def its_signature_is_no_text(redis: Any, name: str) -> None:
    await redis.set(KEYS.signature(name, 1), b"\xff" * 100_000)


async def its_signature_is_nested_without_end(redis: Any, name: str) -> None:
    await redis.set(KEYS.signature(name, 1), b"[" * 4096)


async def its_signature_is_a_list(redis: Any, name: str) -> None:
    await redis.delete(KEYS.signature(name, 1))
    await redis.rpush(KEYS.signature(name, 1), "mine")


async def its_signature_names_another_algorithm(redis: Any, name: str) -> None:
    key = KEYS.signature(name, 1)
    await redis.set(key, json.dumps(json.loads(await redis.get(key)) | {"format": 0, "algorithm": "none"}))


ALTERED = f"the signature of {TRUSTED.public.fingerprint} is not of what is stored: it was altered"
UNREADABLE = "its signature cannot be read"
# What is done, and what the server says of it.
ATTACKS: dict[Attack, str] = {
    the_signature_is_stripped: "it is unsigned",
    an_unsigned_one_takes_the_number: "it is unsigned",
    the_manifest_is_altered: ALTERED,
    the_manifest_gets_a_blank: ALTERED,
    the_graph_and_its_digest_are_replaced: ALTERED,
    another_signed_model_is_put_in_its_place: ALTERED,
    a_later_version_is_replayed_under_its_number: ALTERED,
    it_has_the_signature_of_another_version: ALTERED,
    a_stranger_signs_it: f"it is signed by the key {STRANGER.public.fingerprint}, none of those that are trusted",
    a_stranger_signs_in_the_name_of_a_trusted_key: ALTERED,
    its_card_is_replaced: "its model card is not the one",
    its_card_is_taken_away: ALTERED,
    its_signature_is_no_text: UNREADABLE,
    its_signature_is_nested_without_end: UNREADABLE,
    its_signature_is_a_list: UNREADABLE,
    its_signature_names_another_algorithm: UNREADABLE,
}
