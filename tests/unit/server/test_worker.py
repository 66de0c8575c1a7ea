"""What a worker looks at before it loads anything."""

from pathlib import Path
from typing import Any

import pytest

from server.settings import ServerSettings
from server.worker import check_certificate
from server.workers.reports import WorkerFailed
from tests.certificates import make_certificates

REDIS = "redis://localhost"


def settings(**files: Any) -> ServerSettings:
    return ServerSettings(redis_url=REDIS, **files)


def test_files_that_tls_cannot_be_spoken_with_are_named(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    certificate, key = made.certificate("server"), made.key("server")
    check_certificate(settings())
    check_certificate(settings(tls_cert=certificate, tls_key=key))

    with pytest.raises(
        WorkerFailed, match=rf"^tls_cert {certificate} and tls_key .*client.key are no certificate "
    ):
        check_certificate(settings(tls_cert=certificate, tls_key=made.key("client")))
    key.unlink()
    with pytest.raises(WorkerFailed, match=rf"^tls_key {key} cannot be read: No such file"):
        check_certificate(settings(tls_cert=certificate, tls_key=key))
