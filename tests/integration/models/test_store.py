"""ModelStore keeps models whole, on one Redis and on a Redis Cluster."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from random import Random

import pytest
from redis.crc import key_slot

from models import misspelling
from models.bundle import PAGE_LIMIT_BYTES, Bundle, PageTooLarge
from models.errors import (
    AliasNotFound,
    BadName,
    BundleCorrupt,
    ManifestUnreadable,
    ModelNotFound,
    NothingToRollBack,
    VersionInUse,
    VersionNotFound,
)
from models.keys import Keys
from models.store import Client, ModelStore

MakeBundle = Callable[..., Bundle]


async def test_what_is_published_is_what_is_loaded(store: ModelStore, bundle: MakeBundle) -> None:
    published = await store.publish(bundle(b"\x00\xff onnx", description="who leaves"))

    loaded = await store.load("churn", published.version)

    assert loaded.onnx == b"\x00\xff onnx"
    assert loaded.manifest == published
    assert loaded.manifest.description == "who leaves"


async def test_the_page_of_a_card_is_published_loaded_and_deleted_with_its_version(
    store: ModelStore, bundle: MakeBundle
) -> None:
    await store.publish(replace(bundle(), page=b"<!doctype html>"), alias=None)
    await store.publish(bundle(), alias=None)
    key = store.keys.card("churn", 1)

    assert (await store.load("churn", 1)).page == await store.page("churn", 1) == b"<!doctype html>"
    assert await store.redis.ttl(key) == -1
    assert (await store.load("churn", 2)).page == b""
    await store.delete("churn", 1)
    assert await store.redis.exists(key) == 0


async def test_a_page_that_insitu_would_not_have_stored_is_not_read(
    store: ModelStore, bundle: MakeBundle
) -> None:
    await store.publish(replace(bundle(), page=b"<!doctype html>"))
    await store.redis.setrange(store.keys.card("churn", 1), PAGE_LIMIT_BYTES, b"x")

    with pytest.raises(BundleCorrupt, match=r"insitu:\{churn\}:v1:card has more than 4194304 bytes"):
        await store.page("churn", 1)


async def test_a_page_that_is_too_large_is_refused_and_nothing_is_stored(
    store: ModelStore, bundle: MakeBundle
) -> None:
    with pytest.raises(PageTooLarge):
        await store.publish(replace(bundle(), page=bytes(PAGE_LIMIT_BYTES + 1)))

    with pytest.raises(ModelNotFound):
        await store.versions("churn")


async def test_the_manifest_of_a_version_names_its_size_and_digest(
    store: ModelStore, bundle: MakeBundle
) -> None:
    onnx = b"bytes of a graph"

    manifest = await store.publish(bundle(onnx))

    assert (manifest.version, manifest.size_bytes, manifest.chunks) == (1, len(onnx), 1)
    assert manifest.digest == sha256(onnx).hexdigest()


async def test_a_version_keeps_the_time_it_was_created(store: ModelStore, bundle: MakeBundle) -> None:
    created = datetime(2026, 11, 22, 12, tzinfo=UTC)

    given = await store.publish(bundle(created=created))
    now = await store.publish(bundle())

    assert given.created == created
    assert now.created is not None
    assert abs((datetime.now(UTC) - now.created).total_seconds()) < 60


@pytest.mark.parametrize("piece", [1, 3, 5, 10, 1 << 20])
@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 20, 105])
async def test_bytes_of_any_length_come_back_from_their_chunks_and_pieces(
    client: Client, bundle: MakeBundle, size: int, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.downloads.LARGE_BYTES", piece)
    store = ModelStore(client, chunk_bytes=10)
    onnx = bytes(range(size))

    manifest = await store.publish(bundle(onnx))

    assert manifest.chunks == max(1, -(-size // 10))
    assert (await store.load("churn", 1)).onnx == onnx


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, (5 << 20) + 3])
async def test_a_large_file_goes_up_in_parts_and_comes_back_whole(
    client: Client, bundle: MakeBundle, size: int
) -> None:
    store = ModelStore(client, chunk_bytes=(2 << 20) + 7)
    onnx = Random(size).randbytes(size)

    manifest = await store.publish(bundle(onnx))

    assert (await store.load("churn", 1)).onnx == onnx
    chunks = [store.keys.chunk("churn", 1, index) for index in range(manifest.chunks)]
    assert [await store.redis.ttl(chunk) for chunk in chunks] == [-1] * manifest.chunks


async def test_versions_are_numbered_from_one(store: ModelStore, bundle: MakeBundle) -> None:
    numbers = [(await store.publish(bundle(name=name))).version for name in ("a", "a", "b", "a")]

    assert numbers == [1, 2, 1, 3]
    assert await store.versions("a") == [1, 2, 3]


async def test_fifty_publishers_at_once_get_fifty_versions_and_each_loads_whole(
    store: ModelStore, bundle: MakeBundle
) -> None:
    graphs = [f"graph {number}".encode() * 1000 for number in range(50)]

    manifests = await asyncio.gather(*(store.publish(bundle(graph)) for graph in graphs))

    assert sorted(manifest.version for manifest in manifests) == list(range(1, 51))
    assert await store.versions("churn") == list(range(1, 51))
    for graph, manifest in zip(graphs, manifests, strict=True):
        assert (await store.load("churn", manifest.version)).onnx == graph
    assert (await store.aliases("churn"))["production"] in range(1, 51)


async def test_a_number_is_never_given_twice_even_when_the_counter_is_lost(
    store: ModelStore, bundle: MakeBundle
) -> None:
    await store.publish(bundle(b"one"))
    await store.publish(bundle(b"two"))
    await store.redis.delete(store.keys.model("churn"))

    third = await store.publish(bundle(b"three"))

    assert third.version == 3
    assert (await store.load("churn", 1)).onnx == b"one"


async def test_two_prefixes_in_one_redis_do_not_meet(client: Client, bundle: MakeBundle) -> None:
    ours, theirs = ModelStore(client, Keys("ours")), ModelStore(client, Keys("team:theirs"))

    await ours.publish(bundle(b"ours"))
    await theirs.publish(bundle(b"theirs", name="fraud"))

    assert (await ours.names(), await theirs.names()) == (["churn"], ["fraud"])


async def test_names_are_those_with_a_version_sorted(store: ModelStore, bundle: MakeBundle) -> None:
    for name in ("b", "a", "c"):
        await store.publish(bundle(name=name), alias=None)
    await store.delete("c", 1)

    assert await store.names() == ["a", "b"]


async def test_manifests_of_many_versions_come_in_order_without_what_cannot_be_read(
    store: ModelStore, bundle: MakeBundle
) -> None:
    published = await store.publish(bundle())
    await store.publish(bundle())
    await store.redis.set(store.keys.manifest("churn", 2), b"{}")

    found = await store.manifests([("churn", 2), ("other", 1), ("churn", 1)])

    assert found == [None, None, published]
    assert await store.manifests([]) == []


async def test_no_model_is_no_name(store: ModelStore) -> None:
    assert await store.names() == []


async def test_what_others_wrote_into_the_set_of_names_is_passed_over(
    store: ModelStore, bundle: MakeBundle
) -> None:
    await store.publish(bundle())
    await store.redis.sadd(store.keys.models(), b"\xff\xfe", "with space", "{brace}", "gone")

    assert await store.names() == ["churn"]


async def test_publishing_moves_production_and_only_production(store: ModelStore, bundle: MakeBundle) -> None:
    await store.publish(bundle())
    await store.promote("churn", 1, "canary")

    await store.publish(bundle())

    assert await store.aliases("churn") == {"production": 2, "canary": 1}


async def test_publishing_without_an_alias_moves_none(store: ModelStore, bundle: MakeBundle) -> None:
    await store.publish(bundle())

    await store.publish(bundle(), alias=None)

    assert await store.aliases("churn") == {"production": 1}


async def test_a_bad_alias_publishes_nothing(store: ModelStore, bundle: MakeBundle) -> None:
    with pytest.raises(BadName, match="alias 'Prod!' is not a valid name"):
        await store.publish(bundle(), alias="Prod!")

    assert await store.names() == []


async def test_what_others_wrote_among_the_aliases_is_passed_over(
    store: ModelStore, bundle: MakeBundle
) -> None:
    await store.publish(bundle())
    await store.redis.hset(store.keys.aliases("churn"), mapping={"BAD": "1", b"\xff": "1", "odd": "one"})

    assert await store.aliases("churn") == {"production": 1}


@pytest.mark.parametrize(("reference", "version"), [("production", 2), ("1", 1), (1, 1), ("02", 2)])
async def test_a_version_is_found_by_number_and_by_alias(
    store: ModelStore, bundle: MakeBundle, reference: str | int, version: int
) -> None:
    await store.publish(bundle())
    await store.publish(bundle())

    assert await store.resolve("churn", reference) == version


@pytest.mark.parametrize("reference", [7, "7", "9" * 5000])
async def test_a_number_that_is_not_stored_is_named_with_those_that_are(
    store: ModelStore, bundle: MakeBundle, reference: str | int
) -> None:
    await store.publish(bundle())

    with pytest.raises(VersionNotFound, match=r"stored versions: 1$"):
        await store.resolve("churn", reference)


@pytest.mark.parametrize("reference", ["canary", "-1", "٣", "1.0", ""])
async def test_an_alias_that_is_not_there_is_named_with_those_that_are(
    store: ModelStore, bundle: MakeBundle, reference: str
) -> None:
    await store.publish(bundle())

    with pytest.raises(AliasNotFound, match="aliases: production;"):
        await store.resolve("churn", reference)


async def test_a_model_that_is_not_stored_is_named(store: ModelStore) -> None:
    calls = [
        store.resolve("churn"),
        store.resolve("churn", 1),
        store.versions("churn"),
        store.manifest("churn", 1),
        store.load("churn", 1),
        store.promote("churn", 1),
        store.rollback("churn"),
        store.delete("churn", 1),
        store.remove_alias("churn", "production"),
    ]

    for call in calls:
        with pytest.raises(ModelNotFound, match="model 'churn' is not stored"):
            await call


async def test_a_name_nearly_right_is_told_the_model_that_is_stored(
    store: ModelStore, bundle: MakeBundle
) -> None:
    await store.publish(bundle())
    await store.redis.sadd(store.keys.models(), "churns")  # by a publisher that died

    for name in ("chrun", "churns"):
        with pytest.raises(ModelNotFound, match=f"'{name}' is not stored; did you mean 'churn'?"):
            await ModelStore(store.redis).versions(name)
    for name in ("xchurns", "churn-eu-weekly"):
        with pytest.raises(ModelNotFound, match=f"'{name}' is not stored; `insitu models` lists"):
            await ModelStore(store.redis).versions(name)


async def test_what_was_meant_is_told_now_and_again_where_wrong_names_come_without_a_pause(
    store: ModelStore, bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.publish(bundle())
    monkeypatch.setattr(misspelling, "REST", 1e9)
    with pytest.raises(ModelNotFound, match="did you mean 'churn'"):
        await store.versions("chrun")

    with pytest.raises(ModelNotFound, match="'chrun' is not stored; `insitu models` lists"):
        await store.versions("chrun")


@pytest.mark.parametrize("name", ["", "a b", "{a}", "a:b", "../a", "ä", "a" * 129, "a\n"])
async def test_a_name_that_could_be_no_key_never_reaches_redis(store: ModelStore, name: str) -> None:
    for call in (store.versions, store.aliases, store.resolve):
        with pytest.raises(BadName, match="model name"):
            await call(name)


async def test_promote_moves_the_alias_to_any_stored_version(store: ModelStore, bundle: MakeBundle) -> None:
    for _ in range(3):
        await store.publish(bundle())

    assert await store.promote("churn", 1) == 1
    assert await store.aliases("churn") == {"production": 1}


async def test_promoting_a_missing_version_moves_nothing(store: ModelStore, bundle: MakeBundle) -> None:
    await store.publish(bundle())

    with pytest.raises(VersionNotFound, match="has no version 9; stored versions: 1"):
        await store.promote("churn", 9)

    assert await store.aliases("churn") == {"production": 1}


async def test_rollback_goes_back_the_way_the_alias_came(store: ModelStore, bundle: MakeBundle) -> None:
    for _ in range(3):
        await store.publish(bundle())
    await store.promote("churn", 1)

    back = [await store.rollback("churn") for _ in range(3)]

    assert back == [3, 2, 1]
    assert await store.aliases("churn") == {"production": 1}


async def test_promoting_the_version_that_is_there_is_no_step_back(
    store: ModelStore, bundle: MakeBundle
) -> None:
    await store.publish(bundle())
    await store.publish(bundle())
    await store.promote("churn", 2)
    await store.promote("churn", 2)

    assert await store.rollback("churn") == 1


async def test_an_alias_with_one_version_has_nothing_to_roll_back_to(
    store: ModelStore, bundle: MakeBundle
) -> None:
    await store.publish(bundle())

    with pytest.raises(NothingToRollBack, match="alias 'production' of model 'churn'"):
        await store.rollback("churn")


async def test_an_alias_that_is_not_there_cannot_be_rolled_back(
    store: ModelStore, bundle: MakeBundle
) -> None:
    await store.publish(bundle())

    with pytest.raises(AliasNotFound):
        await store.rollback("churn", "canary")


async def test_rollback_skips_deleted_versions(store: ModelStore, bundle: MakeBundle) -> None:
    for _ in range(4):
        await store.publish(bundle())
    await store.delete("churn", 3)
    await store.delete("churn", 2)

    assert await store.rollback("churn") == 1


async def test_rollback_never_goes_back_to_where_it_is(store: ModelStore, bundle: MakeBundle) -> None:
    await store.publish(bundle())
    await store.publish(bundle())
    await store.promote("churn", 1)
    await store.delete("churn", 2)

    with pytest.raises(NothingToRollBack):
        await store.rollback("churn")


async def test_rollback_forgets_what_is_long_ago(store: ModelStore, bundle: MakeBundle) -> None:
    await store.publish(bundle())
    await store.publish(bundle())
    for number in range(100):
        await store.promote("churn", 1 + number % 2)

    back = [await store.rollback("churn") for _ in range(32)]

    assert back == [1, 2] * 16
    with pytest.raises(NothingToRollBack):
        await store.rollback("churn")


async def test_what_an_alias_means_and_meant_is_told(store: ModelStore, bundle: MakeBundle) -> None:
    assert await store.meant("churn") == set()
    for _ in range(3):
        await store.publish(bundle(), None)
    await store.promote("churn", 3)
    await store.promote("churn", 1)
    await store.promote("churn", 2, "canary")

    assert await store.meant("churn") == {1, 3}
    assert await store.meant("churn", "canary") == {2}


@pytest.mark.parametrize("history", ["[1, oops", "7"])
async def test_a_history_that_somebody_damaged_is_an_empty_one(
    history: str, store: ModelStore, bundle: MakeBundle
) -> None:
    await store.publish(bundle())
    await store.redis.hset(store.keys.model("churn"), "previous:production", history)
    assert await store.meant("churn") == {1}

    with pytest.raises(NothingToRollBack):
        await store.rollback("churn")
    await store.publish(bundle())
    assert await store.rollback("churn") == 1


async def test_aliases_roll_back_on_their_own(store: ModelStore, bundle: MakeBundle) -> None:
    for _ in range(3):
        await store.publish(bundle())
    await store.promote("churn", 1, "canary")
    await store.promote("churn", 3, "canary")

    await store.rollback("churn", "canary")

    assert await store.aliases("churn") == {"production": 3, "canary": 1}


async def test_a_deleted_version_leaves_no_key(client: Client, bundle: MakeBundle) -> None:
    store = ModelStore(client, chunk_bytes=4)
    await store.publish(bundle(b"first graph"))
    await store.publish(bundle(b"second graph"))

    await store.delete("churn", 1)

    keys = [store.keys.manifest("churn", 1), *(store.keys.chunk("churn", 1, index) for index in range(3))]
    assert [await store.redis.exists(key) for key in keys] == [0, 0, 0, 0]
    assert await store.versions("churn") == [2]
    with pytest.raises(VersionNotFound):
        await store.load("churn", 1)


async def test_a_deleted_number_is_never_used_again(store: ModelStore, bundle: MakeBundle) -> None:
    await store.publish(bundle(), alias=None)
    await store.delete("churn", 1)

    assert (await store.publish(bundle())).version == 2


async def test_a_version_that_an_alias_points_to_is_not_deleted(
    store: ModelStore, bundle: MakeBundle
) -> None:
    await store.publish(bundle(b"in use"))
    await store.promote("churn", 1, "canary")

    with pytest.raises(VersionInUse, match="what canary, production points to"):
        await store.delete("churn", 1)

    assert (await store.load("churn", 1)).onnx == b"in use"


async def test_deleting_a_version_twice_names_it_the_second_time(
    store: ModelStore, bundle: MakeBundle
) -> None:
    await store.publish(bundle())
    await store.publish(bundle())
    await store.delete("churn", 1)

    with pytest.raises(VersionNotFound):
        await store.delete("churn", 1)


async def test_of_many_who_delete_one_version_at_once_one_does_it(
    store: ModelStore, bundle: MakeBundle
) -> None:
    for _ in range(6):
        await store.publish(bundle())

    for version in range(1, 6):
        works = (store.delete("churn", version) for _ in range(8))
        results = await asyncio.gather(*works, return_exceptions=True)

        assert results.count(None) == 1
        assert [type(result) for result in results].count(VersionNotFound) == 7


async def test_removing_an_alias_keeps_its_version_and_forgets_its_history(
    store: ModelStore, bundle: MakeBundle
) -> None:
    await store.publish(bundle())
    await store.publish(bundle())

    await store.remove_alias("churn", "production")

    assert await store.aliases("churn") == {}
    assert await store.versions("churn") == [1, 2]
    await store.promote("churn", 2)
    with pytest.raises(NothingToRollBack):
        await store.rollback("churn")


async def test_an_alias_that_is_not_there_cannot_be_removed(store: ModelStore, bundle: MakeBundle) -> None:
    await store.publish(bundle())

    with pytest.raises(AliasNotFound, match="canary"):
        await store.remove_alias("churn", "canary")


async def test_a_deleted_chunk_is_named(client: Client, bundle: MakeBundle) -> None:
    store = ModelStore(client, chunk_bytes=4)
    await store.publish(bundle(b"a longer graph"))
    await store.redis.delete(store.keys.chunk("churn", 1, 2))

    with pytest.raises(BundleCorrupt, match=r"chunk 2 of 4, insitu:\{churn\}:v1:onnx:2, is missing"):
        await store.load("churn", 1)


@pytest.mark.parametrize("data", [None, b"x" * 100])
async def test_a_large_chunk_that_is_gone_or_grew_is_refused_before_the_rest_is_fetched(
    client: Client, bundle: MakeBundle, data: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.downloads.LARGE_BYTES", 3)
    store = ModelStore(client, chunk_bytes=4)
    await store.publish(bundle(b"a longer graph"))
    key = store.keys.chunk("churn", 1, 1)
    await (store.redis.set(key, data) if data else store.redis.delete(key))

    with pytest.raises(BundleCorrupt, match=r":onnx:1,? (is missing|it has 16 bytes or more)"):
        await store.load("churn", 1)


async def test_an_altered_chunk_is_refused(client: Client, bundle: MakeBundle) -> None:
    store = ModelStore(client, chunk_bytes=4)
    await store.publish(bundle(b"a longer graph"))
    await store.redis.setrange(store.keys.chunk("churn", 1, 1), 0, "X")

    with pytest.raises(BundleCorrupt, match=r"SHA-256 of insitu:\{churn\}:v1:onnx:0 to .*:onnx:3 is not"):
        await store.load("churn", 1)


async def test_the_only_chunk_altered_is_named_alone(store: ModelStore, bundle: MakeBundle) -> None:
    await store.publish(bundle(b"graph"))
    await store.redis.set(store.keys.chunk("churn", 1, 0), b"grape")

    with pytest.raises(BundleCorrupt, match=r"SHA-256 of insitu:\{churn\}:v1:onnx:0 is not"):
        await store.load("churn", 1)


async def test_a_chunk_cut_short_is_refused(store: ModelStore, bundle: MakeBundle) -> None:
    await store.publish(bundle(b"graph"))
    await store.redis.set(store.keys.chunk("churn", 1, 0), b"gra")

    with pytest.raises(BundleCorrupt, match="its chunks have 3 bytes, published were 5"):
        await store.load("churn", 1)


async def test_a_chunk_that_grew_is_refused_before_the_rest_is_fetched(
    client: Client, bundle: MakeBundle
) -> None:
    store = ModelStore(client, chunk_bytes=4)
    await store.publish(bundle(b"a longer graph"))
    await store.redis.set(store.keys.chunk("churn", 1, 1), b"x" * 100)

    with pytest.raises(BundleCorrupt, match=r"with insitu:\{churn\}:v1:onnx:1 it has 104 bytes or more"):
        await store.load("churn", 1)


async def test_a_missing_manifest_is_damage_not_absence(store: ModelStore, bundle: MakeBundle) -> None:
    await store.publish(bundle())
    await store.redis.delete(store.keys.manifest("churn", 1))

    for call in (store.load, store.manifest, store.promote):
        with pytest.raises(BundleCorrupt, match=r"its manifest insitu:\{churn\}:v1:manifest is missing"):
            await call("churn", 1)


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (b"", "Invalid JSON"),
        (b"\xff\xfe", "Invalid JSON"),
        (b"[]", "should be an object"),
        (b'{"format": 2, "name": "churn"}', "it has format 2, this program reads 1; upgrade"),
        (b'{"format": 1, "name": "churn", "version": 1}', "inputs: is missing"),
    ],
)
async def test_a_damaged_manifest_says_what_is_wrong_with_it(
    store: ModelStore, bundle: MakeBundle, stored: bytes, reason: str
) -> None:
    await store.publish(bundle())
    await store.redis.set(store.keys.manifest("churn", 1), stored)

    with pytest.raises(ManifestUnreadable, match=reason):
        await store.load("churn", 1)


async def test_a_manifest_under_another_name_or_number_is_refused(
    store: ModelStore, bundle: MakeBundle
) -> None:
    await store.publish(bundle())
    await store.publish(bundle())
    second = await store.redis.get(store.keys.manifest("churn", 2))
    await store.redis.set(store.keys.manifest("churn", 1), second)

    with pytest.raises(ManifestUnreadable, match="it says it is churn version 2"):
        await store.load("churn", 1)


@pytest.mark.parametrize("damage", ["unreadable", "missing"])
async def test_a_damaged_version_can_be_deleted_with_all_its_chunks(
    client: Client, bundle: MakeBundle, damage: str
) -> None:
    store = ModelStore(client, chunk_bytes=4)
    await store.publish(bundle(b"a longer graph"), alias=None)
    key = store.keys.manifest("churn", 1)
    await (store.redis.delete(key) if damage == "missing" else store.redis.set(key, "{"))

    await store.delete("churn", 1)

    assert [await store.redis.exists(store.keys.chunk("churn", 1, index)) for index in range(4)] == [0] * 4
    with pytest.raises(ModelNotFound):
        await store.versions("churn")


async def test_every_key_of_a_model_lies_in_one_slot(store: ModelStore) -> None:
    keys, name = store.keys, "any.name-1"
    every = [keys.model(name), keys.aliases(name), keys.versions(name), keys.manifest(name, 3)]
    every += [keys.card(name, 3), keys.chunk(name, 3, 0), keys.chunk(name, 12, 7)]

    assert len({key_slot(key.encode()) for key in every}) == 1
