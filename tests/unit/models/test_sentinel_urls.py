"""A sentinel URL is taken apart into the master's and the sentinels' own."""

import pytest

from models.sentinel_urls import guarded


def test_a_url_names_sentinels_a_service_and_how_the_master_is_spoken_to() -> None:
    found = guarded(
        "redis+sentinel://u:p%40ss@s1:1001,s2,[::1]:1003/features/2?client_name=c&sentinel_password=x y"
    )

    assert found.service == "features"
    assert found.master == "redis://u:p%40ss@master/2?client_name=c"
    assert found.sentinels == (
        "redis://:x%20y@s1:1001?", "redis://:x%20y@s2:26379?", "redis://:x%20y@[::1]:1003?",
    )  # fmt: skip


def test_tls_is_for_both_and_credentials_are_not() -> None:
    found = guarded("rediss+sentinel://s1/features?ssl_ca_certs=/ca.crt&password=p&username=u&db=3")

    assert found.master == "rediss://master/?ssl_ca_certs=%2Fca.crt&password=p&username=u&db=3"
    assert found.sentinels == ("rediss://s1:26379?ssl_ca_certs=%2Fca.crt",)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis+sentinel://s1:1", "service's name is missing"),
        ("redis+sentinel://s1:1/", "service's name is missing"),
        ("redis+sentinel://s1:1,/features", "no host of a sentinel: ''"),
        ("redis+sentinel://:1/features", "no host of a sentinel: ':1'"),
        ("redis+sentinel://s1:x/features", "Port could not be cast"),
    ],
)
def test_what_names_no_sentinel_is_refused(url: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        guarded(url)
