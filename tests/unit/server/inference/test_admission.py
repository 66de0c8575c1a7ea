"""How the process of a trial ended is told in words, and what cannot be served is refused."""

import pytest

from models.errors import BadModelFile
from server.inference.admission import concluded, numbered, raise_unless_good
from server.inference.trying import VERDICT
from server.inference.verdicts import Verdict
from tests.graphs import bundle, scaled

GOOD = VERDICT + Verdict(rows="apart", memory_bytes=7).to_json()


@pytest.mark.parametrize(
    ("written", "complaint", "status", "told"),
    [
        (b"", b"", -11, "(signal SIGSEGV): no message"),
        (b"", b"first\nlast\n", 1, "(exit status 1): last"),
        (b"first\nlast", b"", -6, "(signal SIGABRT): last"),
        (GOOD, b"", 1, "(exit status 1): verdict"),
        (b"chatter of a library", b"", 0, "(exit status 0): chatter of a library"),
        (b"", b"", -9, "(signal SIGKILL, out of memory most likely): no message"),
        (b"", b"x" * 5000, -64 - 1000, "(signal 1064): xxx"),
        (b"", b"", -14, "did not load and run once within 3 s"),
        (b"", b"", -24, "did not load and run once within 3 s"),
    ],
)
def test_a_trial_that_ended_oddly_is_told(written: bytes, complaint: bytes, status: int, told: str) -> None:
    reason = concluded(written, complaint, status, 3.0).reason or ""

    assert told in reason
    assert len(reason) < 400


def test_what_a_library_writes_before_the_verdict_changes_nothing() -> None:
    assert concluded(b"chatter\n" + GOOD, b"more", 0, 3.0) == Verdict(rows="apart", memory_bytes=7)


@pytest.mark.parametrize("verdict", [Verdict(reason="it crashes"), Verdict(wording="it crashes")])
def test_what_cannot_be_loaded_or_worded_is_not_published(verdict: Verdict) -> None:
    with pytest.raises(BadModelFile, match=r"^it crashes; nothing was published$"):
        raise_unless_good(verdict)


def test_what_is_good_is_published() -> None:
    raise_unless_good(Verdict())


def test_a_bundle_without_a_version_is_tried_as_the_first() -> None:
    one = bundle(scaled())

    assert numbered(one).manifest.version == 1
    assert numbered(one.sealed(7)).manifest.version == 7
