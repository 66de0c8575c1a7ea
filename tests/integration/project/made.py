"""A project that is made as ours is, in a folder of its own, and `make` in it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.serving import ROOT


def project_in(folder: Path) -> Path:
    """Put what `make` reads into a folder, and an environment of the Python that runs this, nothing installed in it."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder / name)
    (folder / ".venv/bin").mkdir(parents=True)
    script(folder / ".venv/bin/python", f'exec {sys.executable} "$@"')
    return folder


def script(path: Path, text: str) -> Path:
    """Write a program."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def make(project: Path, target: str, *settings: str) -> subprocess.CompletedProcess[str]:
    """Run a target with the least to install."""
    return subprocess.run(
        [
            shutil.which("make") or "make",
            "--no-print-directory",
            "-C",
            project,
            target,
            "EXTRAS=dev",
            *settings,
        ],
        env={"PATH": os.environ["PATH"], "HOME": str(project)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
