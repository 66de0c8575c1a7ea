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


def test_one_prediction_is_the_same_through_every_door_and_on_every_page() -> None:
    by_http = re.search(r'"benign":([\d.e-]+)\}', README)
    by_redis = re.search(r'3\) "benign"\n +4\) "([\d.e-]+)"', README)
    by_protocol = re.search(r"0\.9990\d+,([\d.e-]+),", (ROOT / "docs" / "from-triton.md").read_text())

    assert by_http is not None
    assert by_redis is not None
    assert by_protocol is not None
    assert by_redis[1] == by_http[1]
    assert float(by_protocol[1]) == pytest.approx(float(by_http[1]), rel=1e-7)


def test_the_accuracies_of_the_demo_are_those_of_the_recipes() -> None:
    recipes = (ROOT / "docs" / "recipes.md").read_text()
    shown = re.findall(r"^(\w+) +\w+ +1 +\d+ +([\d.]+)% +[\d.]+% ", README, re.MULTILINE)
    listed = re.findall(r"^(\w+) +1 +1 +accuracy (0\.\d+)", README, re.MULTILINE)
    told = dict(re.findall(r"^\| `(\w+)` \|(?:[^|]*\|){3} (0\.\d+) ", recipes, re.MULTILINE))

    assert len(shown) == len(listed) == 3
    for name, percent in shown:
        assert float(percent) == pytest.approx(100 * float(told[name]), abs=0.051)
    for name, accuracy in listed:
        assert float(accuracy) == pytest.approx(float(told[name]), abs=0.00051)
