"""Settings come from the environment, have bounds, and do not open the server by accident."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from models.public_keys import PublicKey
from server.access import Access
from server.settings import ServerSettings

HASH = "a" * 64
EVERYWHERE = "0.0.0.0"  # noqa: S104  # nothing listens here


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ServerSettings.model_fields:
        monkeypatch.delenv(f"INSITU_{name.upper()}", raising=False)


def test_the_environment_sets_every_field_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"PORT": "0", "TOKENS": f"predict:{HASH}, admin:{HASH.upper()},", "MAX_BATCH_WAIT_MS": "2.5"}
    for name, value in given.items():
        monkeypatch.setenv(f"INSITU_{name}", value)

    settings = ServerSettings()

    assert settings.port == 0
    assert settings.tokens == (f"predict:{HASH}", f"admin:{HASH.upper()}")  # as some tools write digests
    assert settings.max_batch_wait_ms == 2.5


def test_an_empty_variable_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ServerSettings.model_fields:
        monkeypatch.setenv(f"INSITU_{name.upper()}", "")

    assert ServerSettings() == ServerSettings.model_construct()


def test_choices_are_taken_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LOG_LEVEL", "INFO"), ("LOG_FORMAT", "Json"), ("PROVIDER", "CPU")):
        monkeypatch.setenv(f"INSITU_{name}", value)

    settings = ServerSettings()

    assert (settings.log_level, settings.log_format, settings.provider) == ("info", "json", "cpu")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"port": 65536}, "less than or equal to 65535"),
        ({"max_queue_rows": 0}, "greater than or equal to 1"),
        ({"redis_timeout_ms": 1}, "greater than or equal to 10"),
        ({"provider": "tpu"}, "'auto', 'cpu' or 'cuda'"),
        ({"provider": 7}, "'auto', 'cpu' or 'cuda'"),
        ({"prot": 1}, "Extra inputs are not permitted"),
        ({"tokens": f"root:{HASH}"}, "entry 1 is not predict:SHA256 or admin:SHA256"),
        ({"tokens": (f"predict:{HASH}", "admin:secret")}, "entry 2 is not"),
        ({"tls_cert": "cert.pem"}, "tls_cert and tls_key go together"),
        ({"host": EVERYWHERE}, "host 0.0.0.0 is beyond loopback and there are no tokens"),
        ({"host": "::"}, "host :: is beyond loopback and there are no tokens"),
        ({"host": "[::]"}, "host :: is beyond loopback and there are no tokens"),
        ({"host": "[127.0.0.1]"}, r"host \[127.0.0.1\] is beyond loopback"),
        ({"host": "w" * 300}, "no address and no name of a host"),
        ({"host": "ünï..x"}, "no address and no name of a host"),
        ({"host": "localhost.example.org"}, "host localhost.example.org is beyond loopback"),
    ],
)
def test_what_is_out_of_bounds_is_refused_with_the_rule(given: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ServerSettings.model_validate(given)


def test_a_refused_token_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as caught:
        ServerSettings.model_validate({"tokens": "admin:my-secret-password"})

    assert "entry 1 is not" in caught.value.errors()[0]["msg"]
    assert "my-secret" not in caught.value.errors()[0]["msg"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "[::1]", "localhost", "LocalHost"])
def test_every_address_of_loopback_is_open_to_this_machine_without_tokens(host: str) -> None:
    settings = ServerSettings.model_validate({"host": host})

    assert Access.of(host=settings.host).local
    assert settings.on_loopback


def test_an_ipv6_address_is_bound_without_the_brackets_of_a_url() -> None:
    assert ServerSettings.model_validate({"host": "[::1]"}).host == "::1"


@pytest.mark.parametrize("given", [{"tokens": (f"admin:{HASH}",)}, {"allow_anonymous": True}])
def test_the_server_listens_beyond_loopback_when_that_is_meant(given: dict[str, object]) -> None:
    assert ServerSettings.model_validate({"host": EVERYWHERE, **given}).host == EVERYWHERE


def test_every_setting_says_what_it_is_for() -> None:
    silent = [name for name, field in ServerSettings.model_fields.items() if not field.description]

    assert silent == []


@pytest.mark.parametrize(
    ("given", "port"),
    [
        ({}, 8001),
        ({"port": 9000}, 9001),
        ({"port": 0}, 0),
        ({"port": 65535}, 0),
        ({"grpc_port": 7000}, 7000),
        ({"grpc_port": 0}, 0),
        ({"grpc_port": -1}, None),
    ],
)
def test_the_port_of_grpc_is_the_one_after_that_of_http_unless_said(
    given: dict[str, int], port: int | None
) -> None:
    assert ServerSettings(**given).grpc == port  # type: ignore[arg-type]  # names and numbers


def test_trusted_keys_are_the_keys_themselves_wherever_they_were_read_from(tmp_path: Path) -> None:
    first, second = (str(PublicKey(bytes([number] * 32))) for number in (1, 2))
    file = tmp_path / "trusted.pub"
    file.write_text(f"# of the release\n{first}\n")

    settings = ServerSettings(trusted_keys=f" {file} , {second},{first}")
    file.unlink()

    assert settings.trusted_keys == (first, second)
    assert ServerSettings.model_validate_json(settings.model_dump_json()) == settings
    assert ServerSettings.model_validate_json(ServerSettings().model_dump_json()).trusted_keys == ()


@pytest.mark.parametrize(
    ("said", "told"),
    [(",", "it names no key"), ("ed25519:abc", "is no public key"), ("absent.pub", "No such file")],
)
def test_trusted_keys_that_are_none_are_refused(said: str, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ServerSettings(trusted_keys=said)
