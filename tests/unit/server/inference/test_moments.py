"""What is put off is done at the end of its moment, all of it, whatever fails on the way."""

import asyncio

import pytest

from server.inference.moments import Moment


async def test_what_is_put_off_is_done_at_the_end_in_order() -> None:
    moment, done = Moment(), list[int]()

    with moment:
        moment.later(lambda: done.append(1))
        moment.later(lambda: done.append(2))
        before = [*done]

    assert (before, done) == ([], [1, 2])


async def test_what_is_put_off_outside_of_a_moment_has_its_turn_of_the_loop() -> None:
    moment, done = Moment(), list[int]()

    moment.later(lambda: done.append(1))
    before = [*done]
    await asyncio.sleep(0)

    assert (before, done) == ([], [1])


async def test_what_is_put_off_at_the_end_still_belongs_to_the_moment() -> None:
    moment, done = Moment(), list[int]()

    def again() -> None:
        moment.later(lambda: done.append(1))

    with moment:
        moment.later(again)

    assert done == [1]


async def test_a_moment_in_a_moment_ends_with_the_outer_one() -> None:
    moment, done = Moment(), list[int]()

    with moment:
        with moment:
            moment.later(lambda: done.append(1))
        before = [*done]

    assert (before, done) == ([], [1])


async def test_what_is_cancelled_stays_undone() -> None:
    moment, done = Moment(), list[int]()

    with moment:
        moment.later(lambda: done.append(1)).cancel()
        moment.later(lambda: done.append(2))

    assert done == [2]


async def test_a_fault_is_told_to_the_loop_and_stops_nothing_else() -> None:
    moment, done, told = Moment(), list[int](), list[Exception]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["exception"]))

    def failing() -> None:
        raise ZeroDivisionError

    with moment:
        moment.later(failing)
        moment.later(lambda: done.append(2))
    with moment:
        moment.later(lambda: done.append(3))

    assert done == [2, 3]
    assert [type(fault) for fault in told] == [ZeroDivisionError]


async def test_a_moment_that_fails_does_what_was_put_off() -> None:
    moment, done = Moment(), list[int]()

    def failing() -> None:
        with moment:
            moment.later(lambda: done.append(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()

    assert done == [1]
