"""A store that trusts keys loads what they have signed, and nothing else; signatures lie beside their versions."""

import asyncio
import json
from typing import Any

import pytest

from models.errors import BundleCorrupt, ManifestUnreadable, RedisRefused, VersionNotFound
from models.signing_errors import NotTrusted
from models.store import Client, ModelStore
from models.trust import Signing, Trust
from tests.attacks import (
    ATTACKS,
    KEYS,
    PAGE,
    STRANGER,
    TRUSTED,
    Attack,
    its_signature_is_a_list,
    model,
    publish_signed,
    reworded,
)

TRUSTING = Signing(trust=Trust((STRANGER.public, TRUSTED.public)))
ONLY = Signing(trust=Trust((TRUSTED.public,)))


@pytest.fixture
def trusting(client: Client) -> ModelStore:
    return ModelStore(client, signing=ONLY)


async def test_what_a_trusted_key_has_signed_is_loaded(client: Client, trusting: ModelStore) -> None:
    await publish_signed(client, "churn")

    assert [(await trusting.load("churn", version)).manifest.version for version in (1, 2)] == [1, 2]
    assert (await ModelStore(client, signing=TRUSTING).load("churn", 1)).page == PAGE
    assert await trusting.page("churn", 1) == PAGE


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_no_attack_gets_a_version_loaded(client: Client, trusting: ModelStore, attack: Attack) -> None:
    await publish_signed(client, "churn")

    await attack(client, "churn")

    with pytest.raises(NotTrusted) as refused:
        await trusting.load("churn", 1)
    assert str(refused.value.details["reason"]).startswith(ATTACKS[attack])
    assert (await trusting.load("churn", 2)).manifest.version == 2


async def test_what_lies_in_the_place_of_a_signature_is_told_and_signed_over(
    client: Client, trusting: ModelStore
) -> None:
    await publish_signed(client, "churn")
    await its_signature_is_a_list(client, "churn")

    found = await trusting.signatures.of("churn", [1, 2])
    await trusting.sign("churn", 1, TRUSTED)

    assert {version: signed.key for version, signed in found.items()} == {1: None, 2: TRUSTED.public}
    assert (await trusting.load("churn", 1)).manifest.version == 1


async def test_a_graph_alone_that_is_replaced_is_damaged_as_it_was_before(
    client: Client, trusting: ModelStore
) -> None:
    await publish_signed(client, "churn")
    await client.set(KEYS.chunk("churn", 1, 0), b"another graph")

    with pytest.raises(BundleCorrupt):
        await trusting.load("churn", 1)


async def test_a_manifest_of_another_model_is_refused_as_it_was_before(
    client: Client, trusting: ModelStore
) -> None:
    await publish_signed(client, "churn")
    await reworded(client, "churn", name="other")

    with pytest.raises(ManifestUnreadable):
        await trusting.load("churn", 1)


async def test_the_page_of_a_card_that_nobody_signed_is_not_shown(
    client: Client, trusting: ModelStore
) -> None:
    await publish_signed(client, "churn")
    await client.set(KEYS.card("churn", 1), b"mine")

    with pytest.raises(NotTrusted, match="its model card"):
        await trusting.page("churn", 1)
    assert await ModelStore(client).page("churn", 1) == b"mine"


async def test_a_version_that_is_stored_already_is_signed_and_then_loaded(
    client: Client, trusting: ModelStore
) -> None:
    await ModelStore(client).publish(model("churn"))

    signed = await trusting.sign("churn", 1, TRUSTED)

    assert (await trusting.load("churn", 1)).manifest.digest == signed.digest
    (event,) = [fields for _, fields in await client.xrevrange(KEYS.events(), count=1) or []]
    assert event == {b"event": b"sign", b"model": b"churn", b"version": b"1", b"alias": b""}


async def test_what_is_damaged_is_not_signed(client: Client, trusting: ModelStore) -> None:
    await ModelStore(client).publish(model("churn"))
    await client.set(KEYS.chunk("churn", 1, 0), b"another graph")

    with pytest.raises(BundleCorrupt):
        await trusting.sign("churn", 1, TRUSTED)
    with pytest.raises(VersionNotFound):
        await trusting.sign("churn", 2, TRUSTED)
    assert await trusting.signatures.of("churn", [1]) == {}


async def test_what_is_changed_while_it_is_signed_gets_no_signature(client: Client) -> None:
    store = ModelStore(client)
    await store.publish(model("churn"))
    subject = await store.subject("churn", 1, PAGE)
    await reworded(client, "churn", description="mine")

    assert not await store.signatures.put(subject, TRUSTED.sign(subject))
    assert await store.signatures.stored("churn", 1) is None


class Slow(ModelStore):
    """A store whose version is changed between what is read of it and what is written."""

    async def subject(self, name: str, version: int, page: bytes) -> Any:
        found = await super().subject(name, version, page)
        await reworded(self.redis, name, description="mine")
        return found


async def test_who_signs_is_told_that_it_was_changed_meanwhile(client: Client) -> None:
    await ModelStore(client).publish(model("churn"))

    with pytest.raises(RedisRefused, match="was changed while it was signed"):
        await Slow(client).sign("churn", 1, TRUSTED)


async def test_a_signature_goes_with_its_version(client: Client) -> None:
    await publish_signed(client, "churn")

    await ModelStore(client).delete("churn", 2)

    assert await client.exists(KEYS.signature("churn", 1)) == 1
    assert await client.exists(KEYS.signature("churn", 2)) == 0


async def test_a_signature_is_kept_as_long_as_its_version(client: Client) -> None:
    await publish_signed(client, "churn")

    assert await client.ttl(KEYS.signature("churn", 1)) == -1


async def test_a_version_without_a_key_is_stored_as_it_ever_was(client: Client) -> None:
    await ModelStore(client).publish(model("churn"))

    assert await client.exists(KEYS.signature("churn", 1)) == 0


async def test_whose_signatures_versions_have_is_told_without_trusting_anybody(client: Client) -> None:
    store = ModelStore(client)
    await publish_signed(client, "churn")
    await store.publish(model("churn"))
    for version in (1, 2):
        await store.publish(model("churn"))
        await store.sign("churn", 3 + version, STRANGER)
    await client.set(KEYS.signature("churn", 2), b"no signature")
    await client.set(KEYS.manifest("churn", 4), b"no manifest")
    await reworded(client, "churn", description="mine")

    found = await store.signatures.of("churn", [1, 2, 3, 4, 5])

    assert {version: one.key for version, one in found.items()} == {
        1: TRUSTED.public,
        2: None,
        4: STRANGER.public,
        5: STRANGER.public,
    }
    assert {version: one.fits() for version, one in found.items()} == {
        1: False,
        2: False,
        4: False,
        5: True,
    }
    await client.delete(KEYS.manifest("churn", 5))
    assert not (await store.signatures.of("churn", [5]))[5].fits()
    assert await store.signatures.of("churn", []) == {}


async def test_what_many_publish_at_once_is_each_signed(client: Client, trusting: ModelStore) -> None:
    store = ModelStore(client, signing=Signing(key=TRUSTED))

    stored = await asyncio.gather(*(store.publish(model("churn", number)) for number in range(8)))

    loaded = [await trusting.load("churn", one.version) for one in stored]
    assert [one.manifest for one in loaded] == stored
    assert json.loads(await client.get(KEYS.signature("churn", 1)) or b"")["key"] == str(TRUSTED.public)
