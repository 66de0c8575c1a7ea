"""Commands while sentinels are about to replace a master that is away."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.guarded import SERVICE, Guard, start_guard
from tests.integration.cli.conftest import Result


@pytest.fixture
def guard(redis_binary: Path) -> Iterator[Guard]:
    with ExitStack() as stack:
        one = start_guard(redis_binary, stack, sentinels=1)
        with one.sentinels[0].connect() as client:  # it goes on naming the master for as long as the test
            client.execute_command("SENTINEL", "SET", SERVICE, "down-after-milliseconds", 600_000)
        yield one


def test_a_master_that_is_away_is_told_with_the_failover_that_is_to_come(
    insitu: Callable[..., Result], guard: Guard
) -> None:
    guard.master.kill()

    done = insitu("models", "--redis-url", guard.url)

    assert done.code == 3
    assert "start it, wait for its sentinels to replace it, or set INSITU_REDIS_URL" in done.error


def test_a_password_that_the_sentinels_refuse_is_told_as_theirs(
    insitu: Callable[..., Result], guard: Guard
) -> None:
    with guard.sentinels[0].connect() as client:
        client.execute_command("ACL", "SETUSER", "default", "resetpass", ">guarded")

    wrong = insitu("models", "--redis-url", f"{guard.url}?sentinel_password=wrong")
    right = insitu("models", "--redis-url", f"{guard.url}?sentinel_password=guarded")

    assert "log in to the sentinels: ?sentinel_password=PASSWORD" in wrong.error
    assert right.code == 0
