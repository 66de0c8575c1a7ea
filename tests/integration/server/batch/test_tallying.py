"""What a part's rows came to, and that what was written is not written again when something after it fails."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from models.errors import BadRequest, InsituError, KeyMissing, RedisUnavailable
from server.batch import pacing
from server.batch.scored import Scored
from server.batch.tallying import written
from server.batch.targets.target import PartName
from tests.integration.server.batch.cases import NUMBERS, PART, Rows


@dataclass
class Place:
    """A place that takes rows once it is there."""

    away: int = 0
    refuses: tuple[str, ...] = ()
    asked: int = 0
    parts: list[str] = field(default_factory=list)

    async def write(self, name: PartName, scored: Sequence[Scored]) -> dict[str, InsituError]:
        self.asked += 1
        if self.asked <= self.away:
            raise RedisUnavailable("gone")
        self.parts.append(str(name))
        return {key: KeyMissing(key) for key in self.refuses}


def tools(*places: Place) -> Any:
    return SimpleNamespace(targets=places)


async def test_a_place_that_is_away_is_waited_for_and_no_other_is_written_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pacing, "RETRY_SECONDS", 0)
    first, away, last = Place(refuses=("k:1",)), Place(away=3), Place(refuses=("k:2",))

    refused = await written(tools(first, away, last), PART, Rows(NUMBERS, count=3).scored)

    assert [*refused] == ["k:1", "k:2"]
    assert [place.parts for place in (first, away, last)] == [["0-1700-0"]] * 3
    assert [place.asked for place in (first, away, last)] == [1, 4, 1]


async def test_a_part_without_rows_goes_nowhere() -> None:
    place = Place()

    assert await written(tools(place), PART, []) == {}
    assert place.asked == 0


async def test_what_waiting_does_not_cure_is_told_at_once() -> None:
    class Full(Place):
        async def write(self, name: PartName, scored: Sequence[Scored]) -> dict[str, InsituError]:
            raise BadRequest("no room")

    with pytest.raises(BadRequest, match="no room"):
        await written(tools(Full()), PART, Rows(NUMBERS, count=3).scored)
