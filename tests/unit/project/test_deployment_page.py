"""docs/deployment.md says what the files it speaks of say."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "deployment.md").read_text()
FOR_DEVELOPERS = {"bench", "clients", "dev", "e2e", "json-tests"}


def test_every_extra_that_a_user_installs_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    explained = {
        name for cell in re.findall(r"^\| `([\w,]+)` \|", PAGE, re.MULTILINE) for name in cell.split(",")
    }

    # `serving` is a part of `server` and `gpu` and of no use alone.
    assert set(project["optional-dependencies"]) - FOR_DEVELOPERS - {"serving"} <= explained


def test_every_service_is_in_the_table() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())

    for name in compose["services"]:
        assert f"\n| `{name}` |" in PAGE, name


def test_every_variable_of_the_compose_file_is_named() -> None:
    variables = re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text())

    assert variables
    assert all(variable in PAGE for variable in variables)


def test_the_numbers_of_users_and_ports_are_those_of_the_files() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())

    assert compose["services"]["redis"]["user"] in PAGE
    for service in ("redis", "server"):
        port = re.findall(r":-(\d+)\}", compose["services"][service]["ports"][0])[0]
        assert f"127.0.0.1:{port}" in PAGE
