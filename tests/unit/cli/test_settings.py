"""Settings come from the options, then the environment; what is misspelt stops."""

import os
from pathlib import Path

import pytest

from cli.errors import WrongUsage
from cli.settings import Settings, decline_telemetry, read_settings, unknown_environment
from server.settings import ServerSettings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*Settings.model_fields, *ServerSettings.model_fields]:
        monkeypatch.delenv(f"INSITU_{name.upper()}", raising=False)


def test_without_anything_the_defaults_hold() -> None:
    settings = read_settings()

    assert settings == Settings(
        redis_url=None, url="http://127.0.0.1:8000", token=None, data_dir=None, prefix="insitu"
    )


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSITU_REDIS_URL", "redis://10.0.0.5:6379")
    monkeypatch.setenv("INSITU_DATA_DIR", "/srv/insitu")

    settings = read_settings()

    assert settings.redis_url == "redis://10.0.0.5:6379"
    assert settings.data_dir == Path("/srv/insitu")


def test_an_option_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSITU_PREFIX", "staging")

    assert read_settings(prefix="live").prefix == "live"
    assert read_settings(prefix=None).prefix == "staging"


def test_an_empty_variable_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSITU_REDIS_URL", "")

    assert read_settings().redis_url is None


def test_a_bad_option_is_named_with_its_value() -> None:
    with pytest.raises(
        WrongUsage, match=r"^--url is 'localhost:8000': a server's address begins with http://"
    ):
        read_settings(url="localhost:8000")


def test_a_bad_variable_is_named_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSITU_PREFIX", "a b")

    with pytest.raises(
        WrongUsage, match=r"^INSITU_PREFIX is 'a b': should be 1 to 64 of A-Z a-z 0-9 \. _ : -"
    ):
        read_settings()


def test_a_token_is_never_shown() -> None:
    settings = read_settings(token="secret-text")

    assert "secret-text" not in repr(settings)


@pytest.mark.parametrize("token", ["kl\xe4rtext", "two words", "a\nb"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(WrongUsage) as caught:
        read_settings(token=token)

    assert str(caught.value).startswith("--token: it has characters that no token has; `insitu token`")


def test_every_variable_of_the_product_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*Settings.model_fields, *ServerSettings.model_fields]:
        monkeypatch.setenv(f"INSITU_{name.upper()}", "anything")

    unknown_environment(ServerSettings.model_fields)


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("INSITU_REDIS_ULR", "INSITU_REDIS_URL"),
        ("INSITU_TOKNES", "INSITU_TOKENS"),
        ("INSITU_PORTS", "INSITU_PORT"),
    ],
)
def test_a_misspelt_variable_stops_and_the_nearest_is_named(
    monkeypatch: pytest.MonkeyPatch, misspelt: str, meant: str
) -> None:
    monkeypatch.setenv(misspelt, "anything")

    with pytest.raises(WrongUsage, match=f"{misspelt} is not one of insitu's; did you mean {meant}"):
        unknown_environment(ServerSettings.model_fields)


def test_a_variable_like_no_other_lists_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSITU_XXXXXXXXXXXXXX", "anything")

    with pytest.raises(WrongUsage, match="known are INSITU_ALLOW_ANONYMOUS, "):
        unknown_environment(ServerSettings.model_fields)


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_says_what_it_is(name: str) -> None:
    assert Settings.model_fields[name].description


def test_onnx_runtime_reports_nothing_unless_the_user_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
    decline_telemetry()
    declined = os.environ["ORT_DISABLE_TELEMETRY"]

    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    decline_telemetry()

    assert declined == "1"
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"
