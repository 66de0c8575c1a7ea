"""Every setting of the server is an option of `serve` and `up`."""

import inspect

import pytest

from cli import program
from cli.errors import WrongUsage
from cli.serving import OWN_OPTIONS, as_parameter, metavar, serve, server_settings, up
from server.settings import ServerSettings

FIELDS = [name for name in ServerSettings.model_fields if name not in OWN_OPTIONS]
URL = "redis://127.0.0.1:1"


@pytest.mark.parametrize("command", ["serve", "up"])
def test_no_setting_is_missing_from_the_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    program.run([command, "--help"])

    words = capsys.readouterr().out.split()
    assert [name for name in FIELDS if f"--{name.replace('_', '-')}" not in words] == []
    assert [name for name in FIELDS if not any(f"INSITU_{name.upper()}." in word for word in words)] == []


@pytest.mark.parametrize("command", [serve, up])
def test_the_signature_has_a_parameter_a_setting(command: object) -> None:
    parameters = inspect.signature(command).parameters  # type: ignore[arg-type]  # a function either way

    assert [name for name in FIELDS if name not in parameters] == []


def test_choices_are_shown() -> None:
    parameter = as_parameter("provider", ServerSettings.model_fields["provider"])

    assert parameter.annotation.__metadata__[0].metavar == "auto|cpu|cuda"


def test_a_directory_is_told_from_a_file() -> None:
    asked = [ServerSettings.model_fields[name] for name in ("model_cache", "tls_cert")]

    assert [metavar(field) for field in asked] == ["DIR", "FILE"]


def test_what_is_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSITU_PORT", "9000")

    assert server_settings(URL, {}).port == 9000
    assert server_settings(URL, {"port": "9001", "host": None}).port == 9001


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"port": "70000"}, "--port is '70000': should be at most 65535"),
        ({"port": "http"}, "--port is 'http': should be a whole number"),
        ({"trial_seconds": "1m"}, "--trial-seconds is '1m': should be a number"),
        ({"request_timeout_seconds": "0"}, "--request-timeout-seconds is '0': should be over 0"),
        ({"provider": "tpu"}, "--provider is 'tpu': should be 'auto', 'cpu' or 'cuda'"),
        ({"host": "192.0.2.1"}, "host 192.0.2.1 is beyond loopback and there are no tokens"),
        ({"tokens": "abc"}, "--tokens: entry 1 is not predict:SHA256 or admin:SHA256"),
    ],
)
def test_a_setting_that_cannot_be_is_named(given: dict[str, str | bool | None], told: str) -> None:
    with pytest.raises(WrongUsage) as caught:
        server_settings(URL, given)

    assert told in str(caught.value)


def test_a_token_in_place_of_its_sha256_is_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSITU_TOKENS", "admin:my-secret-token")

    with pytest.raises(WrongUsage) as caught:
        server_settings(URL, {})

    assert str(caught.value).startswith("INSITU_TOKENS: entry 1 is not predict:SHA256 or admin:SHA256")
    assert "my-secret-token" not in str(caught.value)
