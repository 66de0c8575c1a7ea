"""What a run was made on and with: numbers without it say nothing. No name of the machine or its user."""

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any

from benchmarks import compiled
from benchmarks.open_servers import PYTHON
from benchmarks.processes import ROOT
from benchmarks.stage import Stage

PACKAGES = (
    *("insitu", "uvicorn", "uvloop", "httptools", "fastapi", "pydantic", "orjson", "redis", "hiredis"),
    *("onnxruntime", "numpy", "grpcio", "mosec"),
)
# In an environment of their own.
RIVAL_PACKAGES = ("nvidia-pytriton", "mlserver")
TELL_SECONDS = 10


def machine() -> dict[str, Any]:
    """Return processor, cores, memory and system."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def processor() -> str:
    """Return the processor's name, where the system tells it."""
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", told, re.MULTILINE)
    return found[1] if found else platform.machine()


def versions(stage: Stage) -> dict[str, str]:
    """Return what took part, by name; what is not there is left out."""
    server = "Valkey" if stage.info("valkey_version") else "Redis"
    return {
        "python": platform.python_version(),
        "hot path": compiled.described(),
        **{name: known for name in PACKAGES if (known := package(name))},
        **rival_versions(),
        "redis server": f"{server} {stage.info('valkey_version') or stage.info('redis_version')}",
        "wrk": first_line("wrk", "-v"),
        "redis-benchmark": first_line("redis-benchmark", "--version"),
        "commit": first_line("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
    }


def package(name: str) -> str:
    """Return the version of an installed package, empty when it is not."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def rival_versions() -> dict[str, str]:
    """Return the versions of the rivals that are installed apart from us."""
    folders = [str(folder) for folder in PYTHON.parent.parent.glob("lib/python*/site-packages")]
    return {
        name: found.version for name in RIVAL_PACKAGES for found in distributions(name=name, path=folders)
    }


def first_line(*command: str) -> str:
    """Return the first line a program prints, empty when there is none."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, timeout=TELL_SECONDS, check=False)
    lines = (done.stdout or done.stderr).splitlines()
    return lines[0].strip() if lines else ""
