"""A job ends when its last row is answered, whatever the others were told and in whatever order."""

import pytest

from models.errors import KeyMissing
from server.inference.errors import RunFailed
from server.inference.jobs import Job
from tests.unit.server.inference.asked import Asked

FAULT = RunFailed("m", 1, "no")


async def test_a_job_ends_with_its_last_row() -> None:
    job = Asked(4)

    job.refuse(3, KeyMissing("k"))
    job.place([2, 0], [{"value": 2}, FAULT])
    before = job.open
    job.place([1], [{"value": 1}])

    assert before
    assert await job.fault() is None
    assert [row.error or row.body for row in job.rows] == [
        FAULT,
        {"value": 1},
        {"value": 2},
        job.rows[3].error,
    ]


async def test_the_only_row_of_a_job_may_be_answered_with_an_error() -> None:
    job = Asked(1)

    job.place([0], [FAULT])

    assert await job.fault() is None
    assert job.rows[0].error is FAULT


async def test_as_many_answers_as_rows_are_placed_or_none() -> None:
    job = Asked(2)

    with pytest.raises(ValueError, match="zip"):
        job.place([0, 1], [{"value": 1}])

    assert job.open


async def test_what_one_job_is_told_no_other_has() -> None:
    first, second = Asked(1), Asked(1)

    first.rows[0].filled = ["a"]
    first.place([0], [{"value": 1}])

    assert not second.rows[0].filled
    assert second.rows[0].body == {}
    assert (second.left, second.open, second.feeds, second.replies) == (1, True, None, ())


def test_who_waits_for_a_job_says_how_it_ends() -> None:
    with pytest.raises(NotImplementedError):
        Job(0.0, 1.0).end()
