"""`.ci/run` ends with 0 when all it runs does, and else not. Its parts are stood in for: each is a target of make."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOOLS = ("chromium", "redis-server", "wrk", "gcc", "python3-config")


def run(tmp_path: Path, make: str) -> subprocess.CompletedProcess[str]:
    """Run it where `make` is the text given, and its other tools are there."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    for room in ("tests/e2e", "tests/integration/models", "bin"):
        (tmp_path / room).mkdir(parents=True)
    (tmp_path / "tests/e2e/test_page.py").touch()
    for name, text in {"make": make, **dict.fromkeys(TOOLS, "")}.items():
        tool = tmp_path / "bin" / name
        tool.write_text(f"#!/bin/sh\n{text}\n")
        tool.chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    return subprocess.run(
        [tmp_path / ".ci" / "run"], env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def test_it_passes_where_all_its_parts_do(tmp_path: Path) -> None:
    ended = run(tmp_path, 'echo "ran $*"')
    assert ended.returncode == 0, ended.stderr
    ran = [line.split()[1] for line in ended.stdout.splitlines()]
    assert ran == ["-j", "e2e", "check", "compiled", "test", "test", "test-compiled"]


@pytest.mark.parametrize("part", ["install", "e2e", "check", "compiled", "test", "test-compiled"])
def test_it_fails_where_a_part_does(tmp_path: Path, part: str) -> None:
    ended = run(tmp_path, f'case " $* " in *" {part} "*) echo "no {part}"; exit 2;; esac')
    assert ended.returncode == 2
    assert f"no {part}" in ended.stdout
