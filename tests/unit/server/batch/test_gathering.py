"""Small steps are joined and large ones split; nothing is lost and nothing taken up too late."""

from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.batch.parts import Part, Step
from server.batch.sources import gathering
from server.batch.sources.gathering import ENOUGH_ROWS, STEP_ROWS, gathered

SIZES = st.lists(st.integers(0, 3 * STEP_ROWS // 2), max_size=8)


def steps(sizes: Iterable[int], anew: int | None = None) -> list[Step]:
    """Steps of so many keys each, numbered through; the position is how many keys went before."""
    made, done = [], 0
    for number, size in enumerate(sizes):
        part = Part([b"%d" % one for one in range(done, done + size)])
        done += size
        made.append(Step(part, str(done), 0.5, number == anew))
    return made


async def given_by(made: Iterable[Step], *, once: bool = False) -> list[Step]:
    async def walk() -> AsyncIterator[Step]:
        for step in made:
            yield step

    return [step async for step in gathered(walk(), "0", once=once)]


@given(SIZES)
@settings(max_examples=30, deadline=None)
async def test_every_key_is_given_in_order_in_bounded_steps(sizes: list[int]) -> None:
    out = await given_by(steps(sizes))

    assert [int(key) for step in out for key in step.part.keys] == list(range(sum(sizes)))
    assert max((len(step.part) for step in out), default=0) <= STEP_ROWS


@given(SIZES)
@settings(max_examples=30, deadline=None)
async def test_a_position_is_never_beyond_the_keys_given(sizes: list[int]) -> None:
    given_keys = 0

    for step in await given_by(steps(sizes)):
        given_keys += len(step.part)
        assert int(step.position) <= given_keys
    assert given_keys == sum(sizes)


async def test_small_steps_are_joined() -> None:
    out = await given_by(steps([100] * 41))

    assert [len(step.part) for step in out] == [2100, 2000]
    assert out[0].position == "2100"
    assert ENOUGH_ROWS == 2048


async def test_a_walk_that_finds_little_is_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "LINGER_SECONDS", -1.0)

    assert [len(step.part) for step in await given_by(steps([0, 1, 0]))] == [0, 1, 0]


async def test_no_key_is_twice_in_a_step_where_it_counts_once() -> None:
    twice = [Step(Part([b"a", b"b"]), "2", 0.5), Step(Part([b"b", b"c"]), "4", 1.0)]

    assert (await given_by(twice, once=True))[0].part.keys == [b"a", b"b", b"c"]
    assert (await given_by(twice))[0].part.keys == [b"a", b"b", b"b", b"c"]


async def test_what_is_found_again_is_not_given_before() -> None:
    out = await given_by(steps([3, 4, 5], anew=1))

    assert [(len(step.part), step.anew) for step in out] == [(9, True)]


@pytest.mark.parametrize("size", [1, STEP_ROWS + 1])
async def test_only_the_first_step_begins_anew(size: int) -> None:
    out = await given_by(steps([ENOUGH_ROWS, size, ENOUGH_ROWS, ENOUGH_ROWS], anew=1))

    assert [step.anew for step in out] == [False, True] + [False] * (len(out) - 2)
