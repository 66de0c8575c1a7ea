"""A version that did not load is told to whoever asks, logged once, and tried later and later."""

import logging

import pytest

from models.errors import BundleCorrupt
from models.signing_errors import NotTrusted
from server.inference import failures as failures_module
from server.inference.failures import RETRY_MOST_SECONDS, Failures

BROKEN = BundleCorrupt("m", 1, "a chunk is missing")


def test_a_failure_is_raised_until_it_is_time_to_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures_module, "RETRY_SECONDS", 60.0)
    failures = Failures()

    failures.note(("m", 1), BROKEN)

    with pytest.raises(BundleCorrupt):
        failures.raise_known(("m", 1))
    failures.raise_known(("m", 2))
    assert failures.of("m") == {1: str(BROKEN)}
    assert failures.places("m") == {("m", 1)}
    assert failures.of("other") == {}


def test_a_failure_may_be_tried_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures_module, "RETRY_SECONDS", 0.0)
    failures = Failures()

    failures.note(("m", 1), BROKEN)

    failures.raise_known(("m", 1))


def test_the_same_failure_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures()

    with caplog.at_level(logging.INFO):
        for _ in range(3):
            failures.note(("m", 1), BROKEN)
        failures.note(("m", 1), BundleCorrupt("m", 1, "another one"))

    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]


def test_the_pause_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures()

    with caplog.at_level(logging.DEBUG):
        for _ in range(2000):
            failures.note(("m", 1), BROKEN)

    assert caplog.records[-1].getMessage().endswith(f"tried again after {RETRY_MOST_SECONDS:.0f} s")


def test_a_version_that_loaded_is_forgotten() -> None:
    failures = Failures()
    failures.note(("m", 1), BROKEN)

    failures.forget(("m", 1))

    assert failures.of("m") == {}


def test_failures_of_one_kind_are_forgiven_and_told_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures_module, "RETRY_SECONDS", 60.0)
    failures, unsigned = Failures(), NotTrusted("m", 2, "it is unsigned", "sign it")
    assert failures.note(("m", 1), BROKEN)
    assert failures.note(("m", 2), unsigned)

    failures.forgive("m", NotTrusted)

    failures.raise_known(("m", 2))
    with pytest.raises(BundleCorrupt):
        failures.raise_known(("m", 1))
    assert failures.of("m") == {1: str(BROKEN), 2: str(unsigned)}
    assert not failures.note(("m", 2), unsigned)
