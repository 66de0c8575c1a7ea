"""Publishing holds a whole model in memory several times over, so one follows another."""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from models.store import ModelStore
from models.trust import NO_SIGNING
from server.inference import publishing
from server.inference.errors import Overloaded
from server.inference.publishing import Publisher
from server.inference.trials import Trials


@pytest.fixture
def publisher() -> Publisher:
    """One whose turns are taken, and that stores nothing."""
    nowhere = cast(ModelStore, SimpleNamespace(signing=NO_SIGNING))
    return Publisher(nowhere, Trials(1 << 30, 1.0), 1 << 20)


async def test_turns_follow_one_another(publisher: Publisher) -> None:
    taken: list[str] = []

    async def publish(name: str) -> None:
        async with publisher.turn(name):
            taken.append(name)
            await asyncio.sleep(0.01)
            taken.append(name)

    await asyncio.gather(*(publish(name) for name in "abc"))

    assert taken == list("aabbcc")


async def test_who_waits_too_long_for_a_turn_is_told_when_to_come_again(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "SLOT_SECONDS", 0.01)

    async with publisher.turn("a"):
        with pytest.raises(Overloaded, match=r"try again in 0\.01 s"):
            async with publisher.turn("b"):
                pass

    async with publisher.turn("b"):
        pass


async def test_a_turn_ends_with_what_went_wrong_in_it(publisher: Publisher) -> None:
    with pytest.raises(ValueError, match="no model"):
        async with publisher.turn("a"):
            raise ValueError("no model")

    async with publisher.turn("b"):
        pass
