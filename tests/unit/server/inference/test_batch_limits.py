"""What a publisher asks of batches bounds them further, within what the server is set to."""

from typing import Any

import pytest

from models.execution import Execution
from server.inference.batch_limits import BatchLimits

SET = BatchLimits(batch_rows=64, queue_rows=100, wait_seconds=0.5)


def asked(rows_apart: bool = True, **said: Any) -> BatchLimits:
    return SET.asked(Execution(key="m", **said), rows_apart)


def test_who_asks_for_nothing_gets_what_the_server_is_set_to() -> None:
    assert SET.asked(None, True) is SET
    assert asked() == SET
    assert SET.enough_rows == 64


@pytest.mark.parametrize(("wanted", "most"), [(8, 8), (64, 64), (1000, 64)])
def test_a_batch_has_no_more_rows_than_either_wants(wanted: int, most: int) -> None:
    assert asked(batch_rows=wanted) == BatchLimits(most, 100, 0.5)


@pytest.mark.parametrize(("said_ms", "seconds"), [(0, 0.01), (5, 0.005), (3_600_000, 10.0)])
def test_a_small_batch_waits_as_long_as_is_said_and_never_for_ever(said_ms: int, seconds: float) -> None:
    limits = asked(batch_rows=8, min_batch_rows=4, min_batch_wait_ms=said_ms)

    assert (limits.wait_seconds, limits.enough_rows) == (seconds, 4)


def test_more_rows_than_a_batch_may_have_are_not_waited_for() -> None:
    assert asked(batch_rows=8, min_batch_rows=100).enough_rows == 8


def test_rows_that_share_no_run_wait_for_no_others() -> None:
    limits = asked(rows_apart=False, batch_rows=8, min_batch_rows=4, min_batch_wait_ms=1000)

    assert limits == BatchLimits(8, 100, 0.5)
