"""Groups of a moment: asked for together, and every command answered whatever goes wrong."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from server.inference.moments import Moment
from server.resp.gathered import LARGE, Gathered, Group
from server.resp.slots import Slot

ENGINE: Any = SimpleNamespace(moment=Moment(), limits=SimpleNamespace(rows=1000))


class Client:
    """Who hears of replies."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def fill(self, _slot: Slot, reply: bytes) -> None:
        self.heard.append(reply)


class Asking:
    """Groups as they are asked for."""

    def __init__(self) -> None:
        self.client = Client()
        self.groups: list[Group] = []
        self.gathered: Gathered[str] = Gathered(ENGINE, self.ask)

    def ask(self, _target: str, group: Group) -> None:
        self.groups.append(group)

    def take(self, part: str, count: int = 1, target: str = "t") -> None:
        group = self.gathered.group(target)
        group.parts.append(part)
        self.gathered.add(target, group, Slot(self.client, silent=False, count=count))

    @property
    def parts(self) -> list[list[str]]:
        return [group.parts for group in self.groups]


@pytest.fixture
async def asking() -> Asking:
    return Asking()


async def test_one_that_is_alone_leaves_at_once(asking: Asking) -> None:
    asking.take("a")

    assert asking.parts == [["a"]]


async def test_while_one_is_under_way_what_is_like_it_gathers(asking: Asking) -> None:
    asking.take("a")
    for part in "bcd":
        asking.take(part)
    asking.take("other", target="u")
    await asyncio.sleep(0)
    assert asking.parts == [["a"], ["other"]]

    asking.gathered.finish(asking.groups[0], lambda: [b"1"])
    await asyncio.sleep(0)

    assert asking.parts == [["a"], ["other"], ["b", "c", "d"]]
    assert asking.client.heard == [b"1"]


async def test_a_large_group_leaves_beside_one_that_is_under_way(asking: Asking) -> None:
    for part in ("a", "b", "c"):
        asking.take(part, LARGE)
    await asyncio.sleep(0)

    assert asking.parts == [["a"], ["b"]]


async def test_a_fault_in_asking_or_in_making_replies_is_told_to_everybody_and_holds_nobody_up(
    asking: Asking, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> list[bytes]:
        raise ValueError("a bug")

    asking.take("a", 2)
    asking.gathered.finish(asking.groups[0], broken)

    (heard,) = asking.client.heard
    assert heard.count(b"-ERR internal error") == 2
    assert "a bug" in caplog.text
    asking.take("b")
    assert asking.parts == [["a"], ["b"]]


async def test_a_group_that_cannot_be_asked_for_is_answered(asking: Asking) -> None:
    def broken(_target: str, _group: Group) -> None:
        raise ValueError("a bug")

    gathered: Gathered[str] = Gathered(ENGINE, broken)

    for _ in range(2):
        gathered.add("t", gathered.group("t"), Slot(asking.client, silent=False))

    await asyncio.sleep(0)
    assert [one.startswith(b"-ERR internal error") for one in asking.client.heard] == [True, True]
