"""Schemathesis asks everything that the OpenAPI document describes, and what it does not: never a fault of ours.

Ten minutes of it are `schemathesis run URL/openapi.json --checks not_a_server_error --max-time 600`.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.serving import ServeCommand

SECONDS = 12
# What a client asks for may take longer than it allows (504), or need a command that this Redis lacks (501).
ANY = '[checks.not_a_server_error]\nexpected-statuses = ["2xx", "3xx", "4xx", 501, 504]\n'
NAMED = '[parameters]\n"path.name" = "churn"\n"path.version" = "1"\n'
OPTIONS = (
    *("--checks", "not_a_server_error", "--no-color", "--warnings", "off", "--request-timeout", "20"),
    *("--max-time", str(SECONDS), "--max-examples", "20", "--exclude-path-regex", "/events$"),
)


@pytest.mark.parametrize("config", [ANY, NAMED + ANY], ids=["any names", "a stored model"])
def test_nothing_that_is_asked_is_answered_with_a_fault(
    served: ServeCommand, tmp_path: Path, config: str
) -> None:
    if find_spec("schemathesis") is None:
        missing("no schemathesis: pip install 'insitu[clients]'")
    (tmp_path / "schemathesis.toml").write_text(config)

    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", f"{served.url}/openapi.json", *OPTIONS],
        env={**os.environ, "no_proxy": "127.0.0.1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
