"""What a client may do, by who it says it is."""

from hashlib import sha256

import pytest

from server.access import Access
from server.resp.refusals import Refused
from server.resp.session import NO_AUTH, WRONG_PASS, Session

TOKENS = tuple(f"{scope}:{sha256(scope.encode()).hexdigest()}" for scope in ("admin", "predict"))
GUARDED = Access.of(TOKENS, host="127.0.0.1")


def test_without_tokens_this_machine_may_do_everything() -> None:
    session = Session(Access.of(host="127.0.0.1"), 3)

    assert session.passes
    assert not session.by_token
    assert (session.db, session.home) == (3, 3)
    session.check("admin")


@pytest.mark.parametrize(("token", "passes"), [(b"admin", True), (b"predict", False)])
def test_a_token_says_what_may_be_done(token: bytes, passes: bool) -> None:
    session = Session(GUARDED, 0)
    assert not session.passes

    session.log_in(token)

    assert session.passes is passes
    session.check("predict")


@pytest.mark.parametrize("token", [b"wrong", b"", b"\xff", b"x" * 10_000])
def test_another_token_changes_nothing(token: bytes) -> None:
    session = Session(GUARDED, 0)
    session.log_in(b"predict")

    with pytest.raises(Refused, match=WRONG_PASS.replace(".", r"\.")):
        session.log_in(token)
    session.check("predict")


def test_nobody_is_asked_for_a_token_and_others_are_told_what_theirs_may() -> None:
    session = Session(GUARDED, 0)

    with pytest.raises(Refused, match=NO_AUTH):
        session.check("predict")
    session.log_in(b"predict")
    with pytest.raises(Refused, match=r"^NOPERM this token may predict; .* needs a token of scope admin$"):
        session.check("admin")
