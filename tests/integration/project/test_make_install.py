"""`make install`: it says what it waits for, and keeps no other Python than the one that is asked for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import ROOT

RETRYING = "WARNING: Retrying (Retry(total={left})) after connection broken by 'NewConnectionError': /whl/cpu/{name}/"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What `make install` reads, and an environment of the Python that runs this, nothing installed in it."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    script(tmp_path / ".venv/bin/python", f'exec {sys.executable} "$@"')
    return tmp_path


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def install(project: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            shutil.which("make") or "make",
            "--no-print-directory",
            "-C",
            project,
            "install",
            "EXTRAS=dev",
            *settings,
        ],
        env={"PATH": os.environ["PATH"], "HOME": str(project)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_an_environment_of_another_python_is_not_kept_in_silence(project: Path) -> None:
    (project / ".venv/.installed-dev").touch()
    other = script(project / "other", "echo 3.11.0 of /opt/other")

    refused = install(project, f"PYTHON={other}")
    same = install(project, f"PYTHON={sys.executable}")
    any_python = install(project)

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

    done = install(project)

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("a package index does not answer") == 1
    assert "  numpy (16.6 MB)\n" in done.stdout
