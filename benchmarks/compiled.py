"""The hot path as C (`make compiled`): what is measured, where it was made of the code as it stands."""

import filecmp
import os
import sysconfig
from functools import cache
from pathlib import Path

from benchmarks.faults import BenchmarkFailed

ROOT = Path(__file__).parents[1]
BUILT = ROOT / "build" / "compiled"
PACKAGES = ("cli", "models", "server", "trainer")


@cache
def environment() -> dict[str, str]:
    """Return the variables with which a Python process takes the compiled packages; none where none were made.

    Raises: BenchmarkFailed, they were made of other code.
    """
    if not any(BUILT.rglob(f"*{sysconfig.get_config_var('EXT_SUFFIX')}")):
        return {}
    sources = [path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    _same, other, absent = filecmp.cmpfiles(ROOT, BUILT, map(str, sources), shallow=False)
    if other or absent:
        raise BenchmarkFailed(f"{BUILT} is of other code, {(other + absent)[0]} for one; run: make compiled")
    # Without the second Python would take the packages of the folder it is started in, which has the benchmark too.
    return {"PYTHONPATH": os.pathsep.join((str(BUILT), str(ROOT))), "PYTHONSAFEPATH": "1"}


def described() -> str:
    """Return how the hot path that is measured runs, in words."""
    return "compiled to C" if environment() else "plain Python"
