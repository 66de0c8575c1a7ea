"""KServe's client for REST, in every datatype, against a real server."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.serving import ServeCommand

ROOT = Path(__file__).parents[4]
CHILD = Path(__file__).parent / "kserve_child.py"


def test_the_client_of_kserve_is_answered(served: ServeCommand) -> None:
    if find_spec("kserve") is None:
        missing("no kserve: pip install 'insitu[clients]'")

    done = subprocess.run(
        [sys.executable, str(CHILD), served.url],
        env={**os.environ, "PYTHONPATH": str(ROOT), "no_proxy": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["live"], told["ready"], told["model"], told["nope"]) == (True, True, True, False)
    assert told["key"][0] == pytest.approx([0.973403, 0.026597], abs=1e-6)
    assert told["differing"] == []
    assert "model 'nope' is not stored" in told["refused"][0]
    assert "404 Not Found" in told["refused"][0]
    assert "the model has no input 'id'" in told["refused"][1]
