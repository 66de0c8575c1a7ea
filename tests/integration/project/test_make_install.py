"""`make install`: it says what it waits for, and keeps no other Python than the one that is asked for."""

import sys
from pathlib import Path

import pytest

from tests.integration.project.made import make, project_in, script

RETRYING = "WARNING: Retrying (Retry(total={left})) after connection broken by 'NewConnectionError': /whl/cpu/{name}/"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return project_in(tmp_path)


def test_an_environment_of_another_python_is_not_kept_in_silence(project: Path) -> None:
    (project / ".venv/.installed-dev").touch()
    other = script(project / "other", "echo 3.11.0 of /opt/other")

    refused = make(project, "install", f"PYTHON={other}")
    same = make(project, "install", f"PYTHON={sys.executable}")
    any_python = make(project, "install")

    assert refused.returncode != 0
    assert (
        f".venv has Python {sys.version.split()[0]} of {sys.base_prefix}, which is not {other}"
        in refused.stderr
    )
    assert f"`make clean` removes it, and then `make install PYTHON={other}`" in refused.stderr
    assert (same.returncode, same.stderr) == (0, "")
    assert (any_python.returncode, any_python.stderr) == (0, "")


def test_an_index_that_does_not_answer_is_told_once(project: Path) -> None:
    lines = [RETRYING.format(left=left, name=name) for name in ("numpy", "torch") for left in (4, 3, 2)]
    lines.append("  Downloading numpy-2.3.5-cp313-cp313-manylinux_2_28_x86_64.whl (16.6 MB)")
    script(project / ".venv/bin/python", f'cat "{project}/said"')
    (project / "said").write_text("\n".join([*lines, ""]))

    done = make(project, "install")

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("a package index does not answer") == 1
    assert "  numpy (16.6 MB)\n" in done.stdout
