"""`make test`: what failed beside others is run once more by itself, and what fails again has failed."""

import subprocess
from pathlib import Path

import pytest

from tests.integration.project.made import make, project_in

ALONE = "import pytest\n\n\n@pytest.mark.alone\ndef test_alone():\n    pass\n"
ONCE = """
from pathlib import Path


def test_that_fails_once():
    seen = Path(__file__).with_name("seen")
    first = not seen.exists()
    seen.touch()
    assert not first


def test_that_passes():
    with Path(__file__).with_name("passed").open("a") as file:
        file.write("x")
"""
TWICE = "\n\ndef test_that_fails():\n    assert not 'always'\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of two files of tests that is made as ours is, its environment installed."""
    project = project_in(tmp_path)
    (project / "tests").mkdir()
    (project / "tests/test_alone.py").write_text(ALONE)
    (project / ".venv/.installed-dev").touch()
    return project


def made(project: Path, tests: str) -> subprocess.CompletedProcess[str]:
    (project / "tests/test_some.py").write_text(tests)
    return make(project, "test", "JOBS=2")


def test_what_failed_once_is_run_again_and_nothing_else_is(project: Path) -> None:
    ended = made(project, ONCE)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 failed, 1 passed" in ended.stdout
    assert ended.stdout.index("once more and by itself") > ended.stdout.index("test_that_fails_once")
    assert (project / "tests/passed").read_text() == "x"
    assert ended.stdout.splitlines()[-1].split()[1:3] == ["1", "passed"]  # the one that runs alone


def test_what_fails_again_has_failed(project: Path) -> None:
    ended = made(project, ONCE + TWICE)

    assert ended.returncode != 0
    assert ended.stdout.count("FAILED tests/test_some.py::test_that_fails -") == 2
    assert ended.stdout.count("FAILED tests/test_some.py::test_that_fails_once") == 1


def test_a_suite_that_cannot_be_read_has_failed(project: Path) -> None:
    ended = made(project, "import nothing_of_this_name\n")

    assert ended.returncode != 0
    assert "nothing_of_this_name" in ended.stdout
