"""The README tells the truth: commands and targets exist, links lead somewhere, no room is left out."""

import re
from pathlib import Path

import pytest

from cli import program

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"(?:^\$ (?:\.venv/bin/)?|`)insitu ([a-z]+)", README, re.MULTILINE)))
TARGETS = sorted(set(re.findall(r"\bmake ([a-z]+)\b", README)))
LINKS = sorted(set(re.findall(r"\]\(([^)#:]+)\)", README)))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_it_shows_exists(command: str) -> None:
    assert program.run([command, "--help"]) == 0


@pytest.mark.parametrize("target", [target for target in TARGETS if target != "it"])
def test_every_make_target_it_shows_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("link", LINKS)
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_no_room_is_left_out_of_the_table() -> None:
    packages = {path.parent for path in ROOT.glob("*/__init__.py")} | {
        path.parent for path in ROOT.glob("server/*/__init__.py")
    }
    rooms = {path.relative_to(ROOT).as_posix() for path in packages} - {"server"}

    assert sorted(room for room in rooms if f"[{room}/]({room})" not in README) == []


def test_the_first_screen_has_the_two_commands() -> None:
    first = README.splitlines()[:45]

    assert any("make demo" in line for line in first)
    assert any("make test" in line for line in first)
