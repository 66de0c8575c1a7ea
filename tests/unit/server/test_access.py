"""Who may ask: tokens, scopes, and what a browser's other pages may not do."""

from hashlib import sha256

import pytest

from server.access import Access, Forbidden, Unauthorized, is_local

OUTSIDE = "192.0.2.1"
LOCAL = {"host": "127.0.0.1:8000"}


def entry(scope: str, token: str) -> str:
    return f"{scope}:{sha256(token.encode()).hexdigest()}"


def bearer(token: str) -> dict[str, str]:
    return {**LOCAL, "authorization": f"Bearer {token}"}


@pytest.fixture
def locked() -> Access:
    return Access.of([entry("predict", "reader"), entry("admin", "owner")], host=OUTSIDE)


def test_a_token_of_scope_predict_may_predict(locked: Access) -> None:
    locked.check("predict", "POST", bearer("reader"))


def test_a_token_of_scope_predict_may_not_change_models(locked: Access) -> None:
    with pytest.raises(Forbidden, match="needs a token of scope admin") as refused:
        locked.check("admin", "POST", bearer("reader"))

    assert refused.value.details == {"needed": "admin", "granted": ["predict"]}


def test_a_token_of_scope_admin_may_do_both(locked: Access) -> None:
    locked.check("admin", "POST", bearer("owner"))
    locked.check("predict", "POST", bearer("owner"))


def test_no_token_is_unauthorized(locked: Access) -> None:
    with pytest.raises(Unauthorized, match="needs a bearer token") as refused:
        locked.check("predict", "GET", LOCAL)

    assert refused.value.given is False


@pytest.mark.parametrize(
    "header",
    [
        "Bearer wrong",
        "Bearer ",
        "Bearer",
        "",
        "Basic cmVhZGVy",
        "reader",
        "Bearer " + "x" * 5000,
        "Bearer \u00e9",
    ],
)
def test_an_unknown_token_is_unauthorized_and_not_repeated(locked: Access, header: str) -> None:
    with pytest.raises(Unauthorized, match="not one of this server's") as refused:
        locked.check("predict", "GET", {**LOCAL, "authorization": header})

    assert refused.value.given is True
    assert "wrong" not in str(refused.value)


def test_the_scheme_is_read_in_any_case(locked: Access) -> None:
    locked.check("predict", "GET", {**LOCAL, "authorization": "bearer reader"})


def test_a_token_given_for_both_scopes_has_the_larger_one() -> None:
    twice = Access.of([entry("predict", "t"), entry("admin", "t")], host=OUTSIDE)

    assert twice.granted("Bearer t") == ("predict", "admin")


@pytest.mark.parametrize(
    "text", ["secret", "predict:secret", "predict:" + "z" * 64, "root:" + "0" * 64, "admin:" + "0" * 63]
)
def test_a_token_that_is_no_scope_and_digest_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="64 hex digits") as refused:
        Access.of([text], host="127.0.0.1")

    assert text not in str(refused.value)


def test_without_tokens_loopback_is_open() -> None:
    Access.of(host="127.0.0.1").check("admin", "POST", LOCAL)


def test_without_tokens_nothing_beyond_loopback_is_open() -> None:
    with pytest.raises(Unauthorized):
        Access.of(host=OUTSIDE).check("predict", "GET", LOCAL)


def test_without_tokens_an_explicit_word_opens_everything() -> None:
    Access.of(host=OUTSIDE, allow_anonymous=True).check("admin", "POST", {"host": "models.example"})


def test_with_tokens_an_explicit_word_opens_predictions_only() -> None:
    mixed = Access.of([entry("admin", "owner")], host=OUTSIDE, allow_anonymous=True)

    mixed.check("predict", "POST", {"host": "models.example"})
    with pytest.raises(Unauthorized):
        mixed.check("admin", "POST", {"host": "models.example"})


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "", "127.0.0.1.evil.example", "a b", "[::1", "::1"]
)
def test_a_name_that_somebody_pointed_to_loopback_is_refused(host: str) -> None:
    with pytest.raises(Forbidden, match="under another name; ask it as localhost, 127"):
        Access.of(host="127.0.0.1").check("predict", "GET", {"host": host})


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1", "[::1]:8000", "LOCALHOST", "insitu.localhost"]
)
def test_names_of_the_machine_itself_pass(host: str) -> None:
    Access.of(host="127.0.0.1").check("predict", "GET", {"host": host})


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
        {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:3000"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
def test_a_page_of_another_origin_may_not_change_anything(headers: dict[str, str]) -> None:
    with pytest.raises(Forbidden, match="another origin"):
        Access.of(host="127.0.0.1").check("admin", "POST", {**LOCAL, **headers})


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8000"},
        {"sec-fetch-site": "none"},
        {"origin": "http://127.0.0.1:8000"},
        {},
    ],
)
def test_the_console_and_programs_may(headers: dict[str, str]) -> None:
    Access.of(host="127.0.0.1").check("admin", "POST", {**LOCAL, **headers})


def test_a_token_is_enough_wherever_the_page_comes_from(locked: Access) -> None:
    locked.check("admin", "POST", {**bearer("owner"), "sec-fetch-site": "cross-site"})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost."])
def test_loopback_is_local(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize("host", ["192.0.2.1", "::", "10.0.0.1", "example", ""])
def test_everything_else_is_not_local(host: str) -> None:
    assert not is_local(host)
