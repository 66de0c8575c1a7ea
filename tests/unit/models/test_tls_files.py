"""Files of certificates that a URL names are looked at before anybody connects."""

from pathlib import Path

import pytest

from models.connecting import connect
from models.errors import BadName
from tests.certificates import Certificates, make_certificates


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


def url(scheme: str = "rediss", **files: Path) -> str:
    return f"{scheme}://h:1/0?" + "&".join(f"ssl_{name}={path}" for name, path in files.items())


def test_files_that_fit_are_taken(made: Certificates) -> None:
    connect(url(ca_certs=made.authority, certfile=made.certificate("client"), keyfile=made.key("client")))


@pytest.mark.parametrize("scheme", ["rediss", "rediss+cluster", "rediss+sentinel"])
@pytest.mark.parametrize("option", ["ca_certs", "certfile", "keyfile"])
def test_a_file_that_is_not_there_is_named(scheme: str, option: str) -> None:
    with pytest.raises(BadName, match=f"ssl_{option} '/no/such' cannot be read: No such file"):
        connect(url(scheme, **{option: Path("/no/such")}))


def test_files_that_do_not_fit_are_named(made: Certificates) -> None:
    certificate, key, authority = made.certificate("client"), made.key("client"), made.authority
    other = made.key("server")

    with pytest.raises(BadName, match=r"ssl_ca_certs '.*' holds no certificate in PEM"):
        connect(url(ca_certs=key))
    with pytest.raises(BadName, match="no certificate and its key"):
        connect(url(ca_certs=authority, certfile=certificate, keyfile=other))
    with pytest.raises(BadName, match="name that too, ssl_certfile=FILE"):
        connect(url(ca_certs=authority, keyfile=key))
