"""INSITU.MODELS, INSITU.PROMOTE and INSITU.HELP on a real Redis."""

import pytest

from models.errors import AliasNotFound, BadName, BadRequest, ModelNotFound, VersionNotFound
from models.store import ModelStore
from server.resp.caller import Caller
from server.resp.commands import cataloguing, helping, predicting, table
from server.resp.refusals import Refused
from server.resp.wire.replies import RESP3
from tests.graphs import bundle, constant, scaled
from tests.integration.resp.callers import Asker
from tests.integration.resp.conftest import MakeCaller

VIEW = {"inputs": [{"name": "x", "sources": [{"key": "k:{id}", "as": "hash", "fields": ["a", "b"]}]}]}
COMMANDS = (*cataloguing.COMMANDS, *helping.COMMANDS, *predicting.COMMANDS)

LONG_NUMBER = "1" * 30


@pytest.fixture
async def asking(make_caller: MakeCaller) -> Asker:
    return Asker(await make_caller(wire=RESP3), COMMANDS)


async def test_a_model_tells_how_it_is_asked_and_answers(store: ModelStore, asking: Asker) -> None:
    await store.publish(bundle(constant(1), view=VIEW, task="regression", description="A number."))
    await store.publish(bundle(constant(2), view=VIEW, task="regression"), "canary")
    await asking.caller.engine.catalogue.get("m", 1)

    assert await asking("INSITU.MODELS", "m") == {
        b"name": b"m",
        b"production": 1,
        b"versions": [1, 2],
        b"aliases": {b"canary": 2, b"production": 1},
        b"loaded": [1],
        b"task": b"regression",
        b"description": b"A number.",
        b"keys": [b"k:{id}"],
        b"labels": [],
        b"inputs": [{b"name": b"x", b"dtype": b"float32", b"shape": [b"rows", 2]}],
        b"outputs": [{b"name": b"y", b"dtype": b"float32", b"shape": [b"rows", 1]}],
    }


async def test_a_model_without_production_tells_its_newest_version(store: ModelStore, asking: Asker) -> None:
    await store.publish(bundle(scaled()), None)

    found = await asking("INSITU.MODELS", "m")

    assert (found[b"production"], found[b"versions"], found[b"task"]) == (None, [1], b"tensor")


async def test_a_version_whose_manifest_is_damaged_leaves_the_rest_told(
    store: ModelStore, asking: Asker
) -> None:
    await store.publish(bundle(scaled()))
    await asking.caller.redis([("SET", store.keys.manifest("m", 1), "no manifest")])

    found = await asking("INSITU.MODELS", "m")

    assert found == {
        b"name": b"m",
        b"production": 1,
        b"versions": [1],
        b"aliases": {b"production": 1},
        b"loaded": [],
    }


async def test_models_are_listed_by_name_in_parts(
    store: ModelStore, asking: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cataloguing, "LISTED", 3)
    for name in "edcba":
        await store.publish(bundle(scaled(), name))

    first = await asking("INSITU.MODELS")
    rest = await asking("INSITU.MODELS", "after", first[-1][b"name"])

    assert [[one[b"name"] for one in part] for part in (first, rest)] == [[b"a", b"b", b"c"], [b"d", b"e"]]


async def test_without_models_the_list_is_empty(asking: Asker) -> None:
    assert await asking("INSITU.MODELS") == []


async def test_in_the_older_protocol_a_model_is_names_and_values_in_turn(
    store: ModelStore, caller: Caller
) -> None:
    await store.publish(bundle(scaled()))

    (found,) = await Asker(caller, COMMANDS)("INSITU.MODELS")

    assert found[:8] == [
        *(b"name", b"m", b"production", 1),
        *(b"versions", [1], b"aliases", [b"production", 1]),
    ]


async def test_promotion_moves_production_or_the_alias_that_is_named(
    store: ModelStore, asking: Asker
) -> None:
    for answer in (1, 2):
        await store.publish(bundle(constant(answer), view=VIEW, task="regression"))

    assert await asking("INSITU.PROMOTE", "m", "1") == b"OK"
    assert await asking("INSITU.PROMOTE", "m", "2", "alias", "canary") == b"OK"

    assert await store.aliases("m") == {"production": 1, "canary": 2}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("m", "9"), VersionNotFound),
        (("nosuch", "1"), ModelNotFound),
        (("no such", "1"), BadName),
        (("m", "production"), BadRequest),
        (("m", "-1"), BadRequest),
        (("m", "1", "ALIAS", "9"), BadName),
        (("m", "1", "canary"), Refused),
        (("m", "1", "ALIAS"), Refused),
    ],
)
async def test_what_cannot_be_promoted_is_refused(
    store: ModelStore, asking: Asker, words: tuple[str, ...], error: type[Exception]
) -> None:
    await store.publish(bundle(scaled()))

    if error is Refused:
        assert "syntax error" in str(await asking("INSITU.PROMOTE", *words))
    else:
        with pytest.raises(error):
            await asking("INSITU.PROMOTE", *words)

    assert await store.aliases("m") == {"production": 1}


@pytest.mark.parametrize(
    "words",
    [
        ("INSITU.PROMOTE", "m", LONG_NUMBER),
        ("INSITU.PREDICT", "m", "k:1", "VERSION", LONG_NUMBER),
        ("INSITU.EXPLAIN", "m", "k:1", "VERSION", LONG_NUMBER),
        ("INSITU.EXPLAIN", "m", "k:1", "SAMPLES", LONG_NUMBER),
    ],
)
async def test_a_number_of_too_many_digits_is_shown_as_it_came(
    store: ModelStore, make_caller: MakeCaller, words: tuple[str, ...]
) -> None:
    await store.publish(bundle(constant(1), view=VIEW, task="regression"))
    asking = Asker(await make_caller(), table.COMMANDS.values())

    with pytest.raises(BadRequest, match=f"'{LONG_NUMBER}'.* at most 18 digits"):
        await asking(*words)


@pytest.mark.parametrize(
    ("words", "error"), [(("nosuch",), ModelNotFound), (("no such",), BadName), (("AFTER",), ModelNotFound)]
)
async def test_a_model_that_is_not_there_is_an_error(
    asking: Asker, words: tuple[str, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await asking("INSITU.MODELS", *words)


async def test_a_list_takes_nothing_but_where_it_goes_on(asking: Asker) -> None:
    assert "syntax error" in str(await asking("INSITU.MODELS", "a", "b"))


async def test_a_promoted_version_answers(store: ModelStore, asking: Asker) -> None:
    for answer in (1, 2):
        await store.publish(bundle(constant(answer), view=VIEW, task="regression"))
    await asking.caller.redis([("HSET", "k:1", "a", 1, "b", 1)])

    await asking("INSITU.PROMOTE", "m", "1")
    (found,) = await asking("INSITU.PREDICT", "m", "k:1")

    assert found == {b"value": 1.0, b"version": 1}
    with pytest.raises(AliasNotFound):
        await asking("INSITU.PREDICT", "m", "k:1", "VERSION", "canary")


async def test_help_names_every_command_with_its_words(asking: Asker) -> None:
    lines = await asking("INSITU.HELP")

    for name in ("PREDICT", "EXPLAIN", "MODELS", "PROMOTE", "HELP"):
        assert any(line.startswith(f"INSITU.{name}".encode()) for line in lines)
    assert (
        b"INSITU.PREDICT model key [key ...] [VERSION version] [MISSING number] [TIMEOUT milliseconds] [RAW]"
    ) in lines
